"""What holds of the bundles' trainings: folders, files, lengths and precision."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow

from tests.conftest import SMALL
from tests.running import run, run_on_two_ranks
from uniseg_nets import UniSeg
from uniseg_nets.bundle.label_app import make_label_app
from uniseg_nets.data import load_datalist
from uniseg_nets.handlers import WeightFiles
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import root_cause
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.licence import OPEN_TERMS, mark_terms

BUNDLES = ("uniseg_upstream", "uniseg_finetune", "unetr_prompt_tuning", "esp_medsam_2d")
PATCH = [16, 64, 32]
TINY = {"patch_size": PATCH, "network_def#base_features": 4, "network_def#max_features": 8}
SMALL_NETWORK = {"patch_size": SMALL["patch_size"], "network_def#base_features": 8, "network_def#max_features": 16}
SHORT = TINY | {"batches_per_task": 2, "num_workers": 0, "fingerprint_cases": 0}
ENTRY = {"name": "prostate", "channels": ["T2"], "spacing": [3, 1.5, 1.5], "classes": ["prostate"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("data")
    write_phantom_tasks(folder, [table.one("prostate")], 2, validation=1)
    return folder


@pytest.fixture(scope="module")
def unsplit(data):
    """The same cases as a datalist without validation, and as a plan with two folds."""
    content = json.loads((data / "datalist.json").read_text())
    (data / "unsplit.json").write_text(json.dumps({"training": content["training"]}))
    cases = content["training"] + content["validation"]
    folds = [case | {"name": str(index), "fold": index % 2} for index, case in enumerate(cases)]
    (data / "plan.json").write_text(json.dumps({"task_entry": ENTRY, "data": folds}))
    return data


def training(root, data, *overlays, **options):
    """A training of the upstream bundle in this process, initialised."""
    configs = [str(root / "configs" / name) for name in ("train.json", *overlays)]
    options = {"bundle_root": str(root), "dataset_dir": str(data), **options}
    workflow = ConfigWorkflow(configs, workflow_type="train", logging_file=False, **options)
    workflow.initialize()
    return workflow


def part(workflow, name):
    return workflow.parser.get_parsed_content(name)


def stop(*_):
    raise KeyboardInterrupt


def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(copy, data, tmp_path):
    options = SHORT | {"max_epochs": 4, "val_interval": 1}
    folders = {name: {key: str(tmp_path / name) for key in ("ckpt_dir", "output_dir")} for name in ("whole", "broken")}
    training(copy, data, **options, **folders["whole"]).run()
    killed = training(copy, data, **options, **folders["broken"])
    part(killed, "train#trainer").add_event_handler(Events.ITERATION_STARTED(once=6), stop)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    assert not (tmp_path / "broken" / "checkpoint_epoch=3.pt").exists()
    training(copy, data, resume=True, **options, **folders["broken"]).run()
    for name in ("model.pt", "model_final.pt"):
        whole, resumed = (torch.load(tmp_path / folder / name, weights_only=True) for folder in folders)
        assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


def test_a_folder_with_checkpoints_is_refused_before_anything_is_preprocessed(copy, data, tmp_path):
    (copy / "models" / "checkpoint_epoch=7.pt").write_bytes(b"of a training")
    workflow = training(copy, data, cache_dir=str(tmp_path / "cache"), **SHORT)
    with pytest.raises(RuntimeError) as refused:
        workflow.run()
    assert "checkpoint_epoch=7.pt is of an earlier training" in root_cause(refused.value)
    assert not (tmp_path / "cache").exists()
    assert (copy / "models" / "checkpoint_epoch=7.pt").read_bytes() == b"of a training"


def test_last_weights_of_an_earlier_training_are_not_taken_for_this_one_s(copy, data):
    (copy / "models" / "model_final.pt").write_bytes(b"of a training")
    with pytest.raises(RuntimeError) as refused:
        training(copy, data, **SHORT).run()
    assert "model_final.pt is of an earlier training" in root_cause(refused.value)


def test_fetched_weights_are_not_overwritten_by_a_training(copy, data):
    (copy / "models" / "model.pt").write_bytes(b"fetched")
    with pytest.raises(RuntimeError) as refused:
        training(copy, data, **SHORT).run()
    assert "model.pt holds weights that this training would overwrite" in root_cause(refused.value)
    assert (copy / "models" / "model.pt").read_bytes() == b"fetched"


@pytest.mark.parametrize("name", BUNDLES)
def test_every_training_refuses_to_overwrite_weights_that_came_by_themselves(name, tmp_path):
    """A centre's file from another hospital, or weights of a hub."""
    parser = ConfigParser()
    parser.read_config(str(bundle_folder(name) / "configs" / "train.json"))
    parser.update({"ckpt_dir": str(tmp_path / "run"), "best_weights": str(tmp_path / "north.pt")})
    parser.get_parsed_content("claimed_dir")
    (tmp_path / "north.pt").write_bytes(b"of another hospital")
    with pytest.raises(RuntimeError) as refused:
        parser.parse(True)
        parser.get_parsed_content("claimed_dir")
    assert "north.pt holds weights that this training would overwrite" in root_cause(refused.value)
    parser.update({"best_weights": str(tmp_path / "other.pt")})  # as the message says
    parser.parse(True)
    parser.get_parsed_content("claimed_dir")


def test_a_short_training_without_validation_cases_leaves_its_weights(copy, unsplit):
    options = SHORT | {"dataset_dir": unsplit, "datalist": unsplit / "unsplit.json"}
    run("run", copy, ["train.json", "small.json"], max_epochs=1, **options)
    best, final = (torch.load(copy / "models" / name, weights_only=True) for name in ("model.pt", "model_final.pt"))
    assert all(torch.equal(tensor, final[name]) for name, tensor in best.items())


@pytest.mark.slow
def test_two_processes_train_without_validation_cases_and_resume(copy, unsplit):
    options = SHORT | {"dataset_dir": unsplit, "datalist": unsplit / "unsplit.json"}
    configs = ["train.json", "small.json", "multi_gpu_train.json"]
    run_on_two_ranks(copy, configs, max_epochs=1, **options)
    state = torch.load(copy / "models" / "checkpoint_epoch=1.pt", weights_only=True)
    assert len(state["random"]) == 2  # each process goes on with its own
    log = run_on_two_ranks(copy, configs, max_epochs=2, resume=True, **options)
    assert log.count("resuming after epoch 1") == 2 and (copy / "models" / "checkpoint_epoch=2.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("section", ["training", "validation"])  # of two cases, and of one, which one process lacks
def test_two_processes_evaluate_like_one(copy, data, tmp_path, small_weights, section):
    options = SHORT | SMALL_NETWORK | {"weights": str(small_weights), "section": section}
    training(copy, data, "evaluate.json", output_dir=str(tmp_path / "one"), **options).run()
    folders = {"dataset_dir": data, "output_dir": tmp_path / "two"}
    run_on_two_ranks(copy, ["train.json", "evaluate.json", "multi_gpu_evaluate.json"], **folders, **options)
    for name in ("cases.csv", "summary.csv"):
        assert (tmp_path / "two" / name).read_text() == (tmp_path / "one" / name).read_text()


def test_fine_tuning_on_all_folds_holds_no_case_out(tmp_path, unsplit):
    root = bundle_folder("uniseg_finetune")
    options = SHORT | {"fold": "all", "max_epochs": 1, "cache_dir": str(tmp_path / "cache")}
    options |= {"ckpt_dir": str(tmp_path), "output_dir": str(tmp_path)}
    workflow = training(root, unsplit, str(unsplit / "plan.json"), **options)
    assert len(part(workflow, "train#cases")) == 3 and part(workflow, "validate#cases") == []
    workflow.run()
    assert {"model.pt", "model_final.pt"} <= {path.name for path in tmp_path.iterdir()}
    evaluation = training(root, unsplit, str(unsplit / "plan.json"), "evaluate.json", **options)
    with pytest.raises(RuntimeError) as refused:
        evaluation.run()
    assert "no cases to evaluate" in root_cause(refused.value)


@pytest.mark.parametrize("name", ["batches_per_task", "batches_per_epoch"])
@pytest.mark.parametrize("overlays", [(), ("small.json",)])
def test_fine_tuning_takes_the_length_of_an_epoch_by_either_name(unsplit, overlays, name):
    root = bundle_folder("uniseg_finetune")
    workflow = training(root, unsplit, *overlays, str(unsplit / "plan.json"), **TINY, **{name: 7})
    assert len(part(workflow, "train#sampler")) == part(workflow, "lr_scheduler").steps_per_epoch == 7


def test_an_annotation_server_trains_its_weights_again_and_again(bundle, data, tmp_path, small_weights):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "main.py").touch()
    root = make_label_app(tmp_path / "app", bundle, weights=small_weights, sample_app=tmp_path / "sample")
    model = root / "models" / "model.pt"
    handlers = json.loads((root / "configs" / "train.json").read_text())["train"]["handlers"]
    loader = {"_target_": "CheckpointLoader", "load_path": str(model), "load_dict": {"model": "$@network"}}
    cases = load_datalist(data / "datalist.json", "training", data)
    options = SHORT | SMALL_NETWORK | {"label_values": "task", "device": "cpu", "train#handlers": [loader, *handlers]}
    options |= {"train#trainer#max_epochs": 1, "train#dataset#data": cases[:1], "validate#dataset#data": []}
    for _ in range(2):  # as the server calls it, without a datalist; the loader is the server's
        before = model.read_bytes()
        training(root, tmp_path / "none", **options).run()
        assert model.read_bytes() != before


# What trains in each bundle, and writes checkpoints.
TRAININGS = [
    ("unetr_prompt_tuning", [], {"centre": "north"}),
    ("unetr_prompt_tuning", [], {"centre": "base"}),
    ("unetr_prompt_tuning", ["train_base.json"], {}),
    ("esp_medsam_2d", [], {}),
    ("esp_medsam_2d", ["train_teacher.json"], {}),
    ("esp_medsam_2d", ["distill.json", "distill_stage1.json"], {}),
    ("esp_medsam_2d", ["distill.json", "distill_stage2.json"], {}),
    ("esp_medsam_2d", ["add_modality.json"], {"new_modality": "oct"}),
    ("uniseg_finetune", [], {"fold": 0}),
    ("uniseg_finetune", [], {"fold": 1}),
    ("uniseg_finetune", [], {"fold": "all"}),
]


def places(name, overlays, options):
    """Where a training writes checkpoints, best and last weights."""
    parser = ConfigParser()
    parser.read_config([str(bundle_folder(name) / "configs" / config) for config in ("train.json", *overlays)])
    parser.update(options | {"bundle_root": name})
    keys = ("ckpt_dir", "best_weights", "final_weights")
    return [Path(parser.get_parsed_content(key)) for key in keys]


def test_trainings_share_no_folder_of_checkpoints():
    folders = [places(*each)[0] for each in TRAININGS]
    for one, other in itertools.permutations(folders, 2):
        assert one != other and one not in other.parents


def test_what_a_centre_s_training_writes_is_not_listed_as_another_centre():
    _, best, final = places("unetr_prompt_tuning", [], {"centre": "north"})
    assert best.parent == Path("unetr_prompt_tuning/models/centres") and best.parent != final.parent


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("has", [False, True])
def test_a_training_computes_in_bfloat16_where_the_processor_has_it(name, has, monkeypatch):
    monkeypatch.setattr("uniseg_nets.runtimes.choose._has_bfloat16", lambda device: has)
    parser = ConfigParser()
    parser.read_config([str(bundle_folder(name) / "configs" / config) for config in ("train.json", "small.json")])
    assert parser.get_parsed_content("train#inferer").bfloat16 is has
    parser["bfloat16"] = not has
    parser.parse(True)
    assert parser.get_parsed_content("train#inferer").bfloat16 is not has
    parser["bfloat16"] = "float16"
    parser.parse(True)
    with pytest.raises(RuntimeError) as refused:
        parser.get_parsed_content("train#inferer")
    assert "bfloat16='float16': expected True, False or auto" in root_cause(refused.value)


def test_a_training_starts_from_the_weights_that_it_is_given(bundle, data, small_weights, tmp_path):
    weights = tmp_path / "given.pt"
    shutil.copy(small_weights, weights)
    mark_terms(weights, OPEN_TERMS)
    workflow = training(bundle, data, **SHORT, initial_weights=str(weights), ckpt_dir=str(tmp_path / "models"))
    own, given = part(workflow, "network").state_dict(), torch.load(weights, weights_only=True)
    assert own.keys() == given.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in given.items())
    (handler,) = [one for one in part(workflow, "train#handlers") if isinstance(one, WeightFiles)]
    handler._save(tmp_path / "trained.pt")
    assert (tmp_path / "trained.pt.license").read_text() == (bundle / OPEN_TERMS).read_text()


def test_first_weights_that_do_not_fit_are_refused_before_anything_is_preprocessed(copy, data, tmp_path):
    sizes = {"base_features": 4, "max_features": 8, "patch_size": PATCH}
    save_weights(UniSeg(num_tasks=2, out_channels=3, **sizes).state_dict(), tmp_path / "two_tasks.pt")
    weights = {"initial_weights": str(tmp_path / "two_tasks.pt"), "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(RuntimeError) as refused:
        training(copy, data, **SHORT, **weights).run()
    assert "trained on 2 tasks with 3 outputs, the task table has 11 tasks" in root_cause(refused.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", BUNDLES)
def test_every_training_loads_its_first_weights_before_it_preprocesses(name):
    steps = json.loads((bundle_folder(name) / "configs" / "train.json").read_text())["run"]
    assert steps.index("$@loaded_network") < steps.index("$@train#dataset.fill()")


def test_no_configuration_insists_on_bfloat16(bundle):
    project = Path(__file__).parents[1]
    configs = [*bundle.parent.glob("*/configs/*.json"), *project.glob("benchmarks/**/*.json")]
    assert len(configs) > 40
    for config in configs:
        assert json.loads(config.read_text()).get("bfloat16", "auto") == "auto", config


@pytest.mark.parametrize("name", BUNDLES)
def test_the_evaluation_is_of_the_last_weights_unless_others_are_named(name):
    options = {"fold": 0} if name == "uniseg_finetune" else {}
    overlays = ["train_base.json"] if name == "unetr_prompt_tuning" else []
    parser = ConfigParser()
    files = ["train.json", *overlays, "evaluate.json"]
    parser.read_config([str(bundle_folder(name) / "configs" / config) for config in files])
    parser.update(options | {"bundle_root": name})
    assert Path(parser.get_parsed_content("weights")) == places(name, overlays, options)[2]
