import itertools
import os
import subprocess
import sys

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import nn

from uniseg_nets.handlers import ClipGradients, EpochProgress, FiniteLossGuard


def trainer(network, optimizer, handlers, epochs=1, target=0.0):
    data = [
        {"image": torch.ones(4) * 100, "label": torch.full((1,), target), "task": "liver", "name": f"case{i}"}
        for i in range(2)
    ]
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=network,
        optimizer=optimizer,
        loss_function=nn.MSELoss(),
        train_handlers=handlers,
    )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Linear(4, 1, bias=False)


def test_an_epoch_leaves_one_line_with_its_mean_loss_and_no_bar_in_a_file(network, caplog, capfd):
    caplog.set_level("INFO")
    with torch.no_grad():
        network.weight.fill_(0.01)  # finds 4
    handler = EpochProgress(output_transform=lambda output: output[0]["loss"])
    trainer(network, torch.optim.SGD(network.parameters(), 0.0), [handler], epochs=2, target=1.0).run()
    lines = [record.message for record in caplog.records if record.name == "uniseg_nets.handlers.progress"]
    assert [line.rsplit(",", 1)[0] for line in lines] == [
        "epoch 1/2: mean loss 9.0000 of 1 steps",
        "epoch 2/2: mean loss 9.0000 of 1 steps",
    ]
    assert "epoch" not in capfd.readouterr().err


def test_gradients_are_clipped_before_the_step(network):
    before = network.weight.detach().clone()
    trainer(network, torch.optim.SGD(network.parameters(), 1.0), [ClipGradients(network, max_norm=0.5)]).run()
    assert (network.weight.detach() - before).norm() == pytest.approx(0.5, rel=1e-3)


def test_gradients_that_are_no_numbers_leave_the_weights_alone(network, caplog):
    before = network.weight.detach().clone()
    network.weight.register_hook(lambda gradient: gradient * float("nan"))
    optimizer = torch.optim.SGD(network.parameters(), 1.0, momentum=0.9)
    trainer(network, optimizer, [ClipGradients(network)], epochs=3).run()
    assert torch.equal(network.weight, before)
    assert "epoch 3, iteration 3: task liver, cases case0, case1: step skipped" in caplog.text
    with pytest.raises(FloatingPointError, match="3 steps in a row without finite gradients"):
        trainer(network, optimizer, [ClipGradients(network, patience=2)], epochs=9).run()


def test_lost_steps_are_counted_in_a_row(network, caplog):
    steps = itertools.count()
    network.weight.register_hook(lambda gradient: gradient * (float("nan") if next(steps) % 3 else 1))
    trainer(network, torch.optim.SGD(network.parameters(), 1e-6), [ClipGradients(network, patience=2)], epochs=12).run()
    assert caplog.text.count("step skipped") == 8  # two after every good one, never three in a row


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights(network):
    before = network.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    with pytest.raises(FloatingPointError, match="epoch 1, iteration 1: task liver, cases case0, case1"):
        trainer(network, optimizer, [FiniteLossGuard()], target=float("nan")).run()
    assert torch.equal(network.weight, before)


# One rank's case is broken; the other one's is fine.
BROKEN_ON_RANK_1 = """
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from uniseg_nets.handlers import FiniteLossGuard

distributed.init_process_group("gloo")
rank = distributed.get_rank()
value = float("nan") if rank else 1.0
data = [{"image": torch.full((4,), value), "label": torch.zeros(1), "task": "liver", "name": f"case{rank}"}]
network = DistributedDataParallel(nn.Linear(4, 1))
SupervisedTrainer(
    device=torch.device("cpu"), max_epochs=1, train_data_loader=DataLoader(Dataset(data)), network=network,
    optimizer=torch.optim.SGD(network.parameters(), 0.1), loss_function=nn.MSELoss(),
    train_handlers=[FiniteLossGuard()],
).run()
"""


def test_a_loss_that_is_no_number_on_one_rank_stops_all_and_each_says_why(tmp_path):
    settings = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    store = tmp_path / "store"
    script = BROKEN_ON_RANK_1.replace('"gloo"', f'"gloo", init_method="file://{store}", world_size=2, rank=int(RANK)')
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", script.replace("RANK", str(rank))], env=settings, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, log = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "rank 1: loss is nan in epoch 1, iteration 1: task liver, cases case1" in log
