"""The ``uniseg`` command: thin verbs over the bundles and the package."""

from __future__ import annotations

import logging
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import fire

from uniseg_nets.cli.images_2d import convert_2d, demo_2d, phantom_2d, segment_2d
from uniseg_nets.cli.share import merge_config, zip_bundle
from uniseg_nets.cli.try_out import demo, phantom, phantom_studies
from uniseg_nets.io.files import sha256_of
from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.weights.shipped import DEMO, OFFICIAL, OPEN, SHIPPED, files_by_name

__all__ = ["main"]

logger = logging.getLogger("uniseg")

_UPSTREAM = "uniseg_upstream"
_FINETUNE = "uniseg_finetune"
# Overlays that make a mode of the inference.
_MODES = {"accurate": ["accurate.json"], "balanced": [], "fast": ["fast.json"]}
# What a user can mend: a message is enough. Anything else is our fault and shows its traceback.
_USER_ERRORS = (ValueError, OSError)


def tasks(tasks_file: str | None = None) -> None:
    """List the tasks and the weights that know them: id, name, channels in order, spacing, label values of the classes.

    Args:
        tasks_file: a task table of your own (JSON), or the name of one, instead of all of this distribution.
    """
    if tasks_file is not None:
        _print_tasks(load_task_table(tasks_file))
        return
    for weights in (OFFICIAL, OPEN):
        print(f"weights {weights.name!r}: {weights.origin}")
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
    task: str | None = None,
    weights: str | None = None,
    mode: str = "balanced",
    mirror: bool | None = None,
    overlap: float | None = None,
    runtime: str | None = None,
    training_mask: bool | None = None,
    label_values: str = "global",
    tasks_file: str | None = None,
    device: str | None = None,
    report: bool = False,
    dicom_seg: bool = False,
    dicom_sr: bool = False,
    rtstruct: bool = False,
    slicer_seg: bool = False,
    bundle: str | None = None,
    plan: str | None = None,
) -> None:
    """Segment a scan, or every scan of a folder.

    Args:
        input: a NIfTI, NRRD or MHA file, a DICOM folder, a folder of such, an nnU-Net folder or a MONAI datalist.
        output: a folder; or a .nii.gz file, for one scan.
        task: what to segment, a name from `uniseg tasks`; several that read the same scans, as liver,spleen, make one
            map. A bundle of one task needs none.
        weights: checkpoint, ours or the official file, several folds' as "A.pt,B.pt"; by default those that know the
            task, see `uniseg tasks`; "demo" for the demo weights.
        mode: "accurate" as the official prediction, "balanced" without its mirroring, "fast" with less overlap and
            without work where nothing is found.
        mirror: average over all eight flips, at 8 times the work; the mode's own by default.
        overlap: share of a window that its neighbour covers; the mode's own by default.
        runtime: "openvino", "torch", "compile", or "auto": OpenVINO on a CPU where it is installed;
            "auto" by default, "torch" in the accurate mode.
        training_mask: scale brain MR as in training, by its non-zero voxels; the official prediction does not.
        label_values: "global" for the values that `uniseg tasks` lists, "task" for the task's own 1, 2, 3.
        tasks_file: the task table of the weights, where that is not the official one.
        device: such as "cpu" or "cuda:1"; a GPU where there is one by default.
        report: also write statistics, previews and report.html into the output folder.
        dicom_seg: also write a DICOM Segmentation of each case that came as DICOM.
        dicom_sr: also write its volumes as a DICOM Structured Report, with the Segmentation that it refers to.
        rtstruct: also write an RT Structure Set of each case that came as DICOM.
        slicer_seg: also write each label map as NAME.seg.nrrd, with names and colours, for 3D Slicer.
        bundle: another bundle than uniseg_upstream: a folder or a zip, such as `uniseg pack` writes.
        plan: what `uniseg plan` wrote, for weights that are fine-tuned and not packed.
    """
    if mode not in _MODES:
        raise ValueError(f"mode is {mode!r}, expected one of {', '.join(_MODES)}")
    from uniseg_nets.bundle.choose import ChosenInference
    from uniseg_nets.bundle.run import opened_bundle, run_bundle

    source = _existing(input)
    overlays = [] if plan is None else [str(Path(_existing(plan)).resolve())]
    options = {
        "mirror": mirror,
        "overlap": overlap,
        "runtime": runtime,
        "training_mask": training_mask,
        "label_values": label_values,
        "tasks_file": tasks_file,
        "report": bool(report) or None,
        "dicom_seg": bool(dicom_seg) or None,
        "dicom_sr": bool(dicom_sr) or None,
        "rtstruct": bool(rtstruct) or None,
        "slicer_seg": bool(slicer_seg) or None,
    }
    with opened_bundle(bundle or (_UPSTREAM if plan is None else _FINETUNE)) as root:
        files = None if weights is None else _listed(weights)
        chosen = ChosenInference(root, [*overlays, *_MODES[mode]], task, files, options)
        import torch

        from uniseg_nets.data import find_cases

        target = Path(str(output))
        to_file = target.name.endswith(".nii.gz")
        folder = target.parent if to_file else target
        cases = find_cases(source, None if to_file else folder)
        if to_file:
            if len(cases) > 1:
                raise ValueError(f"{input} holds {len(cases)} cases: name an output folder instead of {target}")
            cases[0]["name"] = target.name.removesuffix(".nii.gz")
        overrides = chosen.overrides()
        if device is not None:
            overrides["device"] = torch.device(device)
        run_bundle(root, chosen.configs, cases=cases, output_dir=str(folder), **overrides)


def _existing(path: Any) -> str:
    """A path that a user names, as text.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if not Path(str(path)).exists():
        raise FileNotFoundError(f"no file or folder {path}")
    return str(path)


def convert(source: str, target: str, to_official: bool = False, half: bool = False) -> None:
    """Convert a checkpoint to our layout and print what it holds.

    Args:
        source: the official release's file, or ours.
        target: file to write, also .safetensors; its SHA-256 goes beside it.
        to_official: write the official layout instead.
        half: write numbers of 16 bits, for half the size.
    """
    source = _existing(source)
    from uniseg_nets.weights.checkpoints import convert as convert_file

    found = convert_file(source, str(target), bool(to_official), bool(half))
    print(f"found:  {found}\nwrote:  {target}\nSHA-256 {sha256_of(str(target))}")


def fetch_weights(file: str | None = None, output: str | None = None) -> None:
    """Print the licence of the authors' weights, get them and put them where the bundle looks for them.

    Args:
        file: a checkpoint downloaded already (offline, behind a proxy); downloaded by default.
        output: another place than the bundle's models/model.pt.
    """
    from uniseg_nets.io.bundles import bundle_folder
    from uniseg_nets.weights.fetch import fetch_weights as fetch
    from uniseg_nets.weights.licence import AUTHORS_TERMS, terms_text

    target = Path(str(output)) if output else bundle_folder(_UPSTREAM) / "models" / "model.pt"
    print(terms_text(AUTHORS_TERMS), flush=True)
    found = fetch(target, None if file is None else str(file))
    print(f"found:  {found}\nwrote:  {target}\nSHA-256 {sha256_of(target)}")


def prepare(
    name: str,
    raw: str,
    output: str,
    task: str | None = None,
    split: str | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    tasks_file: str | None = None,
    group: str | None = None,
    download: bool = False,
) -> None:
    """Check a downloaded data set and add it to OUTPUT/datalist.json.

    Args:
        name: lits, kits, msd02 to msd04, msd06 to msd10, verse20, prostate, brats21, autopet22, btcv, vs, sunnybrook,
            openkbp, sts; or nnunet.
        raw: the data set's folder, as it was unpacked.
        output: folder of the datalist; several data sets gather in one.
        task: what the cases train, where the data set does not say.
        split: JSON with lists of case names, training and validation, such as the official split.
        validation_share: without a split, the share of cases drawn for validation, by patient.
        seed: of that draw.
        tasks_file: a task table of your own, or "open"; that of this distribution which has the task by default.
        group: regular expression that finds the patient in a case's name, as "patient[0-9]+", where several cases are
            of one.
        download: fetch the data to RAW first, where they are not there; msd02 and further only.
    """
    if not download:
        raw = _existing(raw)
    from uniseg_nets.prepare import prepare as prepare_data

    path = prepare_data(
        str(name),
        str(raw),
        str(output),
        load_task_table(tasks_file) if tasks_file else None,
        task,
        split,
        float(validation_share),
        seed,
        group=None if group is None else str(group),
        download=bool(download),
    )
    print(f"wrote {path}")


def plan(
    data: str,
    out: str = "plan.json",
    name: str | None = None,
    labels: str | None = None,
    channels: str | None = None,
    axes: str | None = None,
    ct_scaling: str = "percentiles",
    weights: str | None = None,
    slot: str | int | None = "nearest",
    folds: int = 5,
    memory_gib: float = 8.0,
    batch_size: int = 2,
    seed: int = 0,
    group: str | None = None,
    leave_out_faulty: bool = False,
) -> None:
    """Check a labelled data set and write the plan that fine-tuning takes.

    Args:
        data: an nnU-Net folder, a dataset.json or MONAI datalist, or folders of images and of label maps.
        out: the plan, a JSON file to lay over the configs of bundles/uniseg_finetune.
        name: of the task; the folder's by default.
        labels: what the values mean, as "50=organ,100=lesion", where the data set does not say.
        channels: modalities in order, as "CT,PET", where the data set does not say; CT means Hounsfield units.
        axes: order of the axes: "anatomical", or "acquisition" for slices of a stack first and the rest as stored; by
            default it follows from voxel sizes and headers.
        ct_scaling: of CT: "percentiles" of the data set's labelled voxels, or "window" for -325 to 325 HU.
        weights: pretrained UniSeg weights to start from, a file or "open" for the open weights; those of `uniseg
            fetch-weights` by default, where they are.
        slot: the task of the weights to start from, a name or an id; "nearest" in channels and classes; or "none" to
            cut the prompt off, as the authors do.
        folds: of the cross-validation, where the data set brings none.
        memory_gib: for a training step; the patch follows from it.
        batch_size: patches a step.
        seed: of the folds.
        group: regular expression that finds the patient in a case's name, as "patient[0-9]+"; a patient's cases get
            one fold.
        leave_out_faulty: plan without the cases that have a fault.
    """
    from uniseg_nets.io.bundles import bundle_folder

    data = _existing(data)
    if weights is not None:
        weights = _existing(files_by_name(bundle_folder(_UPSTREAM)).get(weights, weights))
    from uniseg_nets.data.groups import group_of
    from uniseg_nets.plan import PlanOptions, plan_dataset

    fetched = bundle_folder(_UPSTREAM) / "models" / "model.pt"
    if weights is None and fetched.is_file():
        weights = str(fetched)
    options = PlanOptions(
        name=None if name is None else str(name),
        labels=None if labels is None else _named_labels(labels),
        channels=None if channels is None else _listed(channels),
        axes=axes,
        ct_scaling=ct_scaling,
        weights=weights,
        slot=slot,
        folds=int(folds),
        memory_gib=float(memory_gib),
        batch_size=int(batch_size),
        seed=int(seed),
        group=None if group is None else str(group),
        leave_out_faulty=bool(leave_out_faulty),
    )
    found = plan_dataset(data, str(out), options)
    entry = found["task_entry"]
    start = f", task {found['slot']} of it" if "slot" in found else ""
    patients, used = ({read(case) for case in found["data"]} for read in (group_of, itemgetter("fold")))
    print(
        f"{entry['name']}: {len(found['data'])} cases of {len(patients)} patients in {len(used)} folds\n"
        f"channels {', '.join(entry['channels'])}; "
        f"labels {', '.join(f'{value} {label}' for value, label in zip(entry['values'], entry['classes']))}\n"
        f"axes in {entry['axes']} order, spacing {entry['spacing']} mm, patch {found['patch_size']} voxels (z, y, x)\n"
        f"pretrained weights: {weights or 'none, see `uniseg fetch-weights`; training starts from scratch'}{start}\n"
        f"wrote {out}"
    )


def pack(output: str, plan: str, weights: str, version: str = "1.0.0") -> None:
    """Pack a fine-tuned network as a bundle of its own, a versioned zip.

    Args:
        output: folder for the zip.
        plan: what `uniseg plan` wrote.
        weights: the training's model.pt; several folds' as "A.pt,B.pt".
        version: of the packed bundle.
    """
    plan, files = _existing(plan), [_existing(file) for file in _listed(weights)]
    from uniseg_nets.bundle.pack import pack_bundle

    print(f"wrote {pack_bundle(str(output), plan, files, str(version))}")


def _listed(words: Any) -> list[str]:
    """ "CT,PET" as typed, or as fire has split it already."""
    parts = words if isinstance(words, (list, tuple)) else str(words).split(",")
    return [str(part).strip() for part in parts]


def _named_labels(words: Any) -> dict[int, str]:
    pairs = [part.partition("=") for part in _listed(words)]
    if not all(value.strip().isdecimal() and int(value) and name.strip() for value, _, name in pairs):
        raise ValueError(f'labels is {words!r}, expected such as "50=organ,100=lesion"')
    return {int(value): name.strip() for value, _, name in pairs}


def label_app(app: str, bundle: str = _UPSTREAM, weights: str | None = None, demo: bool = False) -> None:
    """Make a MONAI Label app that serves a bundle, and print the command that starts it.

    Args:
        app: folder to make.
        bundle: a bundle of this distribution, or the folder or zip of one, such as `uniseg pack` writes.
        weights: the weights to serve, a file or "open"; the bundle's models/model.pt by default.
        demo: serve the demo weights, for trying out.
    """
    from uniseg_nets.bundle.run import opened_bundle

    with opened_bundle(str(bundle)) as root:
        from uniseg_nets.bundle.label_app import make_label_app

        shipped = {one.name: one for one in SHIPPED}.get(DEMO.name if demo else str(weights))
        if shipped is None:
            copy = make_label_app(str(app), root, weights=weights)
        else:
            overlays = [shipped.config] if shipped.config else []
            copy = make_label_app(str(app), root, overlays, root / "models" / shipped.file)
    print(
        f"wrote {copy}\nstart: MONAI_LABEL_DATASTORE_AUTO_RELOAD=false monailabel start_server --app {app} "
        f"--studies STUDIES --host 127.0.0.1 --conf models {copy.name} --conf zoo_source local --conf sam2 false"
    )


_VERBS = {
    "tasks": tasks,
    "segment": segment,
    "convert": convert,
    "fetch-weights": fetch_weights,
    "prepare": prepare,
    "plan": plan,
    "pack": pack,
    "zip-bundle": zip_bundle,
    "merge-config": merge_config,
    "label-app": label_app,
    "phantom": phantom,
    "phantom-studies": phantom_studies,
    "demo": demo,
    "segment-2d": segment_2d,
    "convert-2d": convert_2d,
    "phantom-2d": phantom_2d,
    "demo-2d": demo_2d,
}


def main() -> None:
    """Entry point of the console script and of ``python -m uniseg_nets``."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("ignite").setLevel(logging.ERROR)
    try:
        fire.Fire(_VERBS, name="uniseg")
    except _USER_ERRORS as error:
        logger.error("%s", error)
        sys.exit(1)
    except KeyboardInterrupt:
        logger.error("stopped; the same command goes on with the cases that are left")
        sys.exit(130)
