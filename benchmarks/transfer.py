"""What fine-tuning starts from: how far a transferred network's features are from those of the task it starts from.

    python -m benchmarks.transfer [WEIGHTS] [--cases 2]
    UNISEG_TEST_DATA=DIR python -m benchmarks.transfer [WEIGHTS] [--cases 3]

For each task of the weights, on the middle window of synthetic patients of that task, or of real scans: the relative
change |a - b| / |b| of the decoder's first stage and of the logits against the pretrained network told that task, for
networks that keep the prompt (a plan's default), that keep only its mean over the image, and that have it cut off
(``uniseg plan --slot none``).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import CenterSpatialCrop, SpatialPad
from torch import Tensor

from uniseg_nets import PromptTunedUniSeg, UniSeg, UniSegBackbone
from uniseg_nets.data import find_cases
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.tasks import Task, load_task_table
from uniseg_nets.transforms import LoadCased, PreprocessCased
from uniseg_nets.weights.checkpoints import read_weights
from uniseg_nets.weights.transfer import load_pretrained

TABLE = load_task_table()
# Real scans for the tasks that read such channels.
SCANS = {("CT",): "head_neck_ct", ("T2",): "left_atrium_mr", ("CT", "PET"): "sarcoma_petct"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="?", default=bundle_folder("uniseg_upstream") / "models" / "demo.pt")
    parser.add_argument("--cases", type=int, default=2, help="of each task")
    options = parser.parse_args()
    checkpoint = read_weights(options.weights)
    known = UniSeg(**checkpoint.sizes).eval()
    known.load_state_dict(checkpoint.state)
    own = {name: checkpoint.sizes[name] for name in ("in_channels", "out_channels", "base_features", "max_features")}
    cut: Any = load_pretrained(UniSegBackbone(**own), options.weights, new=()).eval()
    head = ("task", "", "first stage: kept", "its mean", "cut", "logits: kept", "its mean", "cut")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for task in TABLE:
        prompted: Any = load_pretrained(
            PromptTunedUniSeg(slot=task.id, **checkpoint.sizes), options.weights, new=()
        ).eval()
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                _changes(known, prompted, cut, window, task)
                for window in _windows(task, options.cases, Path(folder), checkpoint.sizes["patch_size"])
            ]
        if rows:
            cells = [f"{value:.3f}" for value in np.mean(rows, axis=0)]
            print(f"| {task.id} {task.name} | {len(rows)} cases | {' | '.join(cells)} |")


def _windows(task: Task, count: int, folder: Path, patch: list[int]) -> Iterator[Tensor]:
    """The middle windows (1, C, z, y, x) of preprocessed cases."""
    root = os.environ.get("UNISEG_TEST_DATA")
    if root and task.channels not in SCANS:
        return
    if root:
        folder = Path(root) / "data" / SCANS[task.channels]
    else:
        write_phantoms(folder, task, count, seed=500)
    load, preprocess = LoadCased(keys="image"), PreprocessCased(keys="image", tasks=TABLE, task=task.name)
    for case in find_cases(folder)[:count]:
        image = preprocess(load(dict[Any, Any](case)))["image"].as_tensor()
        yield torch.as_tensor(CenterSpatialCrop(patch)(SpatialPad(patch)(image)))[None].float()


@torch.no_grad()
def _changes(known: UniSeg, prompted: PromptTunedUniSeg, cut: UniSegBackbone, x: Tensor, task: Task) -> list[float]:
    features = known.encode(x)
    prompt = known.select(known.prompts(features), task.id)
    starts: list[tuple[Any, Tensor]] = [
        (known, prompt),
        (prompted, prompted.select(prompted.prompts(features), 0)),
        (known, torch.full_like(prompt, float(prompt.mean()))),
        (cut, prompt[:, :0]),
    ]
    stages = [net.decoder.decode_levels(features, torch.cat((features[-1], p), dim=1), 0, 1) for net, p in starts]
    logits = [net.decode(features, p)[:, : task.num_outputs] for net, p in starts]
    return [float((one - own[0]).norm() / own[0].norm()) for own in (stages, logits) for one in own[1:]]


if __name__ == "__main__":
    main()
