"""Processes that share a folder are killed at random: every case is done, none twice, no file is half written."""

import json
import multiprocessing
import random
import time
from collections import Counter

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, ThreadDataLoader
from torch import nn

from uniseg_nets.data import Claims, FaultTolerantDataset
from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.handlers import RunLog
from uniseg_nets.handlers.logs import read_log
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.io.files import sha256_of
from uniseg_nets.reports.merge import merge_runs
from uniseg_nets.transforms import SaveLabelMapd
from uniseg_nets.transforms.load import LoadCase

EXPIRY = 3  # seconds


class Slow(nn.Module):
    """A network that takes its time, so that kills meet cases in the middle."""

    def forward(self, x):
        time.sleep(random.uniform(0.1, 0.5))
        return x


def segment(cases, output, table):
    """What a process of a shared run does."""
    saver = SaveLabelMapd("pred", output, table, "spleen")
    claims = Claims(saver, EXPIRY)
    load = LoadCase()

    def label(case):
        map_ = MetaTensor((case["pred"] > 0).to(torch.uint8) * 11, meta=case["image"].meta)
        return saver({**case, "pred": map_})

    dataset = FaultTolerantDataset(saver.unfinished(cases), lambda case: case | {"image": load(case["image"])}, claims)
    evaluator = CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=ThreadDataLoader(dataset, batch_size=1),
        network=Slow(),
        postprocessing=label,
        claims=claims,
        val_handlers=[RunLog(saver, len(cases), part=True)],
    )
    try:
        evaluator.run()
    except CasesFailedError:
        raise SystemExit(3) from None


@pytest.fixture
def cases(write_scan):
    def make(count, bad):
        for index in range(count):
            scan = np.random.default_rng(index).normal(size=(16, 16, 8)).astype(np.float32)
            file = write_scan(f"scans/case{index:03d}.nii.gz", scan)
            if index in bad:
                file.write_bytes(b"no scan at all")
            yield {"name": f"case{index:03d}", "image": [str(file)]}

    return make


def run_with_kills(cases, output, table, kills, processes):
    """Runs processes; kills one at random ``kills`` times and starts another one instead."""
    context, dice = multiprocessing.get_context("forkserver"), random.Random(0)
    context.set_forkserver_preload([__name__])  # a fork of this process would inherit the locks of its threads

    first = context.Process(target=time.time)
    first.start(), first.join()  # the fork server has imported all

    def start():
        process = context.Process(target=segment, args=(cases, output, table))
        process.start()
        return process

    running = [start() for _ in range(processes)]
    for _ in range(kills):
        time.sleep(dice.uniform(0.2, 1.0))
        chosen = dice.randrange(processes)
        assert running[chosen].is_alive()
        running[chosen].kill()
        running[chosen].join()
        running[chosen] = start()
    for process in running:
        process.join()
    return [process.exitcode for process in running]


@pytest.mark.parametrize(
    ("count", "bad", "kills", "processes"),
    [(8, {5}, 1, 2), pytest.param(200, {5, 50, 51, 120}, 20, 4, marks=pytest.mark.slow)],
)
def test_killed_processes_lose_no_case_and_do_none_twice(cases, table, tmp_path, count, bad, kills, processes):
    scans, output = list(cases(count, bad)), tmp_path / "out"
    assert set(run_with_kills(scans, output, table, kills, processes)) <= {0, 3}
    good = {case["name"] for index, case in enumerate(scans) if index not in bad}
    for name in good:
        record = json.loads((output / f"{name}.json").read_text())
        assert record["sha256"] == sha256_of(output / f"{name}.nii.gz")
        assert nib.load(output / f"{name}.nii.gz").get_fdata().max() == 11
    assert {path.name for path in output.glob("*.nii.gz")} == {f"{name}.nii.gz" for name in good}
    lines = [line for log in (output / "log").iterdir() for line in read_log(log) if "seconds" in line]
    assert max(Counter(line["case"] for line in lines).values()) == 1
    assert len(good) - kills <= len(lines) <= len(good)  # a kill between the record and its line costs the line
    assert set(merge_runs(output)["failed"]) == {scans[index]["name"] for index in bad}
