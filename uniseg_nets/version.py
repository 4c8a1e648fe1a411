"""The version of package and bundles."""

__all__ = ["__version__"]

__version__ = "0.13.0"
