"""Sliding-window inference: for one task or several, for ensembles, for a centre's own tensors."""

from uniseg_nets.inferers.centre import CentreInferer, centre_sha256, checked_centre
from uniseg_nets.inferers.sliding_window import EnsembleInferer, UniSegInferer

__all__ = ["CentreInferer", "EnsembleInferer", "UniSegInferer", "centre_sha256", "checked_centre"]
