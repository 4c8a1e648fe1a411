"""The verbs of the ``uniseg`` command that make data sets and plans for a training."""

from __future__ import annotations

from operator import itemgetter
from typing import Literal

from uniseg_nets.cli.values import (
    at_least,
    existing,
    existing_file,
    labels_of,
    listed,
    new_file,
    new_folder,
    regular_expression,
    share_below_one,
    weights_file,
)
from uniseg_nets.io.bundles import bundle_folder, model_file
from uniseg_nets.tasks import load_task_table

__all__ = ["plan", "prepare"]


def prepare(
    name: str,
    raw: str,
    output: str,
    *,
    task: str | None = None,
    split: str | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    tasks_file: str | None = None,
    group: str | None = None,
    download: bool = False,
    others_as_background: bool = False,
) -> None:
    """Check a downloaded data set and add it to OUTPUT/datalist.json.

    Args:
        name: lits, kits, msd02, msd03, msd04, msd06, msd07, msd08, msd09, msd10, verse20, prostate, brats21, autopet22,
            btcv, vs, sunnybrook, openkbp, sts; or nnunet.
        raw: folder of the unpacked data set.
        output: folder of the datalist, which can have several data sets.
        task: task of the cases, if the data set does not determine it.
        split: JSON with lists of case names, training and validation, such as the official split.
        validation_share: without a split, the share of cases drawn for validation, by patient.
        seed: seed of that draw.
        tasks_file: your own task table, or "open"; by default the table of this distribution that has the task.
        group: regular expression that finds the patient in a case's name, as "patient[0-9]+"; needed if patients have
            several cases.
        download: download the data to RAW first if they are missing; only for msd02 to msd10.
        others_as_background: of an nnU-Net folder, make labels that are no class of the task background, as the other
            organs for a task of one organ; without it they are refused.
    """
    if not download:
        raw = existing(raw)
    new_folder(output)
    at_least(0, seed=seed)
    share_below_one("--validation_share", validation_share)
    regular_expression("--group", group)
    if split is not None:
        existing_file(split, "--split, a JSON file")
    table = load_task_table(tasks_file) if tasks_file else None
    from uniseg_nets.prepare import prepare as prepare_data

    path = prepare_data(
        name, raw, output, table, task, split, validation_share, seed, group, download, others_as_background
    )
    print(f"wrote {path}")


def plan(
    data: str,
    out: str = "plan.json",
    *,
    name: str | None = None,
    labels: str | None = None,
    channels: str | None = None,
    axes: Literal["anatomical", "acquisition"] | None = None,
    ct_scaling: Literal["percentiles", "window"] = "percentiles",
    weights: str | None = None,
    slot: str | None = "nearest",
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
        out: the plan, a JSON file that is merged over the configs of uniseg_finetune; another plan that is there stays.
        name: name of the task; by default that of the folder.
        labels: names of the label values, as "50=organ,100=lesion", if the data set has none.
        channels: modalities in order, as "CT,PET", if the data set names none; CT means Hounsfield units.
        axes: order of the axes: "anatomical", or "acquisition" for the slice axis of a stack first and the others as
            stored; by default it follows from voxel sizes and headers.
        ct_scaling: scaling of CT: "percentiles" of the data set's labelled voxels, or "window" for -325 to 325 HU.
        weights: pretrained UniSeg weights, a file or "open" for the open weights; "none" for none, as a packed bundle
            needs it, which learns further from its own; by default those of `uniseg fetch-weights`, if they exist.
        slot: task of the weights whose prompt is the start, a name or an id; "nearest" for the most similar channels
            and classes; "none" for a network without prompt, as the authors do.
        folds: number of cross-validation folds, if the data set defines none.
        memory_gib: memory of a training step in GiB, which determines the patch.
        batch_size: patches per step.
        seed: seed of the folds.
        group: regular expression that finds the patient in a case's name, as "patient[0-9]+"; all cases of a patient
            get the same fold.
        leave_out_faulty: plan without the faulty cases.
    """
    at_least(1, batch_size=batch_size)
    at_least(0, seed=seed)
    regular_expression("--group", group)
    upstream = bundle_folder("uniseg_upstream")
    data = existing(data)
    new_file(out, "OUT")
    if weights == "none":
        weights = None
    elif weights is not None:
        weights = weights_file(weights)
    elif model_file(upstream).is_file():
        weights = str(model_file(upstream))
    values = None if labels is None else labels_of(labels)
    from uniseg_nets.data.groups import group_of
    from uniseg_nets.plan import PlanOptions, plan_dataset

    options = PlanOptions(
        name=name,
        labels=values,
        channels=None if channels is None else listed(channels),
        axes=axes,
        ct_scaling=ct_scaling,
        weights=weights,
        slot=slot,
        folds=folds,
        memory_gib=memory_gib,
        batch_size=batch_size,
        seed=seed,
        group=group,
        leave_out_faulty=leave_out_faulty,
    )
    result = plan_dataset(data, out, options)
    entry = result["task_entry"]
    none = "none, see `uniseg fetch-weights`; uniseg_finetune starts from scratch"
    start = f", task {result['slot']} of it" if "slot" in result else ""
    patients, used = ({read(case) for case in result["data"]} for read in (group_of, itemgetter("fold")))
    print(
        f"{entry['name']}: {len(result['data'])} cases of {len(patients)} patients in {len(used)} folds\n"
        f"channels {', '.join(entry['channels'])}; "
        f"labels {', '.join(f'{value} {label}' for value, label in zip(entry['values'], entry['classes']))}\n"
        f"axes in {entry['axes']} order, spacing {entry['spacing']} mm, patch {result['patch_size']} voxels (z, y, x)\n"
        f"pretrained weights: {weights or none}{start}\n"
        f"wrote {out}"
    )
