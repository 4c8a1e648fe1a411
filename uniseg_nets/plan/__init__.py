"""From a data set to the overlay for fine-tuning: read, extract fingerprints, choose, write."""

from typing import TYPE_CHECKING

from uniseg_nets.io.lazy import lazy_names

if TYPE_CHECKING:
    from uniseg_nets.plan.options import PlanOptions
    from uniseg_nets.plan.plan import plan_dataset

__all__ = ["PlanOptions", "plan_dataset"]

__getattr__ = lazy_names(__name__, {"PlanOptions": "options", "plan_dataset": "plan"})
