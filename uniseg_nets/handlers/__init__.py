"""Handlers that MONAI lacks, one subject a file."""

from uniseg_nets.handlers.clip import ClipGradients

__all__ = ["ClipGradients"]
