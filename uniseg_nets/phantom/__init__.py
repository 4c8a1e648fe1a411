"""Synthetic patients with labels for the official tasks, for tests, demonstrations and benchmarks only."""

from uniseg_nets.phantom.patient import Phantom, make_phantom
from uniseg_nets.phantom.pictures import write_phantom_pictures
from uniseg_nets.phantom.write import write_phantom_studies, write_phantom_tasks, write_phantoms

__all__ = [
    "Phantom",
    "make_phantom",
    "write_phantom_pictures",
    "write_phantom_studies",
    "write_phantom_tasks",
    "write_phantoms",
]
