"""A training on two nodes, which are two addresses of this machine's loopback."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
import torch

from tests.running import run_on_two_ranks, start_node
from uniseg_nets.phantom import write_phantom_tasks

CONFIGS = ["train.json", "small.json", "multi_gpu_train.json"]
EPOCHS = 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("data")
    write_phantom_tasks(folder, [table.one("prostate")], 2, validation=1)
    return folder


@pytest.fixture
def options(data):
    return {
        "patch_size": [16, 64, 32],
        "network_def#base_features": 4,
        "network_def#max_features": 8,
        "batches_per_task": 2,
        "max_epochs": EPOCHS,
        "num_workers": 0,
        "fingerprint_cases": 0,
        "dataset_dir": data,
        "cache_dir": data / "cache",
        "resume": True,
    }


def started(bundle, folder, options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = options | {"ckpt_dir": folder, "output_dir": folder}
    return [start_node(number, port, bundle, CONFIGS, **own) for number in range(2)]


def ended(nodes):
    logs = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "".join(log[-3000:] for log in logs)
    return "".join(logs)


def losses(log):
    """Epoch -> the losses of both ranks."""
    found = re.findall(rf"epoch (\d)/{EPOCHS}: mean loss ([0-9.]+)", log)
    return {epoch: sorted(float(loss) for number, loss in found if number == epoch) for epoch, _ in found}


def weights(folder):
    return torch.load(folder / f"checkpoint_epoch={EPOCHS}.pt", weights_only=True)["model"]


def test_two_nodes_train_like_one_and_go_on_when_a_rank_is_killed(copy, options, tmp_path):
    one = losses(run_on_two_ranks(copy, CONFIGS, **options, ckpt_dir=tmp_path / "one", output_dir=tmp_path / "one"))
    two = losses(ended(started(copy, tmp_path / "two", options)))
    assert len(one) == EPOCHS and one.keys() == two.keys()
    for epoch, of_one in one.items():
        assert len(of_one) == 2 and two[epoch] == pytest.approx(of_one, rel=1e-4)

    nodes = started(copy, tmp_path / "killed", options)
    while not (tmp_path / "killed" / "checkpoint_epoch=1.pt").is_file():
        assert nodes[1].poll() is None
        time.sleep(0.05)
    rank = subprocess.run(["pgrep", "-P", str(nodes[1].pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(rank[0]), signal.SIGKILL)
    log = ended(nodes)
    assert log.count("resuming after epoch") == 2
    same, again = weights(tmp_path / "two"), weights(tmp_path / "killed")
    assert all(torch.allclose(again[name], tensor, rtol=1e-4, atol=1e-6) for name, tensor in same.items())
