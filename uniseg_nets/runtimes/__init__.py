"""Runtimes that compute a network: PyTorch, or OpenVINO on a CPU, with one interface for the inferer.

OpenVINO and NNCF report their use to their makers if the package ``openvino_telemetry`` is there. It is hidden from
them here, since this package promises that nothing is sent.
"""

import sys

from uniseg_nets.runtimes.channels_last import for_training
from uniseg_nets.runtimes.choose import in_bfloat16, resolved_runtime, with_runtime

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = ["for_training", "in_bfloat16", "resolved_runtime", "with_runtime"]
