"""The task tables: each task's channels, preprocessing and classes.

This package imports no torch.
"""

from uniseg_nets.tasks.load import chosen, load_task_table, shipped_table, table_of
from uniseg_nets.tasks.sides import sided_classes
from uniseg_nets.tasks.table import TaskTable
from uniseg_nets.tasks.task import ANISOTROPY, AXES, MASKS, SCHEMES, STACK, Scaling, Task

__all__ = [
    "ANISOTROPY",
    "AXES",
    "MASKS",
    "SCHEMES",
    "STACK",
    "Scaling",
    "Task",
    "TaskTable",
    "chosen",
    "load_task_table",
    "shipped_table",
    "sided_classes",
    "table_of",
]
