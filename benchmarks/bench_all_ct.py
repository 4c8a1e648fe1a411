"""All CT tasks of one scan: one run with a shared encoder pass beside a run a task, whole and in mode `fast`.

    python -m benchmarks.bench_all_ct SCAN WEIGHTS [--tasks_file TASKS] [--repetitions 5] [--runtime auto]
        [--modes "balanced;fast"]

From file to label map, with the network loaded; runs alternate, the first round does not count. How many voxels of the
merged map `fast` changes is printed too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray

from benchmarks.measure import alternating, machine, print_ratios
from uniseg_nets import UniSeg
from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.runtimes import with_runtime
from uniseg_nets.tasks import load_task_table
from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased
from uniseg_nets.weights.checkpoints import read_weights

_FAST = read_json(bundle_folder("uniseg_upstream") / "configs" / "fast.json")
_MODES: dict[str, dict[str, Any]] = {
    "balanced": {},
    "fast": {name: value for name, value in _FAST.items() if name != "mode"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("weights")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--tasks_file")
    parser.add_argument("--modes", default=";".join(_MODES), help="separated by semicolons")
    options = parser.parse_args()
    table = load_task_table(options.tasks_file)
    single = [task.name for task in table.select("all_ct")]
    weights = read_weights(options.weights)
    network = UniSeg(**weights.sizes, deep_supervision=False)
    network.load_state_dict(weights.state)
    fast: Any = with_runtime(network, options.runtime)
    label_maps: dict[str, NDArray[np.uint8]] = {}

    def contestant(name: str, tasks: Sequence[str], settings: dict[str, Any]) -> Callable[[], None]:
        def run() -> None:
            for task in tasks:
                before = Compose([LoadCased("image", modalities=["CT"]), PreprocessCased("image", table, task)])
                inferer = UniSegInferer(table, task, weights.sizes["patch_size"], **settings)
                case = before({"image": options.scan})
                case["pred"] = inferer(case["image"][None], fast)[0]
                label_maps[name] = LabelMapd("pred", table, task)(case)["pred"].numpy()

        return run

    contestants = {}
    for mode in options.modes.split(";"):
        settings = _MODES[mode]
        for how, tasks in ((f"{len(single)} runs", single), ("all_ct", ["all_ct"])):
            contestants[f"{how}, {mode}"] = contestant(f"{how}, {mode}", tasks, settings)
    with torch.inference_mode():
        seconds = alternating(contestants, options.repetitions)
    print(f"{machine()}\nmedians of {options.repetitions} alternating runs\n")
    print_ratios(seconds)
    if "all_ct, balanced" in label_maps and "all_ct, fast" in label_maps:
        without, shortened = label_maps["all_ct, balanced"], label_maps["all_ct, fast"]
        print(f"\n`fast` changes {(without != shortened).sum()} of {without.size} voxels of all_ct;", end=" ")
        print(f"{(without > 0).sum()} are foreground in `balanced`.")


if __name__ == "__main__":
    main()
