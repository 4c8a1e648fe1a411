"""The verbs of the ``uniseg`` command for trying it out: synthetic patients, and the demo on them."""

from __future__ import annotations

from uniseg_nets.tasks import load_task_table

__all__ = ["demo", "phantom", "phantom_studies"]


def phantom(output: str, task: str | None = None, count: int = 1, validation: int = 0, seed: int = 0) -> None:
    """Write synthetic patients with labels: nnU-Net folders OUTPUT/TASK and one datalist.json over all of them.

    Args:
        output: folder.
        task: one task's name; all tasks by default.
        count: patients a task, for training.
        validation: further patients a task, for validation.
        seed: of the first patient; the same seed gives the same patient.
    """
    from uniseg_nets.phantom import write_phantom_tasks

    table = load_task_table()
    selected = table.tasks if task is None else table.select(task)
    path = write_phantom_tasks(str(output), selected, count, validation, seed)
    print(f"wrote {len(selected)} tasks with {count + validation} patients each: {path}")


def phantom_studies(output: str) -> None:
    """Write synthetic scans as a MONAI Label server wants its studies: one file a scan, channels in one 4D file.

    Args:
        output: folder.
    """
    from uniseg_nets.phantom import write_phantom_studies

    print(f"wrote {', '.join(write_phantom_studies(str(output), load_task_table()))} to {output}")


def demo(output: str = "demo", real: bool = False) -> None:
    """Try it out: segment both hippocampi of a real brain, and synthetic patients of three modalities.

    Args:
        output: folder for scans, label maps, table and preview.png.
        real: segment real scans with references instead, fetched from the Medical Segmentation Decathlon (27 MB).
    """
    from uniseg_nets.demo import run_demo, run_real_demo

    print(run_real_demo(str(output)) if real else run_demo(str(output)))
