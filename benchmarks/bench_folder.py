"""A folder of scans: reading, network and export of successive cases overlapping, beside one after the other.

    python -m benchmarks.bench_folder SCAN WEIGHTS [--cases 6] [--repetitions 5] [--task liver] [--tasks_file TASKS]
        [--stock] [--report]

The bundle's own inference, by mode, on SCAN several times, the network loaded before; runs alternate, the first round
does not count. `--stock` adds a stock MONAI pipeline of the same network.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from typing import Any

from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator

from benchmarks.bench_case import Stock
from benchmarks.measure import alternating, machine, print_ratios
from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.weights.checkpoints import read_weights


class OneByOne(CaseEvaluator):
    """Waits for each export before the next case."""

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, Any]:
        output = super()._iteration(engine, batchdata)
        self._end_export()
        return output


_ONE_BY_ONE = {"evaluator#_target_": f"{OneByOne.__module__}.OneByOne", "dataloader#_target_": "DataLoader"}
_CONFIGS = bundle_folder("uniseg_upstream") / "configs"
_FAST = read_json(_CONFIGS / "fast.json")
_MODES: dict[str, dict[str, Any]] = {
    "balanced": {},
    "balanced with the coarse pass": {"coarse_pass": _FAST["coarse_pass"]},
    "fast": _FAST,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("weights")
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--task", default="liver")
    parser.add_argument("--tasks_file")
    parser.add_argument("--stock", action="store_true", help="beside a stock MONAI pipeline of the same network")
    parser.add_argument("--report", action="store_true", help="with statistics, pictures and the page")
    options = parser.parse_args()
    common = {"bundle_root": str(_CONFIGS.parent), "task": options.task, "tasks_file": options.tasks_file}
    common |= {"weights": options.weights, "report": options.report, **read_weights(options.weights).overrides()}
    common["cases"] = [{"name": f"case_{index}", "image": options.scan} for index in range(options.cases)]

    def configured(settings: dict[str, Any]) -> ConfigParser:
        config = ConfigParser()
        config.read_config(str(_CONFIGS / "inference.json"))
        config.update({**common, **settings})
        return config

    network = configured({}).get_parsed_content("network")

    def contestant(settings: dict[str, Any]) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as output:
                own = {**settings, "output_dir": output, "network": network}
                configured(own).get_parsed_content("evaluator").run()

        return run

    contestants: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as output:
        if options.stock:
            pipeline = Stock(options.weights, output, options.task, options.tasks_file)
            contestants["stock"] = lambda: [pipeline(case["image"]) for case in common["cases"]]
        for mode, settings in _MODES.items():
            contestants[f"{mode}, one after the other"] = contestant({**settings, **_ONE_BY_ONE})
            contestants[f"{mode}, overlapping"] = contestant(settings)
        seconds = alternating(contestants, options.repetitions)
    print(f"{machine()}\n{options.cases} cases, medians of {options.repetitions} alternating runs\n")
    print_ratios({name: value / options.cases for name, value in seconds.items()}, "s per case", digits=2)


if __name__ == "__main__":
    main()
