"""Uses bundles from Python: runs them, segments scans with them, packs them, and makes MONAI Label apps of them."""
