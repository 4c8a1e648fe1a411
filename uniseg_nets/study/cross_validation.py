"""Cross-validation of a fine-tuning: trains each fold, evaluates it on its held-out cases, and pools the results.

The one rule: a finished fold is not trained again, and a stopped one continues where it stopped. Both hold for one
plan with its overlays and data, which the folder keeps: others are refused.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.datalist import image_files
from uniseg_nets.data.groups import group_of, refuse_divided
from uniseg_nets.io.bundles import bundle_folder, config_file
from uniseg_nets.io.files import read_json, write_csv, write_json
from uniseg_nets.io.messages import listing
from uniseg_nets.study.figures import bootstrap_interval, figures_of, patient_means, read_rows

__all__ = ["cross_validate", "pooled_table"]

logger = logging.getLogger(__name__)

_BUNDLE = "uniseg_finetune"
_SETTINGS = "settings.json"


def cross_validate(
    plan: str | PathLike[str],
    data: str | PathLike[str],
    output_dir: str | PathLike[str],
    folds: Sequence[int] | None = None,
    overlays: Sequence[str] = (),
) -> Path:
    """Trains and evaluates folds one after the other, each in a separate process; writes the pooled ``cases.csv``.

    Args:
        plan: file of ``uniseg plan``; its cases name their folds.
        data: folder of the data set of the plan.
        output_dir: folder; each fold writes to ``fold0/models``, ``fold0/runs`` and ``fold0/eval`` in it.
        folds: numbers of the folds to compute; by default all folds of the plan.
        overlays: configs that are merged over the plan, such as ``small.json``: names of the bundle's configs, or
            paths.

    Returns:
        The pooled file of all folds that have been evaluated so far.

    Raises:
        FileNotFoundError: the plan, the data set, a file of a case or an overlay does not exist.
        ValueError: the file is no plan, the plan lacks a fold or has a patient in several, or the folder has folds of
            another plan, of other overlays or of other data.
        ChildProcessError: a training or an evaluation failed; its own message is in the output above.
    """
    plan, data, output = (Path(path).resolve() for path in (plan, data, output_dir))
    if not data.is_dir():
        raise FileNotFoundError(f"no data set at {data}: name the folder that was planned")
    planned = read_json(plan).get("data")
    if not isinstance(planned, list) or not planned or not all(_is_planned(case) for case in planned):
        raise ValueError(
            f"{plan} is no plan: it lacks data, cases with a name, a fold, an image and a label; `uniseg plan` writes "
            "one"
        )
    refuse_divided(((case["name"], group_of(case), f"fold {case['fold']}") for case in planned), str(plan))
    known = sorted({int(case["fold"]) for case in planned})
    chosen = known if folds is None else list(folds)
    unknown = [fold for fold in chosen if fold not in known]
    if unknown:
        raise ValueError(f"no fold {', '.join(map(str, unknown))} in {plan}: it has {', '.join(map(str, known))}")
    sizes = _sizes(planned, data, plan)
    root = bundle_folder(_BUNDLE)
    configs = [root / "configs" / "train.json", plan, *(config_file(name, root) for name in overlays)]
    overlaid = [read_json(config) for config in configs[2:]]
    _claim(output, {"plan": read_json(plan), "overlays": overlaid, "bytes": sizes})
    for fold in chosen:
        folder = output / f"fold{fold}"
        common = {"dataset_dir": data, "ckpt_dir": folder / "models"}
        if not (folder / "models" / "model_final.pt").is_file():
            logger.info("fold %d of %d: training", fold, len(known))
            places = {"output_dir": folder / "runs", "cache_dir": output / "cache"}
            _run(root, configs, fold, common | places | {"resume": True})
        logger.info("fold %d of %d: evaluation", fold, len(known))
        _run(root, [*configs, root / "configs" / "evaluate.json"], fold, common | {"output_dir": folder / "eval"})
    return _pool(output, known)


def _sizes(cases: Sequence[Mapping[str, Any]], data: Path, plan: Path) -> dict[str, int]:
    """The bytes of each file of the plan, by which another data set is recognised wherever the data lie.

    Raises:
        FileNotFoundError: a file does not exist; the message has the names.
    """
    files = list(dict.fromkeys(file for case in cases for file in (*image_files(case), str(case["label"]))))
    missing = [file for file in files if not (data / file).exists()]
    if missing:
        raise FileNotFoundError(
            f"{data} lacks {len(missing)} of {len(files)} files of {plan}: {listing(missing)}: name the folder that "
            "was planned"
        )
    return {file: _bytes(data / file) for file in files}


def _bytes(path: Path) -> int:
    """The size of a file, or of the files in the folder of a DICOM series."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _claim(output: Path, settings: dict[str, Any]) -> None:
    """Keeps plan, overlays and sizes of the data in the folder, and refuses others there.

    Folders of earlier versions have no sizes. Where no fold was begun, as after a mistake in an overlay, any are taken.
    """
    kept = output / _SETTINGS
    folds = any(output.glob("fold*"))
    if folds and kept.is_file():
        begun = read_json(kept)
        if any(begun[key] != settings.get(key) for key in begun if key != "bytes"):
            raise ValueError(
                f"{output} has folds of another plan or of other overlays ({kept.name}), whose networks may have "
                "learnt from cases that this plan holds out: choose another folder, or remove that one"
            )
        others = [file for file, size in begun.get("bytes", {}).items() if settings["bytes"].get(file) != size]
        if others:
            raise ValueError(
                f"{output} was begun with other data ({kept.name}): other sizes have {listing(others)}: name the data "
                "that it was begun with, or choose another folder"
            )
        return
    if folds:
        raise ValueError(
            f"{output} has folds and no {_SETTINGS}, which says what plan they are of: choose another folder, or move "
            "these folds away"
        )
    write_json(kept, settings)


def _is_planned(case: Any) -> bool:
    return isinstance(case, Mapping) and isinstance(case.get("fold"), int) and {"name", "image", "label"} <= set(case)


def _run(root: Path, configs: Sequence[Path], fold: int, options: dict[str, Any]) -> None:
    """Runs ``python -m monai.bundle run`` as a user would type it, so that a fold alone gives the same result."""
    files = "[" + ",".join(f"'{config}'" for config in configs) + "]"
    options = {"bundle_root": root, "fold": fold, **options}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    ended = subprocess.run([sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *words], check=False)
    if ended.returncode:
        raise ChildProcessError(
            f"fold {fold} ended with status {ended.returncode}; its reason is above. The same command goes on from "
            "there"
        )


def _pool(output: Path, folds: Sequence[int]) -> Path:
    done = [fold for fold in folds if (output / f"fold{fold}" / "eval" / "cases.csv").is_file()]
    if len(done) < len(folds):
        logger.warning("%d of %d folds are evaluated: the table has only these", len(done), len(folds))
    rows: list[dict[str, Any]] = []
    for fold in done:
        evaluation = output / f"fold{fold}" / "eval"
        own = read_rows(evaluation)
        if rows and own and rows[0].keys() - {"fold"} != own[0].keys():
            raise ValueError(
                f"{evaluation / 'cases.csv'} has other columns than the folds before it, so that one of them is of "
                "another version: move the eval folders away, and run the same command to evaluate again"
            )
        rows += [{"fold": fold, **row} for row in own]
    write_csv(output / "cases.csv", rows)
    return output / "cases.csv"


def pooled_table(cases: str | PathLike[str], ceilings: Mapping[tuple[str, str], float] | None = None) -> str:
    """Markdown table of an evaluation: means over patients with 95 % bootstrap intervals, and the number of misses.

    A missed class counts with a Dice and an NSD of 0; HD95 is the mean over the patients who have one.

    Args:
        cases: the evaluation's ``cases.csv``, or its folder.
        ceilings: (task, class) -> the highest Dice that the network's resolution allows; adds a column.
    """
    rows = read_rows(cases)
    figures = {metric: figures_of(rows, metric) for metric in ("dice", "nsd", "hd95_mm")}
    states = [(row["task"], row["class"], row["status"]) for row in rows]
    head = ["task", "class", "patients (cases)", "Dice", "95 %", "lowest", "NSD", "HD95 (mm)", "missed"]
    head += [] if ceilings is None else ["ceiling"]
    lines = [_row(head), _row(["---"] * len(head))]
    for (task, name), dice in figures["dice"].items():
        means = patient_means(dice)
        low, high = bootstrap_interval(means)
        nsd, hd95 = (_mean(figures[metric].get((task, name), {})) for metric in ("nsd", "hd95_mm"))
        missed = sum(state in ((task, name, "missed"), (task, name, "false_negative")) for state in states)
        interval = f"{low:.3f} to {high:.3f}" if len(means) > 1 else "-"
        cells = [task, name, f"{len(means)} ({len(dice)})", f"{means.mean():.3f}", interval]
        cells += [f"{min(dice.values()):.3f}", f"{nsd:.3f}", f"{hd95:.1f}", str(missed)]
        cells += [] if ceilings is None else [f"{ceilings.get((task, name), float('nan')):.3f}"]
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mean(figures: Mapping[tuple[str, str], float]) -> float:
    return float(patient_means(figures).mean()) if figures else float("nan")
