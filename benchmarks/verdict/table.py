"""What the verdict is worth, as Markdown tables, from what :mod:`benchmarks.verdict.measure` wrote.

    python -m benchmarks.verdict.table WEIGHTS ROWS.jsonl

The fingerprint lies beside the weights; its usual ranges are those of training cases alone. The rows are held cases.
The Dice of each is estimated by a regression on the other rows, without those of its patient.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.verdict.measure import DEGRADED
from benchmarks.verdict.rows import measured_of, properties_of
from uniseg_nets.quality.estimate import DiceEstimate, KnownDice
from uniseg_nets.quality.judge import LOW_FLIPS, Judge
from uniseg_nets.quality.reference import LAYERS
from uniseg_nets.quality.verdict import OK, Verdict
from uniseg_nets.tasks import TaskTable, load_task_table

GOOD = 0.7  # Dice


@dataclass(frozen=True, eq=False)
class Judged:
    """A row with its verdict.

    Attributes:
        own, requested: the scan's task and the one that it went through.
        fault: what was done to the scan; empty for nothing.
        dice: against the reference; ``None`` where there is none.
        verdict: on it.
        signs: how far it lies from training's cases, by name; empty where the network did not run.
        level: mean Dice of the requested task's held cases, without those of its patient; ``None`` for a task with too
            few cases for an estimate.
        seconds: of the case; ``None`` likewise.
    """

    own: str
    requested: str
    fault: str
    dice: float | None
    verdict: Verdict
    signs: dict[str, float]
    level: float | None
    seconds: float | None

    def flagged(self, layers: Iterable[str]) -> bool:
        """Whether some layers alone would call for a look."""
        return any(reason.layer in layers for reason in self.verdict.reasons)


def judged(row: dict[str, Any], judge: Judge, tasks: TaskTable) -> Judged:
    """A measured row's verdict; a scan of other channels than the task's is refused by its number of channels."""
    task, properties = tasks.one(row["requested"]), properties_of(row)
    before = Verdict(tuple(judge.scan_reasons(properties, [task])))
    head = (row["own"], row["requested"], row["fault"], row["dice"])
    assert judge.fingerprint is not None and judge.fingerprint.estimate is not None
    level = judge.fingerprint.estimate.levels.get(task.name)
    if row["numbers"] is None:
        return Judged(*head, before, {}, level, None)
    measured = measured_of(row)
    verdict = judge.after(before, {task.name: measured.measures}, task.name)
    reference = judge.fingerprint.tasks[task.name]
    away = [
        channel.distances.distance(channel.distance(quantiles))
        for channel, quantiles in zip(reference.channels, properties.quantiles)
    ]
    signs = {"intensities": max(away), **reference.signs(measured.measures, task)}
    return Judged(*head, verdict, signs, level, measured.seconds)


def own_judges(rows: Sequence[dict[str, Any]], judge: Judge, tasks: TaskTable) -> dict[str, Judge]:
    """Patient -> a judge whose estimate has seen no scan of the patient."""
    fingerprint = judge.fingerprint
    assert fingerprint is not None
    known = []
    for row in rows:
        if row["own"] == row["requested"] and row["fault"] in ("", DEGRADED):
            measured = measured_of(row)
            assert measured.dice is not None
            signs = fingerprint.tasks[row["own"]].signs(measured.measures, tasks.one(row["own"]))
            known.append(KnownDice(row["own"], row["patient"], signs, measured.dice, worse=bool(row["fault"])))
    judges = {}
    for patient in {row["patient"] for row in rows}:
        estimate = DiceEstimate.without_error([one for one in known if one.patient != patient], held=True)
        judges[patient] = Judge(tasks, weights=judge.weights)
        judges[patient].fingerprint = replace(fingerprint, estimate=estimate)
    return judges


def auroc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """The probability that a bad case has the higher score than a good one."""
    values, wrong = np.asarray(scores), np.asarray(bad)
    if wrong.all() or not wrong.any():
        return float("nan")
    worse = stats.mannwhitneyu(values[wrong], values[~wrong]).statistic  # pairs that are in order; a tie is half of one
    return float(worse / (wrong.sum() * (~wrong).sum()))


def print_pairs(rows: list[Judged], tasks: TaskTable) -> None:
    """Share called ok, of every task's scans through every task."""
    print(f"| scan of | {' | '.join(f'as {task.name}' for task in tasks)} |\n|---|{'---|' * len(tasks)}")
    for own in tasks:
        cells = []
        for requested in tasks:
            cell = [row for row in rows if (row.own, row.requested, row.fault) == (own.name, requested.name, "")]
            more_channels = len(requested.channels) > len(own.channels)
            ok = sum(row.verdict.word == OK for row in cell)
            cells.append("refused: channels" if more_channels else f"{ok} of {len(cell)} ok")
        print(f"| {own.name} | {' | '.join(cells)} |")


def print_faults(rows: list[Judged]) -> None:
    """What became of spoilt scans."""
    print("| fault | cases | check or refused | of these by the scan alone | mean Dice | Dice below 0.7 called ok |")
    print("|---|---|---|---|---|---|")
    by_fault: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        if row.fault:
            by_fault[row.fault].append(row)
    for fault, own in by_fault.items():
        noticed = [row for row in own if row.verdict.word != OK]
        early = sum(row.flagged(["before"]) for row in noticed)
        dice = [row.dice for row in own if row.dice is not None]
        missed = sum(row.verdict.word == OK and row.dice is not None and row.dice < GOOD for row in own)
        mean = f"{np.mean(dice):.2f}" if dice else "no reference"
        print(f"| {fault} | {len(own)} | {len(noticed)} | {early} | {mean} | {missed} |")


def print_layers(rows: list[Judged]) -> None:
    """Each layer alone, each left out, and all together, of what went through the network."""
    right = [row for row in rows if row.own == row.requested and not row.fault]
    wrong = [row for row in rows if row.own != row.requested and row.signs]
    spoilt = [row for row in rows if row.fault and row.signs and not (row.dice is not None and row.dice >= GOOD)]
    every = [*LAYERS, "estimate"]
    sets: list[tuple[str, list[str]]] = [(f"{layer} alone", [layer]) for layer in every]
    sets += [(f"all without {layer}", [one for one in every if one != layer]) for layer in every]
    sets.append(("all", every))
    print("| layers | right pairs ok | of Dice 0.7 and more | wrong pairs noticed | spoilt below 0.7 noticed |")
    print("|---|---|---|---|---|")
    good = [row for row in right if row.dice is not None and row.dice >= GOOD]
    for name, layers in sets:
        ok = [sum(not row.flagged(layers) for row in part) / max(len(part), 1) for part in (right, good)]
        caught = [sum(row.flagged(layers) for row in part) / max(len(part), 1) for part in (wrong, spoilt)]
        print(f"| {name} | {ok[0]:.1%} | {ok[1]:.1%} | {caught[0]:.1%} | {caught[1]:.1%} |")
    print(f"\n{len(right)} right pairs ({len(good)} of Dice 0.7 and more), {len(wrong)} wrong, {len(spoilt)} spoilt.")


def print_ranking(rows: list[Judged], tasks: TaskTable) -> None:
    """How well scores tell bad label maps from good ones, on held scans as they are, and with the spoilt ones.

    Tasks without an estimate are left out.
    """
    rows = [row for row in rows if row.level is not None]
    scores: dict[str, Callable[[Judged], float]] = {
        name: (lambda row, name=name: row.signs[name])  # type: ignore[misc]
        for name in ("intensities", "agreement", "certainty", "label")
    }
    scores["the task's mean Dice"] = lambda row: -float(row.level or 0)
    scores["estimated Dice"] = lambda row: -float(row.verdict.estimated_dice or 0)
    held = [row for row in rows if row.own == row.requested and not row.fault and row.dice is not None]
    spoilt = [row for row in rows if row.own == row.requested and row.fault and row.dice is not None and row.signs]
    print("| score | AUROC, held | rank correlation, held | within tasks | AUROC, held and spoilt | rank correlation |")
    print("|---|---|---|---|---|---|")
    for name, score in scores.items():
        cells = []
        for part in (held, [*held, *spoilt]):
            values, dice = [score(row) for row in part], [float(row.dice or 0) for row in part]
            cells += [auroc(values, [one < GOOD for one in dice]), -float(stats.spearmanr(values, dice)[0])]
        inside = [
            -float(stats.spearmanr([score(row) for row in own], [row.dice for row in own])[0])
            for task in tasks
            if len(own := [row for row in held if row.own == task.name]) > 5
        ]
        print(f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} | {np.mean(inside):.2f} | {cells[2]:.2f} | {cells[3]:.2f} |")
    estimates = {
        "Estimated Dice": [float(row.verdict.estimated_dice or 0) for row in held],
        "The task's mean Dice": [float(row.level or 0) for row in held],
    }
    print()
    for name, values in estimates.items():
        errors = np.abs(np.array(values) - [float(row.dice or 0) for row in held])
        print(f"{name} on held scans: mean error {errors.mean():.3f}, nine of ten {np.quantile(errors, 0.9):.3f}.")


def print_flips(rows: Sequence[dict[str, Any]]) -> None:
    """What the agreement with the mirrored scan tells, where that pass was made."""
    known = [row for row in rows if row["dice"] is not None and math.isfinite(row["numbers"].get("flips", math.nan))]
    print("| own task | cases | AUROC | rank correlation | Dice below 0.7 noticed | Dice 0.7 and more called check |")
    print("|---|---|---|---|---|---|")
    for name, part in {"held": [row for row in known if not row["fault"]], "held, degraded and spoilt": known}.items():
        if not part:
            continue
        bad = [row["dice"] < GOOD for row in part]
        low = [row["numbers"]["flips"] < LOW_FLIPS for row in part]
        scores = [-row["numbers"]["flips"] for row in part]
        rank = -float(stats.spearmanr(scores, [row["dice"] for row in part])[0])
        cells = [sum(one and not wrong for one, wrong in zip(low, bad)), len(bad) - sum(bad)]
        noticed = sum(one and wrong for one, wrong in zip(low, bad))
        print(
            f"| {name} | {len(part)} | {auroc(scores, bad):.2f} | {rank:.2f} | {noticed} of {sum(bad)} | "
            f"{cells[0]} of {cells[1]} |"
        )


def print_risk(rows: list[Judged]) -> None:
    """Mean Dice of what is called ok against all; and of the share that the estimate ranks highest."""
    held = [row for row in rows if row.own == row.requested and not row.fault and row.dice is not None]
    print("| held scans | cases | mean Dice | lowest | below 0.7 |\n|---|---|---|---|---|")
    ranked = sorted(held, key=lambda row: -float(row.verdict.estimated_dice or 0))
    parts = {"all": held, "called ok": [row for row in held if row.verdict.word == OK]}
    parts |= {f"best {share:.0%} by estimate": ranked[: round(share * len(ranked))] for share in (0.9, 0.8, 0.5)}
    for name, part in parts.items():
        dice = [float(row.dice or 0) for row in part]
        print(f"| {name} | {len(part)} | {np.mean(dice):.3f} | {min(dice):.2f} | {sum(one < GOOD for one in dice)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("rows", type=Path)
    options = parser.parse_args()
    tasks = load_task_table("open")
    judge = Judge(tasks, weights=str(options.weights))
    measured = [json.loads(line) for line in options.rows.read_text().splitlines()]
    judges = own_judges(measured, judge, tasks)
    rows = [judged(row, judges[row["patient"]], tasks) for row in measured if row["fault"] != DEGRADED]
    for title, show in (
        ("Right and wrong pairs", lambda: print_pairs(rows, tasks)),
        ("Spoilt scans", lambda: print_faults(rows)),
        ("Layers", lambda: print_layers(rows)),
        ("Ranking", lambda: print_ranking(rows, tasks)),
        ("Risk and coverage", lambda: print_risk(rows)),
        ("A second, mirrored pass", lambda: print_flips(measured)),
    ):
        print(f"\n### {title}\n")
        show()


if __name__ == "__main__":
    main()
