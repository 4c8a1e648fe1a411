"""Sliding-window inference for one or several tasks.

Not MONAI's ``SlidingWindowInferer``: the official release spreads its windows evenly between the borders and averages
softmax scores over flips, and several tasks can share one encoder pass per window.

Shapes: C channels, (D, H, W) the volume's size in (z, y, x), K output channels of a task.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils.enums import MetaKeys
from torch import Tensor, nn
from tqdm import tqdm

from uniseg_nets.inferers.body import body_box
from uniseg_nets.inferers.coarse_pass import Region, find_regions, whole_region
from uniseg_nets.inferers.windows import gaussian_window, pad_to, window_at
from uniseg_nets.nets.steps import NetworkSteps, encoded_for
from uniseg_nets.removed import removed_arguments
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.transforms.grid import flipped, network_flips

__all__ = ["EnsembleInferer", "UniSegInferer"]

logger = logging.getLogger(__name__)

_AXES = "zyx"


class UniSegInferer(Inferer):
    """Class scores of one task, or of several tasks from one encoder pass per window.

    Called as ``inferer(inputs, network)`` or ``inferer(inputs, network, task)``. Windows are weighted by a Gaussian;
    smaller volumes are padded with zeros.

    Example:
        >>> import torch
        >>> from uniseg_nets import UniSeg
        >>> from uniseg_nets.tasks import load_task_table
        >>> network = UniSeg(base_features=4, max_features=8, patch_size=(32, 32, 32)).eval()
        >>> inferer = UniSegInferer(load_task_table(), task="liver", roi_size=(32, 32, 32))
        >>> inferer(torch.rand(1, 1, 40, 32, 32), network).shape  # background, liver, liver tumour
        torch.Size([1, 3, 40, 32, 32])

    Args:
        tasks: the task table.
        task: name or id of a task, or of a merged one such as ``all_ct``; ``None`` if each call names its own.
        roi_size: window (z, y, x), multiples of (16, 32, 32).
        overlap: minimum overlap of neighbouring windows, as a fraction of a window. The official step of 0.5 is an
            overlap of 0.5.
        mirror: average over all flips of each window along the axes that the tasks allow, as the official prediction
            does (8 times the work for three axes).
        device: device on which scores are summed; ``None`` for that of the inputs, or the CPU if its memory is too
            small.
        body_only: compute only the box around the body. It has an effect on CT with air around the body.
        coarse_pass: downsampling factor of a first pass, such as 1.5, that finds the boxes of the tasks' structures.
            Only these boxes are computed; everything outside is background. ``None`` for no such pass.
        progress: show a bar with the remaining time.
        mirror_axes: with ``mirror``, flip along these axes alone: letters of ``zyx``. One axis is twice the work.

    Returns:
        From a call with (B, C, D, H, W): softmax scores (B, K, D, H, W), float32. The scores of several tasks are
        concatenated along the channel axis, each with its own background.

    Raises:
        ValueError: if there is no such task, ``mirror_axes`` has other letters or none, or ``mirror`` is off, the
            overlap is outside 0 to 1, or ``coarse_pass`` is below 1.
    """

    @removed_arguments("early_exit")
    def __init__(
        self,
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        roi_size: Sequence[int] = (64, 192, 192),
        overlap: float = 0.5,
        mirror: bool = False,
        device: str | torch.device | None = None,
        body_only: bool = False,
        coarse_pass: float | None = None,
        progress: bool = False,
        mirror_axes: str = _AXES,
    ) -> None:
        super().__init__()
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap is {overlap}, expected a share of the window from 0 up to, not including, 1")
        if coarse_pass is not None and not (isinstance(coarse_pass, (int, float)) and coarse_pass >= 1):
            raise ValueError(f"coarse_pass is {coarse_pass!r}, expected a downsampling factor of 1 or more, or None")
        if not (isinstance(mirror_axes, str) and mirror_axes and set(mirror_axes) <= set(_AXES)):
            raise ValueError(
                f"mirror_axes is {mirror_axes!r}, expected one or more of the letters z, y, x, such as zyx"
            )
        if mirror_axes != _AXES and not mirror:
            raise ValueError(f"mirror_axes is {mirror_axes!r}, but mirror is off: turn it on, or leave mirror_axes out")
        self.table = tasks
        self.tasks = () if task is None else tasks.select(task)
        self.roi_size = tuple(roi_size)
        self.overlap = overlap
        self.device = device
        self.body_only = body_only
        self.coarse_pass = coarse_pass
        self._bar_off = None if progress else True  # None: shown on a terminal only
        self.mirror = mirror
        self.mirror_axes = mirror_axes
        self._weight = torch.from_numpy(gaussian_window(self.roi_size))

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: NetworkSteps, task: str | int | Sequence[str] | None = None
    ) -> Tensor:
        tasks = self.tasks if task is None else self.table.select(task)
        if not tasks:
            raise ValueError("no task: name one for the inferer or for the call")
        stored = self._stored_flips(inputs, tasks) if self.mirror else ()
        inputs = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        return flipped(self._inside(flipped(inputs, stored), network, tasks), stored)

    def _stored_flips(self, inputs: Tensor, tasks: Sequence[Task]) -> tuple[int, ...]:
        """Axes to flip so that the volume has the direction of its file, of those along which it is mirrored anyway.

        Along these, mirroring covers both directions. The direction still affects the windows, whose starts are
        rounded, and the Gaussian, whose peak is half a voxel off the centre of an even window: the official prediction
        applies both to the stored volume. Along other axes the network knows one direction alone.
        """
        affine = getattr(inputs, "meta", {}).get(MetaKeys.ORIGINAL_AFFINE)
        if affine is None:
            return ()
        stored = network_flips(np.asarray(affine, dtype=np.float64).reshape(-1, 4, 4)[0], tasks[0].axes)
        return tuple(axis for axis in stored if (axis,) in _flips(tasks, self.mirror_axes))

    def _inside(self, inputs: Tensor, network: NetworkSteps, tasks: Sequence[Task]) -> Tensor:
        """Scores of a volume. With ``body_only`` everything outside the body's box is background."""
        scaling = tasks[0].scaling[0]
        if not (self.body_only and tasks[0].channels[0].upper() == "CT" and scaling.scheme != "z_score"):
            return self._fitting(inputs, network, tasks)
        box: Any = (..., *body_box(inputs[:, 0].amax(0), scaling, self.roi_size))
        inside = self._fitting(inputs[box], network, tasks)
        scores = inside.new_zeros((*inside.shape[:2], *inputs.shape[2:]))
        scores[:, _backgrounds(tasks)] = 1
        scores[box] = inside
        return scores

    def _fitting(self, inputs: Tensor, network: NetworkSteps, tasks: Sequence[Task]) -> Tensor:
        """Scores of a volume, summed on the CPU if the GPU's memory is too small for them."""
        device = torch.device(self.device or inputs.device)
        try:
            return self._slide(inputs, network, tasks, device)
        except torch.OutOfMemoryError:
            if device.type == "cpu":
                raise
        logger.warning("%s has too little memory for the scores of %s: they go to the CPU", device, [*inputs.shape[2:]])
        torch.cuda.empty_cache()
        return self._slide(inputs, network, tasks, torch.device("cpu"))

    def _slide(self, inputs: Tensor, network: NetworkSteps, tasks: Sequence[Task], device: torch.device) -> Tensor:
        """Scores of a volume on a device. Smaller volumes are padded to a window; the rest is background."""
        size = inputs.shape[2:]
        padded = pad_to(inputs, self.roi_size)
        firsts = _backgrounds(tasks)
        scores = torch.zeros((inputs.shape[0], firsts[-1] + tasks[-1].num_outputs, *padded.shape[2:]), device=device)
        scores[:, firsts] = 1
        regions = self._regions(padded, network, tasks)
        total = sum(len(region.starts) for region in regions)
        with tqdm(total=total, desc="windows", unit="window", disable=self._bar_off, leave=False) as bar:
            for region in regions:
                hull: Any = (..., *region.hull)
                parts = [scores[hull][:, firsts[i] : firsts[i] + tasks[i].num_outputs] for i in region.tasks]
                members = [tasks[i] for i in region.tasks]
                self._fill(parts, padded[hull], region.starts, network, members, bar)
        inner = tuple(slice((p - n) // 2, (p - n) // 2 + n) for p, n in zip(padded.shape[2:], size))
        return scores[(slice(None), slice(None), *inner)]

    def _fill(
        self,
        parts: Sequence[Tensor],
        volume: Tensor,
        starts: Sequence[Sequence[int]],
        network: NetworkSteps,
        tasks: Sequence[Task],
        bar: Any,
    ) -> None:
        """Writes each task's scores to its part, which is background so far. The windows cover the whole volume."""
        for part in parts:
            part[:, 0] = 0
        device = parts[0].device
        weight, weights = self._weight.to(device), torch.zeros(volume.shape[2:], device=device)
        for start in starts:
            box = window_at(start, self.roi_size)
            scores = self.predict_window(volume[box], network, tasks).to(device).mul_(weight)
            for part, own in zip(parts, scores.split([task.num_outputs for task in tasks], dim=1)):
                part[box] += own
            weights[box] += weight
            bar.update()
        for part in parts:
            part /= weights

    def _regions(self, volume: Tensor, network: NetworkSteps, tasks: Sequence[Task]) -> list[Region]:
        """The regions of a volume to compute, with their tasks."""
        if self.coarse_pass is None:
            return [whole_region(volume.shape[2:], len(tasks), self.roi_size, self.overlap)]
        return find_regions(volume, network, tasks, self.roi_size, self.overlap, self.coarse_pass)

    def predict_window(self, window: Tensor, network: NetworkSteps, tasks: Sequence[Task]) -> Tensor:
        """Scores of one window, averaged over the flips: (B, C, d, h, w) -> (B, sum of K, d, h, w), float32."""
        total: Tensor | None = None
        flips = _flips(tasks, self.mirror_axes) if self.mirror else [()]
        for axes in flips:
            features = encoded_for(len(tasks), network, flipped(window, axes))
            prompts = network.prompts(features)
            parts = [_task_scores(features, prompts, network, task) for task in tasks]
            scores = flipped(torch.cat(parts, dim=1), axes)
            total = scores if total is None else total.add_(scores)
        assert total is not None
        return total.div_(len(flips))


class EnsembleInferer(Inferer):
    """The mean of several networks' scores, such as those of the cross-validation folds.

    Called as ``inferer(inputs, network)`` with one network or an ``nn.ModuleList`` of them.

    Args:
        inferer: inferer for each network.

    Returns:
        From a call: scores as from the inferer.
    """

    def __init__(self, inferer: UniSegInferer) -> None:
        super().__init__()
        self.inferer = inferer

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        networks: list[Any] = list(network) if isinstance(network, nn.ModuleList) else [network]
        scores = self.inferer(inputs, networks[0], *args, **kwargs)
        for member in networks[1:]:
            scores = added(scores, self.inferer(inputs, member, *args, **kwargs))
        return scores.div_(len(networks)) if len(networks) > 1 else scores


def added(total: Tensor, scores: Tensor) -> Tensor:
    """The sum of two volumes of scores, where the second is: a GPU may have had too little memory for it."""
    return total.to(scores.device).add_(scores)


def _task_scores(features: list[Any], prompts: Tensor, network: NetworkSteps, task: Task) -> Tensor:
    """Softmax scores of one task. Softmax runs over all channels of the shared heads, as in training."""
    logits = network.decode(features, network.select(prompts, task.id)).float()
    return torch.softmax(logits, dim=1)[:, : task.num_outputs]


def _flips(tasks: Sequence[Task], wanted: str) -> list[tuple[int, ...]]:
    """Combinations of the wanted axes along which all tasks may be mirrored, counted from the end; () comes first."""
    places = [axis for axis, letter in enumerate(_AXES) if letter in wanted]
    allowed = [axis - 3 for axis in places if all(axis in task.mirror_axes for task in tasks)]
    return [axes for count in range(len(allowed) + 1) for axes in itertools.combinations(allowed, count)]


def _backgrounds(tasks: Sequence[Task]) -> list[int]:
    """The background channels of tasks whose scores are concatenated."""
    return list(itertools.accumulate((task.num_outputs for task in tasks[:-1]), initial=0))
