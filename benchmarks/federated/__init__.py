"""The left ventricle of three centres, trained in federations of several kinds."""
