"""Figures of an evaluation of the open weights beside the ceilings of their resolution, as a Markdown table.

    python -m benchmarks.open_weights.table EVAL/cases.csv [--ceilings CEILINGS.csv]

Cells are means over patients, intervals 95 % of bootstrap samples over them. A missed class counts as Dice 0; HD95 is
over the cases that have one. CEILINGS.csv is what :mod:`benchmarks.open_weights.ceiling` wrote.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from uniseg_nets.study.cross_validation import pooled_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--ceilings", type=Path)
    options = parser.parse_args()
    ceilings: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in csv.DictReader(options.ceilings.open()) if options.ceilings else []:
        ceilings[row["task"], row["class"]].append(float(row["dice"]))
    print(pooled_table(options.cases, {key: fmean(values) for key, values in ceilings.items()} or None))


if __name__ == "__main__":
    main()
