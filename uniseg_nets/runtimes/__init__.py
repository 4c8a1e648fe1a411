"""Runtimes that compute a network: PyTorch, or OpenVINO on a CPU, with one interface for the inferer."""

from uniseg_nets.renamed import renamed_names
from uniseg_nets.runtimes.channels_last import for_training
from uniseg_nets.runtimes.choose import in_bfloat16, resolved_runtime, with_runtime

__all__ = ["for_training", "in_bfloat16", "resolved_runtime", "with_runtime"]

__getattr__ = renamed_names(__name__, {"settled": "runtimes.resolved_runtime"})
