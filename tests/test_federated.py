"""Rounds of a federation's sites: what travels, what stays at home, and what a site refuses."""

import json

import pytest
import torch
from monai.fl.client import MonaiAlgo, MonaiAlgoStats
from monai.fl.utils.constants import ExtraItems, FlStatistics, ModelType
from monai.fl.utils.exchange_object import ExchangeObject

from tests.running import copied
from uniseg_nets.federated import PARTS, Site, Travelling, load_site
from uniseg_nets.federated.__main__ import main
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.weights.checkpoints import read_state
from uniseg_nets.weights.trained_task import task_of
from uniseg_nets.weights.transfer import load_finetuned

PATCH = [16, 32, 64]
SHORT = {"num_workers": 0, "batch_size": 1, "batches_per_task": 1, "val_interval": 1, "fingerprint_cases": 0}
SMALL = SHORT | {"patch_size": PATCH, "network_def#base_features": 2, "network_def#max_features": 4}
UNETR = SHORT | {
    "patch_size": PATCH,
    "network_def#feature_size": 2,
    "network_def#hidden_size": 12,
    "network_def#mlp_dim": 12,
    "network_def#num_heads": 1,
    "base_weights": None,
    "num_prompts": 2,
}
ENTRY = {"name": "tumour", "channels": ["CT", "PET"], "spacing": [24, 12, 12], "classes": ["tumour"], "values": [1]}


@pytest.fixture(scope="module")
def data(tmp_path_factory, table):
    """Two patients, one of them for validation, on a coarse grid: a round takes a second."""
    folder = tmp_path_factory.mktemp("data")
    write_phantom_tasks(folder, [table.one("whole_body_tumour")], 1, validation=1)
    listed = json.loads((folder / "datalist.json").read_text())
    for case in listed["training"] + listed["validation"]:
        case["task"] = "tumour"
    (folder / "datalist.json").write_text(json.dumps(listed))
    (folder / "tasks.json").write_text(json.dumps({"tasks": [ENTRY]}))
    return folder


def values_of(name, data):
    """The values that a training of a bundle needs, for a very small network."""
    if name == "uniseg_finetune":
        listed = json.loads((data / "datalist.json").read_text())
        cases = [
            case | {"name": str(fold), "fold": fold}
            for fold, case in enumerate(listed["training"] + listed["validation"])
        ]
        return SMALL | {"dataset_dir": str(data), "task_entry": ENTRY, "data": cases}
    small = UNETR if name == "unetr_prompt_tuning" else SMALL | {"network_def#num_tasks": 1}
    return small | {"dataset_dir": str(data), "tasks_file": str(data / "tasks.json")}


def site(folder, data, name="uniseg_upstream", **settings):
    folder.mkdir(exist_ok=True)
    content = {"name": folder.name, "folder": ".", "bundle": name, "values": values_of(name, data)} | settings
    (folder / "site.json").write_text(json.dumps(content))
    return Site(load_site(folder / "site.json"))


BEST = {"uniseg_finetune": "models/fold0/", "uniseg_upstream": "models/", "unetr_prompt_tuning": "models/centres/"}


@pytest.mark.parametrize("name", BEST)
def test_monai_s_client_trains_rounds_and_hands_out_the_weights_of_each(name, data, tmp_path):
    bundle = copied(bundle_folder(name), tmp_path)
    values = values_of(name, data)
    best, final = {
        "uniseg_finetune": ("models/fold0/model.pt", "models/fold0/model_final.pt"),
        "uniseg_upstream": ("models/model.pt", "models/model_final.pt"),
        "unetr_prompt_tuning": ("models/centres/new.pt", "models/centres/final/new.pt"),
    }[name]
    client = MonaiAlgo(
        str(bundle),
        send_weight_diff=False,
        train_kwargs=dict(values),
        eval_kwargs=dict(values),
        config_evaluate_filename="configs/train.json",
        best_model_filepath=best,
        final_model_filepath=final,
    )
    client.initialize({ExtraItems.CLIENT_NAME: "a"})
    weights = {key: tensor.clone() for key, tensor in client.trainer.network.state_dict().items()}
    before = client.evaluate(ExchangeObject(weights=weights)).metrics["val_mean_dice"]
    for number in (1, 2):
        client.train(ExchangeObject(weights=weights))
        found = client.get_weights()
        assert client.trainer.state.epoch == number and found.statistics["num_executed_iterations"] == 1
        assert any(not torch.equal(found.weights[key], tensor) for key, tensor in weights.items())
        weights = {key: tensor.clone() for key, tensor in found.weights.items()}
    after = client.evaluate(ExchangeObject(weights=weights)).metrics["val_mean_dice"]
    assert 0 <= before <= 1 and 0 <= after <= 1
    last = client.get_weights({ExtraItems.MODEL_TYPE: ModelType.FINAL_MODEL}).weights
    assert all(torch.equal(tensor, weights[key]) for key, tensor in last.items())
    assert client.get_weights({ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}).weights.keys() == last.keys()
    client.finalize()


def test_monai_s_client_tells_the_statistics_of_a_site_s_data(data, tmp_path):
    from monai.bundle import ConfigWorkflow

    bundle = copied(bundle_folder("uniseg_upstream"), tmp_path)
    values = values_of("uniseg_upstream", data)
    file = str(bundle / "configs" / "train.json")
    workflow = ConfigWorkflow(file, meta_file=None, logging_file=False, workflow_type="train", **values)
    client = MonaiAlgoStats(str(bundle), workflow=workflow)
    client.initialize({ExtraItems.CLIENT_NAME: "a", ExtraItems.APP_ROOT: str(tmp_path)})
    asked = {FlStatistics.HIST_BINS: 10, FlStatistics.HIST_RANGE: [-1000, 1000]}
    found = client.get_data_stats(asked).statistics
    assert found["train"][FlStatistics.DATA_COUNT] == 1 and found["train"][FlStatistics.FAIL_COUNT] == 0


def test_sites_in_one_process_train_apart_and_their_mean_is_evaluated(data, tmp_path):
    sites = [site(tmp_path / name, data) for name in ("north", "south")]
    start = sites[0].initial()
    trained = [one.train(start, 1, 2) for one in sites]
    mean = {key: torch.stack([weights[key] for weights, _ in trained]).mean(0) for key in start}
    assert all(figures["num-examples"] == 1 and 0 <= figures["val_mean_dice"] <= 1 for _, figures in trained)
    for one in sites:
        assert one.evaluate(mean)["num-examples"] == 1
        state, _ = read_state(one.settings.folder / "models" / "model_final.pt")
        assert all(torch.equal(state[key], tensor) for key, tensor in mean.items())
        assert (one.settings.folder / "models" / "model.pt").is_file()
        assert list((one.settings.folder / "cache").glob("*.pt"))


def test_prompts_travel_alone_and_the_rest_stays_as_it_was(data, tmp_path):
    one = site(tmp_path / "north", data, travels="prompts")
    start = one.initial()
    weights, _ = one.train(start, 2, 3)
    assert weights.keys() == start.keys() and all(key.startswith("task_prompts.") for key in weights)
    assert any(not torch.equal(weights[key], start[key]) for key in start)
    rest, _ = read_state(tmp_path / "north" / "runs" / "last.pt")
    one.evaluate(start)
    loaded, _ = read_state(tmp_path / "north" / "models" / "model_final.pt")
    others = [key for key in rest if key not in start]
    assert others and all(torch.equal(rest[key], loaded[key]) for key in others)


def test_a_private_prompt_is_trained_over_rounds_and_never_leaves(data, tmp_path):
    one = site(tmp_path / "north", data, travels="prompts", private=["task_prompts.universal"])
    start = one.initial()
    assert "task_prompts.universal" not in start
    prompts = []
    for number in (1, 2):
        weights, _ = one.train(start | {"task_prompts.universal": torch.zeros(1, 1, 1, 1, 1)}, number, 2)
        assert "task_prompts.universal" not in weights
        prompts.append(read_state(tmp_path / "north" / "models" / "private.pt")[0]["task_prompts.universal"])
    assert not torch.equal(*prompts) and prompts[0].abs().sum() > 0
    one.evaluate(weights)
    state, _ = read_state(tmp_path / "north" / "models" / "model_final.pt")
    assert torch.equal(state["task_prompts.universal"], prompts[1])


SLOT = {"network_def#_target_": "uniseg_nets.PromptTunedUniSeg", "network_def#slot": 1, "network_def#num_tasks": 3}


def test_a_site_s_files_say_its_task_and_are_used_for_no_other(data, tmp_path, monkeypatch):
    values = values_of("uniseg_finetune", data) | SLOT | {"network_def#patch_size": PATCH}
    own = {"values": values, "private": ["task_prompts.universal"]}
    one = site(tmp_path / "north", data, "uniseg_finetune", **own)
    monkeypatch.setattr("sys.argv", ["federated", str(tmp_path / "north" / "site.json"), str(tmp_path / "initial.pt")])
    main()
    weights, _ = read_state(tmp_path / "initial.pt")
    one.train(weights, 1, 1)
    one.evaluate(weights)
    models = tmp_path / "north" / "models"
    files = [tmp_path / "initial.pt", *(models / name for name in ("private.pt", "model.pt", "model_final.pt"))]
    for file in files:
        assert task_of(file) == {"task_entry": ENTRY, "slot": 1}
    with pytest.raises(ValueError, match=r"model\.pt was trained with spacing"):
        load_finetuned(torch.nn.Identity(), models / "model.pt", task=ENTRY | {"spacing": [1, 1, 1]})
    own["values"] = values | {"network_def#slot": 2}
    with pytest.raises(ValueError, match=r"private\.pt was trained with slot 1, not 2"):
        site(tmp_path / "north", data, "uniseg_finetune", **own).evaluate(weights)


def test_weights_of_a_whole_table_have_no_task_of_their_own(data, tmp_path):
    one = site(tmp_path / "north", data)
    one.evaluate(one.initial())
    assert task_of(tmp_path / "north" / "models" / "model.pt") is None


def test_a_private_part_that_the_network_lacks_is_refused_before_it_would_be_sent(data, tmp_path):
    one = site(tmp_path / "north", data, travels="prompts", private=["task_prompt.universal"])
    with pytest.raises(ValueError, match=r"no part \['task_prompt.universal'\]"):
        one.initial()


def test_a_site_without_validation_cases_is_refused(data, tmp_path):
    listed = json.loads((data / "datalist.json").read_text())
    (tmp_path / "datalist.json").write_text(json.dumps({"training": listed["training"]}))
    values = values_of("uniseg_upstream", data) | {"datalist": str(tmp_path / "datalist.json")}
    with pytest.raises(ValueError, match="site south has no validation cases"):
        site(tmp_path / "south", data, values=values).initial()


def test_the_learning_rate_falls_over_the_rounds_and_every_round_draws_other_patches(data, tmp_path):
    one = site(tmp_path / "north", data)
    start = one.initial()
    moves = []
    for number in (1, 10):
        weights, _ = one.train(start, number, 10)
        moves.append(sum(float((weights[key] - start[key]).abs().sum()) for key in start))
    assert moves[0] > 3 * moves[1] > 0


NORMS = {"task_prompts.universal", "task_prompts.fuse.0.norm.bias", "encoder.stages.0.norm.weight"}


@pytest.mark.parametrize(
    ("travels", "expected"),
    [
        ("decoder", {"decoder.a"}),
        ("fuse", {"task_prompts.fuse.a", "task_prompts.fuse.0.norm.bias"}),
        ("norms", NORMS),
    ],
)
def test_what_travels_is_chosen_by_name(travels, expected):
    names = {"encoder.a", "encoder.normal", "decoder.a", "decoders.a", "task_prompts.fuse.a"} | NORMS
    sent = Travelling(travels)(ExchangeObject(weights={name: torch.zeros(1) for name in names}))
    assert set(sent.weights) == expected


def test_an_exchange_of_nothing_that_may_travel_is_refused():
    with pytest.raises(ValueError, match="'prompts' and none of 1 tensors"):
        Travelling("prompts")(ExchangeObject(weights={"encoder.a": torch.zeros(1)}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "a", "folder": ".", "travels": "prompt"}, "did you mean 'prompts'"),
        ({"name": "a", "folder": ".", "privat": []}, "did you mean 'private'"),
        ({"name": "a"}, "expected an object with name and folder"),
        ({"name": "a", "folder": ".", "local_epochs": 0}, "expected 1 or more"),
    ],
)
def test_wrong_settings_of_a_site_are_refused(content, message, tmp_path):
    (tmp_path / "site.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_site(tmp_path / "site.json")


def test_a_value_that_the_federation_sets_itself_is_refused(data, tmp_path):
    north = site(tmp_path / "north", data, values=values_of("uniseg_upstream", data) | {"max_epochs": 3})
    with pytest.raises(ValueError, match="the federation itself sets max_epochs"):
        north.initial()


def test_every_choice_finds_its_tensors_in_a_network():
    from uniseg_nets import PromptUNETR, UniSeg

    uniseg = UniSeg(base_features=2, max_features=4, patch_size=PATCH).state_dict()
    unetr = PromptUNETR(1, 2, PATCH, 2, feature_size=2, hidden_size=12, mlp_dim=12, num_heads=1).state_dict()
    for travels in PARTS:
        assert Travelling(travels).chosen(uniseg)
    assert len(Travelling("norms").chosen(uniseg)) == 1 + sum(".norm." in name for name in uniseg)
    assert set(Travelling("prompts").chosen(unetr)) == {"vit.prompts"} and Travelling("decoder").chosen(unetr)


def test_an_evaluation_has_the_dice_of_every_case(data, tmp_path):
    one = site(tmp_path / "north", data)
    found = one.evaluate(one.initial())
    assert len(one.evaluated) == 1
    assert sum(one.evaluated.values()) == pytest.approx(found["val_mean_dice"], abs=1e-6)
