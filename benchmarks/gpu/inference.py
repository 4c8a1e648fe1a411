"""Inference on a GPU: agreement with the CPU, a window by runtime, a whole scan, too little memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.setting import Setting
from uniseg_nets.inferers import UniSegInferer
from uniseg_nets.runtimes import with_runtime
from uniseg_nets.runtimes.tensorrt import lacking_for_tensorrt
from uniseg_nets.tasks import load_task_table

__all__ = ["agreement", "case", "out_of_memory", "window"]

_TASK = "liver"


@torch.no_grad()
def agreement(setting: Setting) -> None:
    """The largest difference of logits and the share of equal labels, against float32 on the CPU."""
    network = setting.network().eval()
    image = torch.randn(1, 1, *setting.window)
    expected = copy.deepcopy(network).cpu()(image, 0)
    choices = [("torch", "fp32"), ("torch", "bf16")]
    if not lacking_for_tensorrt(setting.device):
        choices += [("tensorrt", "fp32"), ("tensorrt", "bf16")]
    for runtime, precision in choices:
        logits = with_runtime(network, runtime, precision)(image.to(setting.device), 0).float().cpu()
        equal = (logits.argmax(1) == expected.argmax(1)).float().mean().item()
        off = (logits - expected).abs().max().item() / expected.abs().max().item()
        setting.row(
            f"{runtime} {precision}",
            note=f"labels equal {equal:.4%}, largest difference {off:.1e} of the largest logit",
        )


@torch.no_grad()
def window(setting: Setting) -> None:
    """A window through encoder, prompt and decoder, by runtime and precision; then several windows at once."""
    network = setting.network().eval()
    image = torch.randn(1, 1, *setting.window, device=setting.device)
    for precision in setting.precisions:
        for runtime in ("torch", "compile"):
            run = with_runtime(network, runtime, precision)
            setting.row(f"{runtime} {precision}", setting.timed(partial(run, image, 0)))
    fastest = setting.precisions[-1]
    for windows in (2, 4):
        images, run = image.expand(windows, -1, -1, -1, -1).contiguous(), with_runtime(network, "torch", fastest)
        setting.row(
            f"torch {fastest}, {windows} windows", setting.timed(partial(run, images, 0)) / windows, "per window"
        )
    if setting.device.type == "cuda":
        setting.row("CUDA graph bf16", setting.timed(_graphed(network, image)))
    if lacking := lacking_for_tensorrt(setting.device):
        setting.row(f"tensorrt {fastest}", note=f"not measured, it needs {lacking}")
    else:
        run = with_runtime(network, "tensorrt", fastest)
        setting.row(f"tensorrt {fastest}", setting.timed(partial(run, image, 0)), "encoder alone")


def _graphed(network: nn.Module, image: Tensor) -> Callable[[], object]:
    """A window recorded once and replayed, without the time of launching its kernels."""
    run = with_runtime(network, "torch", "bf16")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(image, 0)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run(image, 0)
    return graph.replay


def _scores(setting: Setting, inferer: UniSegInferer, run: Any) -> Tensor:
    volume = torch.randn(1, 1, *setting.scan[::-1], device=setting.device)
    return inferer(volume, run, _TASK)


@torch.no_grad()
def case(setting: Setting) -> None:
    """A whole scan in windows, scores summed on the device and on the CPU."""
    tasks, network = load_task_table(), setting.network().eval()
    for name, place in (("scores on the device", None), ("scores on the CPU", "cpu")):
        inferer = UniSegInferer(tasks, roi_size=setting.window, device=place, body_only=False)
        run = with_runtime(network, "torch", setting.precisions[-1])
        setting.row(name, setting.timed(partial(_scores, setting, inferer, run), 1))


@torch.no_grad()
def out_of_memory(setting: Setting) -> None:
    """Scores that do not fit into the device's memory go to the CPU, with the same labels."""
    if setting.device.type != "cuda":
        setting.row("scores fit", note="only a GPU can be short of memory here")
        return
    tasks, network = load_task_table(), setting.network().eval()
    inferer = UniSegInferer(tasks, roi_size=setting.window, body_only=False)
    run: Any = with_runtime(network, "torch", "fp32")
    torch.manual_seed(0)
    expected = _scores(setting, inferer, run).argmax(1).cpu()
    inferer.predict_window(torch.randn(1, 1, *setting.window, device=setting.device), run, tasks.select(_TASK))
    torch.cuda.empty_cache()
    needed = torch.cuda.max_memory_reserved() / torch.cuda.get_device_properties(0).total_memory
    volume = 4 * torch.Size(setting.scan).numel() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(max(needed - 1.5 * volume, 0.01))
    torch.manual_seed(0)
    labels = _scores(setting, inferer, run).argmax(1)
    equal = (labels.cpu() == expected).float().mean().item()
    setting.row("scores too large", note=f"summed on {labels.device}, labels equal {equal:.4%}")
