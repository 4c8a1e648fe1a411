"""Fine-tuned weights know the task of their training, and are used for no other."""

import zipfile
from types import SimpleNamespace

import pytest
from ignite.engine import Engine
from monai.bundle import ConfigWorkflow

from tests.running import copied
from uniseg_nets import PromptTunedUniSeg, UniSeg, UniSegBackbone
from uniseg_nets.bundle.label_app import make_label_app
from uniseg_nets.bundle.pack import pack_bundle
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.handlers import WeightFiles
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import root_cause
from uniseg_nets.io.files import write_json
from uniseg_nets.weights.checkpoints import convert, load_network, save_weights
from uniseg_nets.weights.trained_task import mark_task, refuse_other_task, task_of
from uniseg_nets.weights.transfer import load_finetuned, load_pretrained

ENTRY = {
    "name": "abdomen",
    "channels": ["CT"],
    "spacing": [3, 1.5, 1.5],
    "classes": ["organ", "lesion"],
    "values": [50, 100],
    "axes": "anatomical",
    "scaling": [{"scheme": "percentiles", "low": -100, "high": 200, "mean": 40, "std": 30}],
    "mask": "never",
}
SIZES = {"base_features": 4, "max_features": 8}


def network(slot=3):
    return PromptTunedUniSeg(slot, in_channels=[1], out_channels=3, patch_size=[32, 64, 64], **SIZES)


@pytest.fixture
def tuned(tmp_path):
    """The best weights of a training, which its handler wrote."""
    state = SimpleNamespace(epoch=1, best_metric_epoch=1)
    files = tmp_path / "model.pt", tmp_path / "model_final.pt"
    handler = WeightFiles(network(), SimpleNamespace(state=state), *files, task=ENTRY)
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    assert task_of(files[0]) == task_of(files[1])
    return files[0]


def test_a_training_writes_its_task_beside_the_weights(tuned):
    assert task_of(tuned) == {"task_entry": ENTRY, "slot": 3}
    load_finetuned(network(), tuned, task=ENTRY)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spacing": [2, 2, 2]}, r"model\.pt was trained with spacing \[3\.0, 1\.5, 1\.5\], not \[2\.0, 2\.0, 2\.0\]"),
        ({"axes": "acquisition"}, 'axes "anatomical", not "acquisition"'),
        ({"scaling": [{"scheme": "z_score"}]}, '"percentiles".*"mean": 40.*, not .*"z_score"'),
        ({"channels": ["MR"]}, r'channels \["CT"\], not \["MR"\]'),
        ({"classes": ["lesion", "organ"]}, r'classes \["organ", "lesion"\], not \["lesion", "organ"\]'),
        ({"mask": "always"}, 'mask "never", not "always"'),
    ],
)
def test_weights_are_not_used_with_what_another_task_says(tuned, changed, message):
    with pytest.raises(ValueError, match=f"{message}.*use the plan that it was trained with, `--plan PLAN`"):
        load_finetuned(network(), [str(tuned)], task=ENTRY | changed)


def test_weights_are_not_used_with_the_prompt_of_another_slot(tuned):
    with pytest.raises(ValueError, match="was trained with slot 3, not 4: use the plan"):
        load_finetuned(network(4), tuned, task=ENTRY)


def test_all_that_differs_is_named_before_the_weights_are_read(tuned):
    tuned.write_text("no weights")
    with pytest.raises(ValueError, match=r"spacing .*; with axes .*; with slot 3, not 4"):
        load_finetuned(network(4), tuned, task=ENTRY | {"spacing": [1, 1, 1], "axes": "acquisition"})


def test_what_no_network_learns_may_change_after_a_training(tuned):
    free = {"name": "other", "values": [1, 2], "mirror_axes": [0], "max_pieces": {"organ": 1}}
    load_finetuned(network(), tuned, task=ENTRY | free)
    spelt = {key: ENTRY[key] for key in ("name", "channels", "classes", "scaling")} | {"spacing": [3.0, 1.5, 1.5]}
    refuse_other_task(tuned, spelt, 3)  # what is left out has its default


def test_weights_that_do_not_say_their_task_are_used_as_before(tuned):
    mark_task(tuned, None)
    load_finetuned(network(4), tuned, task=ENTRY | {"spacing": [1, 1, 1]})
    save_weights(network().state_dict(), tuned, task={"task_entry": ENTRY})
    save_weights(network().state_dict(), tuned)  # in its place
    assert task_of(tuned) is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"task_entry": {}}'])
def test_a_damaged_task_is_named(tuned, text):
    tuned.with_name("model.pt.task.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.pt\.task\.json is damaged .*: copy it again, or delete it"):
        load_finetuned(network(), tuned, task=ENTRY)


def test_a_converted_file_keeps_its_task_and_is_no_network_of_all_tasks(tuned, tmp_path):
    convert(tuned, tmp_path / "half.pt", half=True)
    assert task_of(tmp_path / "half.pt") == task_of(tuned)
    with pytest.raises(ValueError, match=r"half\.pt was fine-tuned for organ, lesion.*`--plan PLAN`"):
        load_network(UniSeg(patch_size=[32, 64, 64], **SIZES), tmp_path / "half.pt")


def test_a_network_goes_on_with_heads_of_its_own_classes_alone(tuned, tmp_path):
    load_pretrained(network(), tuned, new=[], task=ENTRY | {"spacing": [1, 1, 1]})
    with pytest.raises(ValueError, match=r"heads of organ, lesion, and the plan has the classes lesion, organ"):
        load_pretrained(network(), tuned, new=[], task=ENTRY | {"classes": ["lesion", "organ"]})
    save_weights(UniSeg(patch_size=[32, 64, 64], **SIZES).state_dict(), tmp_path / "all.pt")
    with pytest.raises(ValueError, match=r"nothing beside it names.*plan with `uniseg plan DATA --weights none`"):
        load_pretrained(network(), tmp_path / "all.pt", new=[], task=ENTRY)
    load_pretrained(network(), tmp_path / "all.pt", task=ENTRY)  # with new heads


@pytest.mark.parametrize("name", ["uniseg_finetune", "uniseg_upstream"])
def test_a_server_serves_no_weights_of_another_task(tuned, tmp_path, name):
    (tmp_path / "sample").mkdir()
    with pytest.raises(ValueError, match=r"model\.pt was (trained with channels|fine-tuned for organ, lesion)"):
        make_label_app(tmp_path / "app", bundle_folder(name), weights=tuned, sample_app=tmp_path / "sample")
    assert not (tmp_path / "app").exists()


def plan_of(slot):
    """The plan of ENTRY for a network with the prompt of a slot."""
    definition = {"_target_": "uniseg_nets.PromptTunedUniSeg", "slot": "@slot", "in_channels": [1]}
    definition |= {"patch_size": [32, 64, 64], **SIZES}
    plan = {"task_entry": ENTRY, "slot": slot, "patch_size": [32, 64, 64]}
    return plan | {f"network_def#{name}": value for name, value in definition.items()}


def planned_bundle(folder, slot):
    """A copy of the bundle with a plan in its config."""
    root = copied(bundle_folder("uniseg_finetune"), folder)
    write_json(root / "configs" / "inference.json", merged_config(root / "configs" / "inference.json", plan_of(slot)))
    return root


def test_a_server_serves_no_weights_with_the_prompt_of_another_slot(tuned, tmp_path):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "main.py").touch()
    options = {"weights": tuned, "sample_app": tmp_path / "sample"}
    with pytest.raises(ValueError, match="was trained with slot 3, not 4: use the plan"):
        make_label_app(tmp_path / "app", planned_bundle(tmp_path / "other", 4), **options)
    assert not (tmp_path / "app").exists()
    bundle = planned_bundle(tmp_path, 3)
    mark_task(tuned, None)  # as of an earlier version: the copy says it
    copy = make_label_app(tmp_path / "app", bundle, **options)
    assert task_of(copy / "models" / "model.pt") == {"task_entry": ENTRY, "slot": 3}


def test_a_packed_bundle_refuses_another_plan_before_it_preprocesses(tuned, tmp_path):
    write_json(tmp_path / "plan.json", plan_of(3))
    with zipfile.ZipFile(pack_bundle(tmp_path, tmp_path / "plan.json", [tuned])) as archive:
        archive.extractall(tmp_path)
    packed = tmp_path / "abdomen"
    gone = [{"name": str(fold), "fold": fold, "image": ["none.nii.gz"], "label": "none.nii.gz"} for fold in (0, 1)]
    write_json(tmp_path / "new.json", {"task_entry": ENTRY | {"classes": ["lesion", "organ"]}, "data": gone})
    configs = [str(packed / "configs" / "train.json"), str(tmp_path / "new.json")]
    options = {"workflow_type": "train", "logging_file": False, "num_workers": 0, "bundle_root": str(packed)}
    workflow = ConfigWorkflow(configs, dataset_dir=str(tmp_path), **options)
    workflow.initialize()
    with pytest.raises(RuntimeError) as refused:
        workflow.run()
    assert "heads of organ, lesion, and the plan has the classes lesion, organ" in root_cause(refused.value)
    assert not (packed / "runs").exists() and not (packed / "models" / "trained").exists()


def test_a_network_is_packed_with_the_plan_of_its_training_alone(tmp_path):
    plan = {"task_entry": ENTRY, "patch_size": [32, 64, 64]}
    plan |= {f"network_def#{name}": size for name, size in SIZES.items()}
    state = UniSegBackbone([1], 3, **SIZES).state_dict()
    save_weights(state, tmp_path / "model.pt", task={"task_entry": ENTRY | {"spacing": [1, 1, 1]}})
    write_json(tmp_path / "plan.json", plan)
    with pytest.raises(ValueError, match=r"trained with spacing \[1\.0, 1\.0, 1\.0\], not \[3\.0, 1\.5, 1\.5\]"):
        pack_bundle(tmp_path, tmp_path / "plan.json", [tmp_path / "model.pt"])
    assert not list(tmp_path.glob("*.zip"))
