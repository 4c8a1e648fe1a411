"""What every part needs: the device, the sizes, and a place to write rows to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.records import append_row
from benchmarks.measure import alternating
from uniseg_nets import UniSeg
from uniseg_nets.runtimes import in_bfloat16

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """A part's surroundings.

    Attributes:
        part: its name.
        rows_file: where rows go.
        device: of the network.
        small: a small network and small scans, to try the kit out.
        data: folder of the open tasks' datalist; ``None`` without it.
        out: folder for what must outlive the part, such as checkpoints.
    """

    part: str
    rows_file: Path
    device: torch.device
    small: bool
    data: str | None
    out: Path

    @property
    def window(self) -> tuple[int, int, int]:
        return (32, 64, 64) if self.small else (64, 192, 192)

    @property
    def scan(self) -> tuple[int, int, int]:
        """Voxels (x, y, z) of a whole scan."""
        return (96, 96, 40) if self.small else (512, 512, 200)

    @property
    def features(self) -> dict[str, Any]:
        return {"base_features": 4, "max_features": 32} if self.small else {"base_features": 32, "max_features": 320}

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the device has instructions for, the fastest last."""
        return ("fp32", "bf16") if in_bfloat16("auto", self.device) else ("fp32",)

    def network(self, deep_supervision: bool = False) -> UniSeg:
        """The same random network each time, on the device."""
        torch.manual_seed(0)
        network = UniSeg(**self.features, patch_size=self.window, deep_supervision=deep_supervision)
        return network.to(self.device)

    def row(self, name: str, seconds: float | None = None, note: str = "") -> None:
        """Writes a row, with the peak memory since the last one."""
        gib = None
        if self.device.type == "cuda":
            gib = torch.cuda.max_memory_allocated() / 2**30
            torch.cuda.reset_peak_memory_stats()
        append_row(self.rows_file, self.part, name, seconds, gib, note)

    def timed(self, run: Callable[[], object], repetitions: int = 5) -> float:
        """Median seconds of a call, until the device has finished it; the first call does not count."""

        def finished() -> None:
            run()
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        return alternating({"": finished}, repetitions)[""]
