"""A training on two nodes, which are two addresses of this machine's loopback."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
import torch

from tests.running import copied, run_on_two_ranks, start_node
from uniseg_nets.phantom import write_phantom_tasks

CONFIGS = ["train.json", "small.json", "multi_gpu_train.json"]
EPOCHS = 3
LAST = f"checkpoint_epoch={EPOCHS}.pt"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def training(bundle, table, tmp_path_factory):
    """The bundle elsewhere, and options of a small training; --resume from the start, as a restart needs it."""
    data = tmp_path_factory.mktemp("data")
    write_phantom_tasks(data, [table.one("prostate")], 2, validation=1)
    options = {
        "patch_size": [16, 64, 32],
        "network_def#base_features": 4,
        "network_def#max_features": 8,
        "batches_per_task": 10,
        "max_epochs": EPOCHS,
        "num_workers": 0,
        "fingerprint_cases": 0,
        "dataset_dir": data,
        "cache_dir": data / "cache",
        "resume": True,
    }
    return copied(bundle, tmp_path_factory.mktemp("bundle")), options


@pytest.fixture(scope="module")
def one_node(training, tmp_path_factory):
    """Folder and log of the training on one node of two ranks."""
    copy, options = training
    folder = tmp_path_factory.mktemp("one")
    return folder, run_on_two_ranks(copy, CONFIGS, **options, ckpt_dir=folder, output_dir=folder)


def started(training, folder):
    """The processes of two nodes, each of one rank."""
    copy, options = training
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = options | {"ckpt_dir": folder, "output_dir": folder}
    return [start_node(number, port, copy, CONFIGS, **own) for number in range(2)]


def ended(nodes):
    logs = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "".join(log[-3000:] for log in logs)
    return "".join(logs)


def losses(log):
    """Epoch -> the losses of both ranks."""
    found = re.findall(rf"epoch (\d)/{EPOCHS}: mean loss ([0-9.]+)", log)
    return {epoch: sorted(float(loss) for number, loss in found if number == epoch) for epoch, _ in found}


def assert_same_weights(folder, expected):
    """Equal but for the order of sums."""
    found, weights = (torch.load(each / LAST, weights_only=True)["model"] for each in (folder, expected))
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_two_nodes_train_like_one(training, one_node, tmp_path):
    expected, log = one_node
    two, one = losses(ended(started(training, tmp_path))), losses(log)
    assert len(one) == EPOCHS and one.keys() == two.keys()
    for epoch, of_one in one.items():
        assert len(of_one) == 2 and two[epoch] == pytest.approx(of_one, rel=1e-4)
    assert_same_weights(tmp_path, expected)


def test_a_killed_rank_is_started_again_and_the_training_ends_with_the_same_weights(training, one_node, tmp_path):
    nodes = started(training, tmp_path)
    while not (tmp_path / "checkpoint_epoch=1.pt").is_file():
        assert nodes[1].poll() is None
        time.sleep(0.05)
    rank = subprocess.run(["pgrep", "-P", str(nodes[1].pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(rank[0]), signal.SIGKILL)
    assert not (tmp_path / LAST).is_file(), "the training ended before the kill"
    log = ended(nodes)
    assert log.count("nothing to resume from") == log.count("resuming after epoch") == 2
    assert_same_weights(tmp_path, one_node[0])
