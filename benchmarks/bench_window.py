"""One full-size window through encoder, prompt and decoder: runtimes side by side, and the machine's floor.

    python -m benchmarks.bench_window [--window 64 192 192] [--repetitions 5] [--int8] [--tasks 8]

The floor is what the window's multiplications would cost at the speed of a 4096-cubed product of the same precision. On
a processor without bfloat16 instructions nothing in bfloat16 is timed. Weights are random: agreement
on trained weights is `benchmarks.agreement`'s subject. For ``--int8`` the network is quantised with one random window,
which takes as long as a dozen windows in float32. With ``--tasks`` the runtime that ``auto`` takes decodes the window
for as many tasks instead: one by one, with one encoder pass, and with what their decoders share computed once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.measure import alternating, machine, print_ratios, timed_precisions
from benchmarks.products import SIDE, product
from uniseg_nets import UniSeg
from uniseg_nets.runtimes import with_runtime

_GFLOP = 1523.0  # of a window of 64 x 192 x 192, a multiplication and an addition counted as two
_LABELS = {"torch": "torch", "openvino": "OpenVINO"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, nargs=3, default=[64, 192, 192])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile too, after a minute or more")
    parser.add_argument("--int8", action="store_true", help="8 bits too (OpenVINO, NNCF)")
    parser.add_argument("--tasks", type=int, help="decode for so many tasks")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = UniSeg(deep_supervision=False).eval()
    window = torch.randn(1, 1, *options.window)
    if options.tasks:
        return _of_several_tasks(network, window, options)
    gflop = _GFLOP * window.numel() / (64 * 192 * 192)
    precisions = timed_precisions()
    runtimes = {
        f"{label} {precision}": (runtime, precision) for runtime, label in _LABELS.items() for precision in precisions
    }
    if options.compile:
        runtimes[f"torch.compile {precisions[-1]}"] = ("compile", precisions[-1])
    contestants: dict[str, Callable[[], object]] = {
        name: _step(with_runtime(network, *choice), window) for name, choice in runtimes.items()
    }
    if options.int8:
        contestants["OpenVINO int8"] = _step(_in_8_bits(network, window), window)
    floors = {precision: product(precision) for precision in (*precisions, *(["int8"] if options.int8 else []))}
    with torch.inference_mode():
        seconds = alternating(contestants | floors, options.repetitions)
    floor = {precision: gflop * seconds.pop(precision) / (2 * SIDE**3 / 1e9) for precision in floors}
    plain = seconds["torch fp32"]
    print(
        f"{machine()}\nwindow {options.window}, {gflop:.0f} GFLOP, medians of {options.repetitions} alternating runs\n"
    )
    print("| runtime | s | against torch fp32 | against its floor |\n|---|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {plain / value:.1f}x | {value / floor[name.split()[-1]]:.2f}x |")
    for precision, value in floor.items():
        print(f"| floor: a {SIDE}-cubed {precision} product's speed | {value:.2f} | {plain / value:.1f}x | 1.00x |")


def _of_several_tasks(network: UniSeg, window: torch.Tensor, options: argparse.Namespace) -> None:
    fast: Any = with_runtime(network, "auto")

    def run(encode_each: bool, share: bool) -> None:
        features = fast.encode(window)
        features = fast.shared(features) if share else features
        for task in range(options.tasks):
            features = fast.encode(window) if encode_each and task else features
            fast.decode(features, fast.select(fast.prompts(features), task))

    contestants = {
        f"{options.tasks} runs": partial(run, True, False),
        "one encoder pass": partial(run, False, False),
        "and one pass of what the decoders share": partial(run, False, True),
    }
    with torch.inference_mode():
        seconds = alternating(contestants, options.repetitions)
    print(f"{machine()}\nwindow {options.window}, medians of {options.repetitions} alternating runs\n")
    print_ratios(seconds)


@torch.no_grad()
def _in_8_bits(network: UniSeg, window: torch.Tensor) -> Any:
    from uniseg_nets.runtimes.int8 import Int8Runtime, RecordingRuntime, quantise

    recorder = RecordingRuntime(network, count=1)
    recorder(window, 0)
    return Int8Runtime(network, quantise(recorder))


def _step(network: Any, window: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        features = network.encode(window)
        return network.decode(features, network.select(network.prompts(features), 0))

    return run


if __name__ == "__main__":
    main()
