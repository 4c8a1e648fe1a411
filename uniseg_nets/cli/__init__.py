"""The ``uniseg`` command."""

from uniseg_nets.cli.command import main

__all__ = ["main"]
