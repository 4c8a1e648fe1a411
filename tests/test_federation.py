"""What an evaluation hands on: to experiment tracking, and to a federation whose server sends the weights."""

import json

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.exchange_object import ExchangeObject

from tests.test_plan import write_case
from uniseg_nets import UniSeg
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.weights.checkpoints import save_weights

PATCH = [32, 64, 64]
TINY = {"patch_size": PATCH, "network_def#base_features": 4, "network_def#max_features": 8, "num_workers": 0}
CONFIGS = ["train.json", "evaluate.json"]


@pytest.fixture(scope="module")
def data(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("data")
    write_phantom_tasks(folder, [table.one("prostate")], 0, validation=2)
    return folder


def weights(seed, path):
    torch.manual_seed(seed)
    network = UniSeg(base_features=4, max_features=8, patch_size=PATCH)
    save_weights(network.state_dict(), path)
    return network.state_dict()


KEPT = []


class Tracker:
    """Stands for MLflow's handler: keeps the metrics that are there when an epoch ends."""

    def attach(self, engine):
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: KEPT.append(dict(engine.state.metrics)))


TRACKING = {
    "handlers_id": {"validator": {"id": "validate#evaluator", "handlers": "validate#handlers"}},
    "configs": {"validator": {"_target_": "tests.test_federation.Tracker"}, "save_execute_config": False},
}


def test_an_evaluation_hands_its_mean_dice_to_experiment_tracking(bundle, data, tmp_path):
    weights(0, tmp_path / "model.pt")
    options = {"bundle_root": str(bundle), "dataset_dir": str(data), "output_dir": str(tmp_path / "out"), **TINY}
    files = [str(bundle / "configs" / name) for name in CONFIGS]
    workflow = ConfigWorkflow(
        files,
        workflow_type="train",
        logging_file=False,
        tracking=TRACKING,
        weights=str(tmp_path / "model.pt"),
        **options,
    )
    workflow.initialize()
    KEPT.clear()
    workflow.run()
    rows = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    dice = [float(row.split(",")[rows[0].split(",").index("dice")]) for row in rows[1:]]
    assert [kept["val_mean_dice"] for kept in KEPT] == [pytest.approx(np.mean(dice), abs=1e-3)]


def test_in_a_federation_the_server_s_weights_are_evaluated_round_by_round(bundle, data, tmp_path):
    own = {"dataset_dir": str(data), "output_dir": str(tmp_path / "out"), "weights": None, **TINY}
    client = MonaiAlgo(str(bundle), config_train_filename=None, eval_kwargs=own)
    client.initialize()
    maps = []
    for seed in (0, 1):
        state = weights(seed, tmp_path / f"{seed}.pt")
        found = client.evaluate(ExchangeObject(weights=state))
        assert set(found.metrics) == {"val_mean_dice"}
        maps.append((tmp_path / "out" / "label_maps" / "prostate" / "prostate_0000.nii.gz").read_bytes())
    assert maps[0] != maps[1]


def write_plan(folder):
    """A plan of one case."""
    write_case(folder / "data", "patient", seed=0, size=(40, 50, 30))
    scan = {"image": ["data/patient/t1.nii.gz", "data/patient/t2.nii.gz"], "label": "data/patient/seg.nii.gz"}
    entry = {"name": "own", "channels": ["T1", "T2"], "spacing": [2, 2, 2], "classes": ["a", "b"], "values": [50, 100]}
    cases = [{"name": "patient", "task": "own", "fold": 0, **scan}]
    path = folder / "plan.json"
    path.write_text(json.dumps({"task_entry": entry, "data": cases}))
    return path


def test_a_bundle_s_federated_evaluation_needs_no_weights_of_its_own(tmp_path):
    plan = write_plan(tmp_path)
    root = bundle_folder("uniseg_finetune")
    own = {"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out"), "weights": None, **TINY}
    configs = [root / "configs" / "train.json", plan, root / "configs" / "evaluate.json"]
    files = list(map(str, configs))
    client = MonaiAlgo(str(root), config_train_filename=None, config_evaluate_filename=files, eval_kwargs=own)
    client.initialize()
    state = client.eval_workflow.parser.get_parsed_content("network_def").state_dict()
    assert set(client.evaluate(ExchangeObject(weights=state)).metrics) == {"val_mean_dice"}
