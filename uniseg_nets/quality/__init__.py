"""A verdict on every case: measurements of the case, their usual ranges in training, and the sentences for users."""

from uniseg_nets.quality.fit import FingerprintFile
from uniseg_nets.quality.inferer import MeasuredInferer
from uniseg_nets.quality.judge import Judge
from uniseg_nets.quality.review import StrictReview
from uniseg_nets.quality.transforms import CheckScand, Judged
from uniseg_nets.quality.verdict import Reason, Verdict

__all__ = [
    "CheckScand",
    "FingerprintFile",
    "Judge",
    "Judged",
    "MeasuredInferer",
    "Reason",
    "StrictReview",
    "Verdict",
]
