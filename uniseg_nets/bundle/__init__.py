"""Bundles from Python: run, as a segmenter, packed, behind MONAI Label."""
