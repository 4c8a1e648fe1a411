"""The verbs of the ``uniseg`` command for trying it out: synthetic patients and images, and the demos on them."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.cli.values import absent_file, at_least, new_folder
from uniseg_nets.tasks import load_task_table

__all__ = ["demo", "demo_2d", "phantom", "phantom_2d", "phantom_studies"]


def demo(output: str = "demo", *, real: bool = False) -> None:
    """Try it out: segment both hippocampi of a real brain, and synthetic patients of three modalities.

    Args:
        output: folder for scans, label maps, table and preview.png.
        real: segment real scans with references instead; downloads 27 MB of the Medical Segmentation Decathlon.
    """
    new_folder(output)
    from uniseg_nets.demo import run_demo, run_real_demo

    print(run_real_demo(output) if real else run_demo(output))


def demo_2d(output: str = "demo-2d") -> None:
    """Try out ESP-MedSAM: recognise and segment synthetic 2D images of six modalities with the demo weights.

    Args:
        output: folder for images, masks, overlays and table.
    """
    new_folder(output)
    from uniseg_nets.demo.images_2d import run_demo

    print(run_demo(output))


def phantom(output: str, *, task: str | None = None, count: int = 1, validation: int = 0, seed: int = 0) -> None:
    """Write synthetic patients with labels: nnU-Net folders OUTPUT/TASK and one datalist.json over all of them.

    Args:
        output: folder.
        task: one task's name; all tasks by default.
        count: patients per task, for training.
        validation: further patients per task, for validation.
        seed: seed of the first patient; the same seed gives the same patient.
    """
    _refuse_present(output, "datalist.json")
    _check_counts(count, validation, seed)
    table = load_task_table()
    selected = table.tasks if task is None else table.select(task)
    from uniseg_nets.phantom import write_phantom_tasks

    path = write_phantom_tasks(output, selected, count, validation, seed)
    print(f"wrote {len(selected)} tasks with {count + validation} patients each: {path}")


def phantom_studies(output: str) -> None:
    """Write synthetic scans as a MONAI Label server wants its studies: one file per scan, channels in one 4D file.

    Args:
        output: folder.
    """
    table = load_task_table()
    _refuse_present(output, *(f"{task.name}.nii.gz" for task in table))
    from uniseg_nets.phantom import write_phantom_studies

    print(f"wrote {', '.join(write_phantom_studies(output, table))} to {output}")


def phantom_2d(output: str, *, count: int = 1, validation: int = 0, seed: int = 0) -> None:
    """Write synthetic 2D images of six modalities with masks, and a datalist.json over them.

    Args:
        output: folder.
        count: images per modality, for training.
        validation: further images per modality, for validation.
        seed: seed of the first image; the same seed gives the same image.
    """
    _refuse_present(output, "datalist.json")
    _check_counts(count, validation, seed)
    from uniseg_nets.phantom import write_phantom_pictures

    print(f"wrote {write_phantom_pictures(output, count, validation, seed)}")


def _refuse_present(output: str, *files: str) -> None:
    """Refuses a folder with one of these files, which would be replaced."""
    folder = Path(new_folder(output))
    for file in files:
        absent_file(str(folder / file), "OUTPUT")


def _check_counts(count: int, validation: int, seed: int) -> None:
    at_least(0, count=count, validation=validation, seed=seed)
    if not count + validation:
        raise ValueError("--count and --validation are 0, expected 1 or more of either: nothing would be written")
