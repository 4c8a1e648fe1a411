"""From a data set to the one overlay that fine-tuning needs: read, examine, choose, write."""

from uniseg_nets.plan.plan import PlanOptions, plan_dataset

__all__ = ["PlanOptions", "plan_dataset"]
