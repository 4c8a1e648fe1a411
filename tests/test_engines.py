import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import nn

from uniseg_nets.data import GuardedDataset
from uniseg_nets.engines import CaseEvaluator, CasesFailedError, PrepareTaskBatch
from uniseg_nets.handlers import ClipGradients


def evaluator(names, transform, postprocessing=None):
    dataset = GuardedDataset([{"name": name} for name in names], transform)
    return CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=nn.Identity(),
        postprocessing=postprocessing,
    )


def read(case):
    if case["name"].startswith("bad"):
        raise ValueError("broken file")
    return case | {"image": torch.zeros(1, 2, 2, 2)}


def test_a_bad_case_does_not_end_the_run_and_is_named_at_its_end():
    done = []

    def export(case):
        if case["name"] == "full":
            raise OSError("disk is full")
        done.append(case["name"])
        return case

    with pytest.raises(CasesFailedError, match="2 of 4 cases failed") as error:
        evaluator(["bad", "good", "full", "also_good"], read, export).run()
    assert done == ["good", "also_good"]
    assert error.value.failures == {"bad": "broken file", "full": "disk is full"}
    assert "bad: broken file" in str(error.value)


def test_a_run_without_faults_ends_quietly():
    evaluator(["a", "b"], read).run()


def test_nothing_left_to_do_is_no_error(caplog):
    caplog.set_level("INFO")
    evaluator([], read).run()
    assert "no case is left" in caplog.text


def test_the_batch_s_tasks_reach_network_and_loss_as_ids(table):
    batch = {"image": torch.zeros(2, 1, 4, 4, 4), "label": torch.zeros(2, 1, 4, 4, 4), "task": ["spleen", "liver"]}
    image, target, args, kwargs = PrepareTaskBatch(table)(batch)
    assert args[0].tolist() == target["task"].tolist() == [6, 0] and kwargs == {}
    assert image.shape == target["label"].shape == (2, 1, 4, 4, 4)


def test_gradients_are_clipped_before_the_step():
    network = nn.Linear(4, 1, bias=False)
    before = network.weight.detach().clone()
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(Dataset([{"image": torch.ones(4) * 100, "label": torch.zeros(1)}]), batch_size=1),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=nn.MSELoss(),
        train_handlers=[ClipGradients(network, max_norm=0.5)],
    )
    trainer.run()
    assert (network.weight.detach() - before).norm() == pytest.approx(0.5, rel=1e-3)
