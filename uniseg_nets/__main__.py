"""``python -m uniseg_nets``: the ``uniseg`` command."""

from uniseg_nets.cli import main

main()
