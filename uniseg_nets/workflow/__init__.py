"""A folder of scans as jobs of a scheduler: a Snakemake workflow and a Slurm array."""

from uniseg_nets.workflow.write import write_workflow

__all__ = ["write_workflow"]
