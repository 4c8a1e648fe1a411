"""Training on a GPU: a step by precision, two processes, resuming, and the open tasks."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu.setting import Setting
from benchmarks.training import steps
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import read_weights

__all__ = ["open_tasks", "resume", "step", "two_processes"]


def step(setting: Setting) -> None:
    """A training step in float32 and in bfloat16."""
    for precision in setting.precisions:
        losses, seconds = steps(setting.network(deep_supervision=True), setting.window, precision == "bf16", 6)
        setting.row(precision, statistics.median(seconds[1:]), f"losses {losses[0]:.3f} to {losses[-1]:.3f}")


def two_processes(setting: Setting) -> None:
    """Two processes on one device, by gloo, as NCCL takes one process per GPU: the losses of one process."""
    expected, _ = steps(setting.network(deep_supervision=True), setting.window, False, 3)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    given = json.dumps({"device": str(setting.device), "small": setting.small})
    begun = time.perf_counter()
    printed = subprocess.run(
        [*command, "-m", "benchmarks.gpu.training", given], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    losses = json.loads(printed.splitlines()[-1])
    off = max(abs(own - other) for own, other in zip(losses, expected))
    setting.row("two processes", time.perf_counter() - begun, f"start included; losses differ by {off:.1e} at most")


def _one_of_two(given: str) -> None:
    """What each of the two processes runs; the first prints its losses."""
    torch.distributed.init_process_group("gloo")
    options = json.loads(given)
    setting = Setting("", Path(os.devnull), torch.device(options["device"]), options["small"], None, Path())
    network = DistributedDataParallel(setting.network(deep_supervision=True), find_unused_parameters=True)
    losses, _ = steps(network, setting.window, False, 3)
    if torch.distributed.get_rank() == 0:
        print(json.dumps(losses))
    torch.distributed.destroy_process_group()


def _train(setting: Setting, folder: Path, configs: list[str], overrides: dict[str, object]) -> None:
    """Trains the upstream bundle; its messages go to ``folder/log.txt``."""
    names = json.dumps([f"configs/{name}.json" for name in configs])
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", names]
    given = {"output_dir": folder, "ckpt_dir": folder / "models", "device": f"$torch.device('{setting.device}')"}
    for key, value in {**given, **overrides}.items():
        command += [f"--{key}", str(value)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, cwd=bundle_folder("uniseg_upstream"), check=True, stdout=log, stderr=log)


def resume(setting: Setting) -> None:
    """Two epochs at once, and the second again from the checkpoint of the first: the largest difference of weights."""
    data, whole, again = setting.out / "phantoms", setting.out / "whole", setting.out / "again"
    for folder in (whole, again):  # of a run that was stopped
        shutil.rmtree(folder, ignore_errors=True)
    write_phantom_tasks(data, [load_task_table().one("spleen")], 2, validation=1)
    given = {"dataset_dir": data, "task": "['spleen']", "batches_per_task": 2, "num_workers": 0, "max_epochs": 2}
    given |= {"val_interval": 2, "fingerprint_cases": 0}
    _train(setting, whole, ["train", "small"], given)
    (again / "models").mkdir(parents=True, exist_ok=True)
    shutil.copy(whole / "models" / "checkpoint_epoch=1.pt", again / "models")
    _train(setting, again, ["train", "small"], {**given, "resume": True})
    one, other = (read_weights(folder / "models" / "model_final.pt").state for folder in (whole, again))
    off = max((one[name] - other[name]).abs().max().item() for name in one)
    setting.row("resumed", note=f"weights differ by {off:.1e} at most")


def open_tasks(setting: Setting) -> None:
    """Trains the open tasks until the part's time is over; the next time goes on from the last checkpoint."""
    assert setting.data is not None
    folder = setting.out / "open"
    begun = any((folder / "models").glob("checkpoint_epoch=*.pt"))
    data = Path(setting.data).resolve()
    given = {"dataset_dir": data, "cache_dir": data / "cache", "resume": begun, "fingerprint_cases": 0}
    _train(setting, folder, ["train", "open"], given)
    setting.row("trained", note="weights in open/models/model_final.pt")


if __name__ == "__main__":
    _one_of_two(sys.argv[1])
