"""``python -m uniseg_nets``: the ``uniseg`` command."""

from uniseg_nets.cli.command import main

main()
