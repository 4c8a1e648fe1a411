"""The smallest size of a scan per organ, for checks without a fingerprint.

The sizes are about a third smaller than an adult's organ, so that scans of children and crops around an organ pass.
"""

from __future__ import annotations

from uniseg_nets.tasks import Task

__all__ = ["smallest_field_mm"]

# Task name -> shortest side in mm of a scan that can contain the organ.
_SMALLEST_MM = {
    "liver": 90.0,
    "kidney": 60.0,
    "hepatic_vessel": 80.0,
    "pancreas": 40.0,
    "colon": 60.0,
    "lung": 90.0,
    "spleen": 50.0,
    "vertebrae": 30.0,
    "prostate": 25.0,
    "brain_tumour": 80.0,
    "whole_body_tumour": 80.0,
    "hippocampus": 20.0,
    "left_atrium": 40.0,
    "left_ventricle": 30.0,
    "head_neck": 60.0,
    "sarcoma": 20.0,
}
# For other tasks: a smaller scan shows no part of a body.
_ANY_MM = 5.0


def smallest_field_mm(task: Task) -> float:
    """The shortest side in mm that a scan of the task must have."""
    return _SMALLEST_MM.get(task.name, _ANY_MM)
