"""From a data set to the overlay for fine-tuning: read, extract fingerprints, choose, write."""

from uniseg_nets.plan.plan import PlanOptions, plan_dataset

__all__ = ["PlanOptions", "plan_dataset"]
