"""The verbs of the ``uniseg`` command that segment scans and list the tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from uniseg_nets.cli.values import (
    bundle_and_overlays,
    existing,
    listed,
    new_file,
    new_folder,
    one_or_several,
    share_below_one,
)
from uniseg_nets.io.bundles import mode_configs
from uniseg_nets.io.light import import_monai_for_inference
from uniseg_nets.io.messages import listing
from uniseg_nets.io.names import DICOM_ENDINGS, SCAN_ENDINGS
from uniseg_nets.parts import part_of
from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.weights.shipped import OFFICIAL, OPEN

__all__ = ["segment", "tasks"]


def tasks(tasks_file: str | None = None) -> None:
    """List the tasks and the weights that know them: id, name, channels in order, spacing, label values of the classes.

    Args:
        tasks_file: your own task table (JSON), or the name uniseg or open; by default both tables of this distribution.
    """
    if tasks_file is not None:
        _print_tasks(load_task_table(tasks_file))
        return
    for weights in (OFFICIAL, OPEN):
        print(f"weights {weights.name!r}: {weights.origin} ({weights.licence})")
        _print_tasks(load_task_table(weights.table))
        print()


def _print_tasks(table: TaskTable) -> None:
    print(f"{'id':>2}  {'name':<18} {'channels':<20} {'spacing z,y,x mm':<17} classes (value in the label map)")
    for task in table:
        classes = ", ".join(f"{name} ({value})" for name, value in zip(task.classes, task.values))
        spacing = ", ".join(f"{mm:g}" for mm in task.spacing)
        print(f"{task.id:>2}  {task.name:<18} {', '.join(task.channels):<20} {spacing:<17} {classes}")
    for name, members in table.groups.items():
        print(f" -  {name:<18} one merged map of {', '.join(task.name for task in members)}")


def segment(
    input: str,
    output: str,
    *,
    task: str | None = None,
    weights: str | None = None,
    mode: Literal["accurate", "balanced", "fast"] = "balanced",
    mirror: bool | None = None,
    mirror_axes: str | None = None,
    overlap: float | None = None,
    runtime: Literal["auto", "torch", "compile", "openvino", "tensorrt"] | None = None,
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None,
    training_mask: bool | None = None,
    label_values: Literal["global", "task"] = "global",
    tasks_file: str | None = None,
    device: str | None = None,
    report: bool = False,
    dicom_seg: bool = False,
    dicom_sr: bool = False,
    rtstruct: bool = False,
    slicer_seg: bool = False,
    bundle: str | None = None,
    plan: str | None = None,
    strict: bool = False,
    force: bool = False,
    check_flips: bool = False,
    part: str | None = None,
    shared: bool = False,
) -> None:
    """Segment a scan, or every scan of a folder.

    Args:
        input: a NIfTI, NRRD or MHA file, a DICOM folder, a folder of such, an nnU-Net folder or a MONAI datalist, of
            which cases that name another task are left out.
        output: a folder; or a .nii.gz file, for one scan.
        task: what to segment, a name from `uniseg tasks`; several that read the same scans, as liver,spleen, make one
            map. A bundle of one task needs none.
        weights: a checkpoint of this package or of the authors, or a name such as "demo"; of a fine-tuned bundle also
            several, one per fold, as "A.pt,B.pt"; by default those that have the task, see `uniseg tasks`.
        mode: "accurate" as the official prediction, "balanced" without its mirroring, "fast" with less overlap and
            only where a coarse pass found something.
        mirror: average over all eight flips, which is 8 times the work; by default as the mode says.
        mirror_axes: mirror along these axes alone, as "x", which is twice the work, or "yx"; by default "zyx".
        overlap: share of a window that its neighbour covers, from 0 up to but not including 1; by default as the mode
            says.
        runtime: "auto" is OpenVINO on a CPU where it is installed, else PyTorch; "auto" by default, "torch" in the
            accurate mode; "tensorrt" is for an NVIDIA GPU, and "auto" where it cannot compute.
        precision: "auto" is bfloat16 where the processor has it, else float32; "int8" needs OpenVINO and, once per
            task, `uniseg calibrate`.
        training_mask: scale brain MR as in training, by its non-zero voxels; the official prediction does not.
        label_values: "global" for the values that `uniseg tasks` lists, "task" for the task's own 1, 2, 3.
        tasks_file: the task table of the weights, if it is not the official one.
        device: such as "cpu" or "cuda:1"; by default a GPU if there is one.
        report: also write statistics, previews and report.html into the output folder.
        dicom_seg: also write a DICOM Segmentation of each case that came as DICOM.
        dicom_sr: also write its volumes as a DICOM Structured Report, with the Segmentation that it refers to.
        rtstruct: also write an RT Structure Set of each case that came as DICOM.
        slicer_seg: also write each label map as NAME.seg.nrrd, with names and colours, for 3D Slicer.
        bundle: another bundle than uniseg_upstream: a folder or a zip, such as `uniseg pack` writes.
        plan: file of `uniseg plan`, for weights that are fine-tuned and not packed; it can hold code, as all configs.
        strict: count a case with the verdict "check" as failed.
        force: also compute cases that are refused.
        check_flips: compute each case a second time, mirrored, and compare, for its verdict; twice the work.
        part: do the K-th of N parts of the cases, as "3/8"; in a job of a Slurm array N is enough, as "8".
        shared: share the cases with other processes of the same command: none is done twice, and those that a process
            held when it died are taken over. `uniseg merge` makes the report.
    """
    from uniseg_nets.bundle.choose import ChosenInference
    from uniseg_nets.bundle.run import opened_bundle, run_bundle

    source = existing(input)
    if Path(output).name == ".nii.gz":
        raise ValueError(f"{output} has no name before .nii.gz: name a folder, or a file such as labels.nii.gz")
    if output.endswith(".nii.gz"):
        new_file(output, "OUTPUT")
    elif output.lower().endswith((*SCAN_ENDINGS, *DICOM_ENDINGS)):
        raise ValueError(f"{output} is no folder and no .nii.gz file: label maps are written as .nii.gz")
    else:
        new_folder(output)
    if overlap is not None:
        share_below_one("overlap", overlap)
    if part is not None:
        part_of(part)
    bundle, overlays = bundle_and_overlays(bundle, plan)
    options = {
        "task": None if task is None else one_or_several(task),
        "weights": None if weights is None else listed(weights),
        "device": device,
        "mirror": True if mirror is None and mirror_axes is not None else mirror,
        "mirror_axes": mirror_axes,
        "overlap": overlap,
        "runtime": runtime,
        "precision": precision,
        "training_mask": training_mask,
        "label_values": label_values,
        "tasks_file": tasks_file,
        "report": report or None,
        "dicom_seg": dicom_seg or None,
        "dicom_sr": dicom_sr or None,
        "rtstruct": rtstruct or None,
        "slicer_seg": slicer_seg or None,
        "strict": strict or None,
        "force": force or None,
        "check_flips": check_flips or None,
        "part": part,
        "shared": shared or None,
    }
    with opened_bundle(bundle) as root:
        overlays += [file.name for file in mode_configs(root, mode)]
        given = {name: value for name, value in options.items() if value is not None}
        chosen = ChosenInference(root, overlays, **given)
        import_monai_for_inference()
        from uniseg_nets.data import find_cases

        target = Path(output).absolute()
        to_file = target.name.endswith(".nii.gz")
        folder = target.parent if to_file else target
        cases = find_cases(source, None if to_file else folder, *chosen.tasks())
        if to_file:
            if len(cases) > 1:
                names = listing([case["name"] for case in cases])
                raise ValueError(
                    f"{input} holds {len(cases)} cases ({names}): name an output folder instead of {target}"
                )
            cases[0]["name"] = target.name.removesuffix(".nii.gz")
        values = {**chosen.overrides(), "output_dir": str(folder)}
        run_bundle(root, chosen.configs, cases=cases, **values)
