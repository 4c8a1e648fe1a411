"""What computes a network: PyTorch, or OpenVINO on a CPU, with one interface towards the inferer."""

from uniseg_nets.runtimes.choose import with_runtime

__all__ = ["with_runtime"]
