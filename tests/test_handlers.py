import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import nn

from uniseg_nets.handlers import ClipGradients, FiniteLossGuard, ResumableCheckpoint


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
    assert "epoch 3, iteration 3: task liver, cases case0, case1: step left out" in caplog.text
    with pytest.raises(FloatingPointError, match="3 steps in a row without finite gradients"):
        trainer(network, optimizer, [ClipGradients(network, patience=2)], epochs=9).run()


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights(network):
    before = network.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    with pytest.raises(FloatingPointError, match="epoch 1, iteration 1: task liver, cases case0, case1"):
        trainer(network, optimizer, [FiniteLossGuard()], target=float("nan")).run()
    assert torch.equal(network.weight, before)


def run(folder, epochs, resume=False, seed=0):
    torch.manual_seed(seed)
    network = nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), 1e-5, momentum=0.9)
    handler = ResumableCheckpoint(folder, {"model": network, "optimizer": optimizer}, resume=resume)
    engine = trainer(network, optimizer, [handler], epochs)
    engine.run()
    return network.weight.detach(), engine.state


def test_a_resumed_training_ends_where_an_unbroken_one_does(tmp_path):
    expected, _ = run(tmp_path / "whole", epochs=6)
    run(tmp_path / "broken", epochs=3)
    found, state = run(tmp_path / "broken", epochs=6, resume=True, seed=1)
    torch.testing.assert_close(found, expected)
    assert state.epoch == 6 and state.iteration == 6


def test_the_newest_files_are_kept_and_a_damaged_one_is_passed_over(tmp_path, caplog):
    run(tmp_path, epochs=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_epoch=3.pt", "checkpoint_epoch=4.pt"]
    newest = tmp_path / "checkpoint_epoch=4.pt"
    newest.write_bytes(newest.read_bytes()[:200])
    caplog.set_level("INFO")
    run(tmp_path, epochs=5, resume=True)
    assert "checkpoint_epoch=4.pt cannot be read" in caplog.text and "resuming after epoch 3" in caplog.text


def test_without_a_checkpoint_resume_starts_from_the_beginning(tmp_path, caplog):
    run(tmp_path, epochs=1, resume=True)
    assert "nothing to resume from" in caplog.text
