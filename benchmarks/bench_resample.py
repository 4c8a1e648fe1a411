"""Resampling and export of a large CT: ours beside the libraries that could do it.

    python -m benchmarks.bench_resample [--repetitions 5]

A made volume of 512 x 512 x 200 voxels (0.8 x 0.8 x 1.5 mm) to the tasks' spacing and back: the image with cubic
splines; the scores of three classes linearly, with the label map of the best one. Once with an organ's worth of
foreground, once with classes everywhere, which leaves nothing out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import itk
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measure import alternating, machine
from uniseg_nets.transforms.resample import resample_argmax, resample_image

_FILE, _NETWORK = (200, 512, 512), (100, 273, 273)
_CLASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    scan = F.interpolate(torch.randn(1, 1, 25, 64, 64) * 500, _FILE, mode="trilinear")[0, 0]
    everywhere = F.interpolate(torch.randn(1, _CLASSES, 10, 27, 27), _NETWORK, mode="trilinear")[0].softmax(0)
    organ = torch.zeros_like(everywhere)
    organ[0] = 1
    organ[:, 30:60, 60:130, 150:220] = everywhere[:, 30:60, 60:130, 150:220]
    print(f"{machine()}\nmedians of {options.repetitions} alternating runs")
    _table(
        "image, cubic",
        {
            "ours": lambda: resample_image(scan[None], _NETWORK),
            "scipy.ndimage.zoom": lambda: _zoom(scan, _NETWORK, 3),
            "ITK, B-spline": lambda: _itk(scan, _NETWORK, itk.BSplineInterpolateImageFunction),
        },
        options.repetitions,
    )
    for name, scores in (("an organ's scores, label map", organ), ("scores everywhere, label map", everywhere)):
        _table(
            name,
            {
                "ours": partial(resample_argmax, scores, range(_CLASSES), _FILE),
                "torch, whole volume": partial(_torch, scores),
                "scipy.ndimage.zoom": partial(_by_class, scores, _zoom, 1),
                "ITK, linear": partial(_by_class, scores, _itk, itk.LinearInterpolateImageFunction),
            },
            options.repetitions,
        )


def _torch(scores: Tensor) -> Tensor:
    return F.interpolate(scores[None], _FILE, mode="trilinear").argmax(1)


def _by_class(scores: Tensor, resample: Callable[..., np.ndarray], method: Any) -> np.ndarray:
    return np.stack([resample(one, _FILE, method) for one in scores]).argmax(0)


def _zoom(volume: Tensor, size: tuple[int, ...], order: int) -> np.ndarray:
    factors = [new / old for new, old in zip(size, volume.shape)]
    return ndimage.zoom(volume.numpy(), factors, order=order, mode="nearest", grid_mode=True)


def _itk(volume: Tensor, size: tuple[int, ...], function: Any) -> np.ndarray:
    image = itk.image_view_from_array(volume.contiguous().numpy())
    spacing = [old / new for old, new in zip(volume.shape, size)][::-1]
    resampled = itk.resample_image_filter(
        image,
        interpolator=function.New(image),
        size=list(size)[::-1],
        output_spacing=spacing,
        output_origin=[step / 2 - 0.5 for step in spacing],
    )
    return itk.array_view_from_image(resampled)


def _table(what: str, contestants: dict[str, Callable[[], object]], repetitions: int) -> None:
    seconds = alternating(contestants, repetitions)
    print(f"\n| {what} | s | against ours |\n|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {value / seconds['ours']:.1f}x |")


if __name__ == "__main__":
    main()
