"""Side-by-side timing: every contestant once, then again, so that a machine's moods meet all of them alike."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from uniseg_nets.runtimes.choose import resolve_runtime

__all__ = ["alternating", "apart", "machine", "print_ratios", "processor_class", "timed", "timed_precisions"]


def alternating(contestants: Mapping[str, Callable[[], object]], repetitions: int = 5) -> dict[str, float]:
    """Median seconds of each, after one call each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if repetition:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_ratios(seconds: Mapping[str, float], unit: str = "s", digits: int = 1) -> None:
    """A Markdown table of seconds, and how many times as fast as the first row each is."""
    print(f"| | {unit} | against the first row |\n|---|---|---|")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"| {name} | {value:.{digits}f} | {first / value:.1f}x |")


def _measured(pipe: Any, function: Callable[..., tuple[float, ...]], arguments: tuple[Any, ...]) -> None:
    result = function(*arguments)
    pipe.send((*result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def apart(function: Callable[..., tuple[float, ...]], *arguments: Any) -> tuple[float, ...]:
    """What a function gives in a fresh process, with that process's peak memory in GiB."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def timed_precisions() -> tuple[str, ...]:
    """``fp32``, and ``bf16`` where the processor has instructions for it; what it only imitates is not timed."""
    _, precision = resolve_runtime("torch", "auto", torch.device("cpu"))
    return ("fp32", "bf16") if precision == "bf16" else ("fp32",)


def timed(variants: Mapping[str, Any]) -> dict[str, Any]:
    """The variants, name -> settings of the inference, whose precision is timed on this processor."""
    precisions = (*timed_precisions(), "auto")
    return {name: each for name, each in variants.items() if (each or {}).get("precision", "auto") in precisions}


def processor_class() -> str:
    """The arithmetic that decides a processor's speed here: AMX, AVX-512 with what it has, or AVX2 alone."""
    has = torch.cpu.get_capabilities()
    if has.get("amx_bf16"):
        return "AMX"
    if not has.get("avx512_f"):
        return "AVX2 alone" if has.get("avx2") else "neither AVX2 nor AVX-512"
    extras = [name for name in ("vnni", "bf16") if has.get(f"avx512_{name}")]
    return " with ".join(["AVX-512", *([" and ".join(extras)] if extras else [])])


def machine(device: str = "cpu") -> str:
    """One line on processor, GPU, threads and versions, for the head of a table."""
    packages = []
    for name in ("torch", "monai", "openvino", "nncf", "nnunetv2"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    gpu = f"{torch.cuda.get_device_name(device)}; " if torch.device(device).type == "cuda" else ""
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
    return (
        f"{gpu}{cpu} ({processor_class()}), {torch.get_num_threads()} threads; "
        f"Python {platform.python_version()}, {', '.join(packages)}"
    )
