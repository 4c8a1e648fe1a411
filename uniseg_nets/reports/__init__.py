"""Reports on runs and evaluations: metrics, pictures, pages."""

from uniseg_nets.reports.evaluation import Report
from uniseg_nets.reports.run import ReportCased, RunReport

__all__ = ["Report", "ReportCased", "RunReport"]
