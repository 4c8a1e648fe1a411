"""What computes a network: PyTorch, or OpenVINO on a CPU, with one interface towards the inferer."""

from uniseg_nets.runtimes.choose import in_bfloat16, settled, with_runtime

__all__ = ["in_bfloat16", "settled", "with_runtime"]
