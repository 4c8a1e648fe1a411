"""Training throughput: the bundle's own pipeline beside a plain MONAI one, and the network's step.

    UNISEG_TEST_DATA=DIR python -m benchmarks.training [--patch 64 192 192] [--features 32 320] [--batches 24]

Both pipelines crop patches from the same real CT scans at the same spacing and augment them with the same transforms.
The plain one is what MONAI's tutorials do: ``LoadImaged`` to ``ScaleIntensityRanged`` in a ``CacheDataset``, or
uncached in a ``Dataset``, then ``RandCropByPosNegLabeld``. Each row runs in a process of its own. The steps of the
two layouts alternate. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai import transforms as mt
from monai.bundle import ConfigParser
from monai.data import CacheDataset, Dataset
from monai.utils import set_determinism

from benchmarks.measure import alternating, apart, processor_class, timed_precisions
from benchmarks.multitask.data import ORGANS, write_organ
from uniseg_nets import UniSeg
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.losses import TaskDiceCELoss
from uniseg_nets.runtimes import for_training
from uniseg_nets.tasks import load_task_table

_KEYS = ["image", "label"]
_BATCH = 2
_SPLEEN = 6
_SCANS = 4


def scans(labels: Path) -> list[dict[str, Any]]:
    """Real CT scans, with their spleen as label map written under ``labels``."""
    folder = Path(os.environ["UNISEG_TEST_DATA"]) / "data" / "abdomen_ct_3mm"
    cases = []
    for label in sorted((folder / "labelsTr").glob("*.nii.gz"))[:_SCANS]:
        name = label.name.removesuffix(".nii.gz")
        image = folder / "imagesTr" / f"{name}_0000.nii.gz"
        own = labels / label.name
        if not own.is_file():
            write_organ(label, ORGANS["spleen"], own)
        cases.append({"name": name, "image": [str(image)], "label": str(own), "task": "spleen"})
    return cases


def configuration(patch: list[int], cache_dir: str) -> ConfigParser:
    root = bundle_folder("uniseg_upstream")
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train.json"))
    parser["patch_size"], parser["cache_dir"], parser["bundle_root"] = patch, cache_dir, str(root)
    parser["train#cases"] = scans(Path(cache_dir) / "labels")
    return parser


def ours(patch: list[int], cache_dir: str) -> Dataset:
    dataset = configuration(patch, cache_dir).get_parsed_content("train#dataset")
    dataset.fill()
    return dataset


def plain(kind: Callable[..., Dataset], patch: list[int], cache_dir: str) -> Dataset:
    augmentation = configuration(patch, cache_dir).get_parsed_content("train#augmentation")[1:]  # without our crop
    spacing = load_task_table().one("spleen").spacing[::-1]
    chain = [
        mt.LoadImaged(_KEYS, ensure_channel_first=True),
        mt.Orientationd(_KEYS, "RAS"),
        mt.Spacingd(_KEYS, spacing, mode=("bilinear", "nearest")),
        mt.ScaleIntensityRanged("image", -325, 325, 0, 1, clip=True),
        mt.Transposed(_KEYS, (0, 3, 2, 1)),
        mt.SpatialPadd(_KEYS, patch),
        mt.RandCropByPosNegLabeld(_KEYS, "label", patch, pos=1, neg=2, num_samples=1),
        *augmentation,
    ]
    return kind([case | {"image": case["image"][0]} for case in scans(Path(cache_dir) / "labels")], mt.Compose(chain))


PIPELINES = {
    "ours, cached on disk": ours,
    "MONAI, CacheDataset": lambda *args: plain(CacheDataset, *args),
    "MONAI, no cache": lambda *args: plain(Dataset, *args),
}


def loading(name: str, patch: list[int], cache_dir: str, batches: int) -> tuple[float, float]:
    """Seconds to set up and seconds of a batch, one process, no worker."""
    set_determinism(0)
    start = time.perf_counter()
    dataset = PIPELINES[name](patch, cache_dir)
    ready = time.perf_counter() - start
    start = time.perf_counter()
    for index in range(batches * _BATCH):
        dataset[index % len(dataset)]
    return ready, (time.perf_counter() - start) / batches


def steps(
    network: torch.nn.Module, patch: Sequence[int], bfloat16: bool, count: int
) -> tuple[list[float], list[float]]:
    """Losses and seconds of steps on one random batch: forward, loss, backward, update."""
    device = next(network.parameters()).device
    loss = TaskDiceCELoss(load_task_table())
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.99, nesterov=True)
    torch.manual_seed(0)
    image = torch.randn(_BATCH, 1, *patch, device=device)
    label = torch.randint(0, 2, (_BATCH, 1, *patch), device=device).float()
    target = {"label": label, "task": torch.full((_BATCH,), _SPLEEN)}
    losses, seconds = [], []
    for _ in range(count):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = network(image, _SPLEEN)
        optimizer.zero_grad()
        value = loss(logits, target)
        value.backward()
        optimizer.step()
        losses.append(value.item())  # a GPU has finished then
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def stepping(patch: list[int], features: list[int], bfloat16: bool, count: int) -> tuple[float, float]:
    """Median seconds of a step in PyTorch's layout and in that of our trainings, in turn."""
    set_determinism(0)
    plain = UniSeg(base_features=features[0], max_features=features[1], patch_size=patch)
    ours = for_training(copy.deepcopy(plain), "cpu", bfloat16)
    contestants = {
        name: partial(steps, network, patch, bfloat16, 1) for name, network in (("plain", plain), ("ours", ours))
    }
    seconds = alternating(contestants, count)
    return seconds["plain"], seconds["ours"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, nargs=3, default=[64, 192, 192])
    parser.add_argument("--features", type=int, nargs=2, default=[32, 320])
    parser.add_argument("--batches", type=int, default=24)
    options = parser.parse_args()
    print(
        json.dumps(vars(options)),
        f"{processor_class()}, {torch.get_num_threads()} threads, batch {_BATCH}, {_SCANS} scans",
    )
    print("| part | set-up s | s per batch | peak GiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in PIPELINES:
            _row(name, apart(loading, name, options.patch, folder, options.batches))
    print(
        "\n| network's step | s, PyTorch's layout | s, as trained | ratio | peak GiB of both |\n|---|---|---|---|---|"
    )
    for precision in timed_precisions():
        count = max(3, options.batches // 4)
        plain, ours, peak = apart(stepping, options.patch, options.features, precision == "bf16", count)
        print(f"| {precision} | {plain:.2f} | {ours:.2f} | {plain / ours:.2f}x | {peak:.1f} |", flush=True)


def _row(name: str, seconds: tuple[float, ...]) -> None:
    print(f"| {name} | {seconds[0]:.1f} | {seconds[1]:.2f} | {seconds[2]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
