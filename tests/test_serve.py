"""The guard before a MONAI Label app, without a server; `make test-label` has a real one."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from uniseg_nets.bundle.label_app import RequestGuard, make_label_app
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import convert
from uniseg_nets.weights.licence import OPEN_TERMS, mark_terms, terms_of


class ClientError(Exception):
    def __init__(self, status, detail):
        super().__init__(f"{status}: {detail}")


class App:
    """Does with a request what MONAI Label's app does: a batch asks for every image with keys of its own."""

    def __init__(self, fails=()):
        menu = load_task_table().choices
        config = SimpleNamespace(get_parsed_content=lambda name: load_task_table())
        self._model = SimpleNamespace(displayable_configs={"task": menu}, bundle_config=config, load_strict=False)
        # MONAI Label lists the weights of its start for inferences, and those of the moment for trainings.
        self._model.config = lambda: {"model_filename": ["model.pt"]}
        trainer = SimpleNamespace(config=lambda: {"model_filename": ["model.pt", "model_final.pt"]})
        self._infers, self._trainers = self.init_infers(), {"m": trainer}
        self.fails, self.requests = fails, []

    def init_infers(self):
        return {"m": self._model}

    def infer(self, request, datastore=None):
        self.requests.append(request)
        if request.get("image") in self.fails:
            raise RuntimeError("applying transform <Load>") from ValueError(f"cannot read {request['image']}")
        return {"file": "label.nii.gz", "params": {"label_names": {"all of them": 1}}}

    def batch_infer(self, request, datastore=None):
        devices = [request["device"]] if not request["multi_gpu"] else []
        asked = enumerate(request["images"])
        keys = [{"_id": i, "_image_id": name, "image": name, "device": devices[i % len(devices)]} for i, name in asked]
        return {own["image"]: self.infer({**request, **own}) for own in keys}

    def train(self, request):
        self.requests.append(request)

    scoring = next_sample = train


class Guarded(RequestGuard, App):
    pass


@pytest.fixture(autouse=True)
def fastapi(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", SimpleNamespace(HTTPException=ClientError))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


BATCH = {"model": "m", "images": ["a", "b", "c"], "device": "cuda", "multi_gpu": True, "task": "liver"}


def test_a_batch_without_a_gpu_segments_every_image():
    app = Guarded()
    assert set(app.batch_infer(BATCH)) == {"a", "b", "c"}
    assert [(request["image"], request["device"]) for request in app.requests] == [(i, "cpu") for i in "abc"]


def test_a_bad_image_does_not_stop_a_batch_and_is_named():
    app = Guarded(fails="b")
    with pytest.raises(ClientError, match=r"400: 1 of 3 images failed.*\n  b: cannot read b"):
        app.batch_infer(BATCH)
    assert [request["image"] for request in app.requests] == ["a", "b", "c"]


def test_what_a_client_can_mend_is_answered_with_the_reason():
    with pytest.raises(ClientError, match="400: cannot read a"):
        Guarded(fails="a").infer({"model": "m", "image": "a"})
    with pytest.raises(AttributeError):  # ours to mend
        Guarded().infer(None)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("spleen", {"spleen": 11}),
        ("liver,spleen", {"liver": 1, "liver_tumour": 2, "spleen": 11}),
        (None, {"liver": 1, "liver_tumour": 2}),
    ],
)
def test_an_answer_names_the_labels_of_its_task_alone(task, names):
    answer = Guarded().infer({"model": "m", "image": "a"} | ({"task": task} if task else {}))
    assert answer["params"]["label_names"] == names


@pytest.mark.parametrize("method", ["infer", "batch_infer", "train", "scoring", "next_sample"])
@pytest.mark.parametrize(
    "bad",
    [
        {"task": "$print(1)"},
        {"task": " \t@network"},
        {"a": ["x", ("%metadata",)]},
        {"a": {"_target_": "os.system"}},
        {"_target_": "os.system"},
        {"_image_id": {"_target_": "os.system"}, "image": "$x"},
    ],
)
def test_no_method_lets_code_through(method, bad):
    app = Guarded()
    with pytest.raises(ClientError, match="400: refused"):
        getattr(app, method)({"model": "m", "image": "a", "images": [], "multi_gpu": False, **bad})
    assert not app.requests


@pytest.mark.parametrize("method", ["infer", "batch_infer", "train", "scoring"])
@pytest.mark.parametrize(
    "named", ["../../../uploads/evil.pt", ["model.pt", r"..\evil.pt"], "evil.pt", "", [], {"a": 1}]
)
def test_no_method_reads_weights_that_the_server_does_not_list(method, named):
    app = Guarded()
    request = {"model": "m", "image": "a", "images": [], "multi_gpu": False}
    with pytest.raises(
        ClientError, match=r"400: refused: model_filename of the request is not one of model\.pt, model_final\.pt"
    ):
        getattr(app, method)({**request, "model_filename": named})
    assert not app.requests
    app.infer({**request, "model_filename": "model_final.pt"})
    app.train({**request, "model_filename": ["model.pt", "model_final.pt"]})  # clients send back all that is offered
    assert len(app.requests) == 2


def test_weights_of_another_network_are_not_loaded_in_part():
    assert Guarded()._infers["m"].load_strict


@pytest.mark.parametrize(
    "bad",
    [
        {"run_id": "--seed=$__import__('os').system('true')", "force_multi_gpu": True, "gpus": "0"},
        {"run_id": "code", "tracking": "uploads/evil.json"},
        {"tracking": ["uploads/evil.json", "None"]},
        {"tracking": "--config_file=x"},
        {"gpus": "0 --seed=1"},
        {"model_filename": "../../other/model.pt"},
        {"model_filename": ["model.pt", r"..\x.pt"]},
    ],
)
def test_a_training_takes_no_setting_that_the_server_would_read_as_a_config_or_an_option(bad):
    app = Guarded()
    with pytest.raises(ClientError, match="400: refused"):
        app.train({"model": "m", "max_epochs": 2, **bad})
    assert not app.requests


def test_a_training_with_the_settings_that_the_server_offers_is_passed_on():
    app = Guarded()
    offered = {
        "model": "m",
        "max_epochs": 2,
        "gpus": "all",
        "tracking": ["None", "mlflow"],
        "model_filename": "model.pt",
    }
    app.train(offered | {"run_id": "", "tracking_uri": "http://elsewhere"})
    assert app.requests == [offered]


@pytest.fixture
def sample(tmp_path):
    """Where MONAI Label keeps its own app."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "main.py").write_text("# theirs\n")
    return tmp_path / "sample"


def test_an_app_has_the_guard_before_the_server_s_own_and_a_copy_of_the_bundle(sample, bundle, small_weights, tmp_path):
    app = tmp_path / "app"
    copy = make_label_app(app, bundle, ["demo.json"], small_weights, sample)
    assert (app / "bundle_app.py").read_text() == "# theirs\n" and "RequestGuard" in (app / "main.py").read_text()
    assert copy == app / "model" / bundle.name
    own, laid, made = (
        json.loads((folder / "configs" / name).read_text())
        for folder, name in ((bundle, "inference.json"), (bundle, "demo.json"), (copy, "inference.json"))
    )
    assert made["label_values"] == "global" and made["weights"] == own["weights"] != laid["weights"]
    assert json.loads((copy / "configs" / "train.json").read_text())["resume"] is True


def test_an_app_lists_the_labels_of_the_tasks_that_it_serves(sample, bundle, small_weights, tmp_path):
    """A server shows the classes in the metadata of its bundle, and clients submit labels under their values."""
    shipped = json.loads((bundle / "configs" / "metadata.json").read_text())
    for overlays, name in (([], None), (["demo.json"], None), (["open.json"], "open")):
        tasks = load_task_table(name)
        copy = make_label_app(tmp_path / "-".join(["app", *overlays]), bundle, overlays, small_weights, sample)
        made = json.loads((copy / "configs" / "metadata.json").read_text())
        served = made["network_data_format"]["outputs"]["pred"]
        assert served["channel_def"] == {str(value): label for value, label in tasks.labels.items()}
        assert served["num_channels"] == tasks.out_channels
        assert (made == shipped) == (name is None)
    assert all(task.name in made["task"] and task.name in made["description"] for task in tasks)
    assert made["image_classes"] == "T1; MR; CINE; CT; CT and PET"


def test_the_server_gets_weights_of_any_layout_as_it_reads_them(sample, bundle, tmp_path, small_weights):
    convert(small_weights, tmp_path / "official.pth", to_official=True)
    convert(small_weights, tmp_path / "ours.safetensors")
    for name in ("official.pth", "ours.safetensors"):
        root = make_label_app(tmp_path / name[:4], bundle, weights=tmp_path / name, sample_app=sample)
        served = torch.load(root / "models" / "model.pt", weights_only=True)
        wanted = torch.load(small_weights, weights_only=True)
        assert served.keys() == wanted.keys() and all(torch.equal(served[key], wanted[key]) for key in wanted)
    (tmp_path / "broken.pt").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"broken\.pt cannot be read"):
        make_label_app(tmp_path / "app", bundle, weights=tmp_path / "broken.pt", sample_app=sample)
    assert not (tmp_path / "app").exists()


def test_terms_of_served_weights_and_files_of_centres_are_in_the_app(sample, bundle, small_weights, tmp_path):
    weights = Path(shutil.copy(small_weights, tmp_path / "weights.pt"))
    mark_terms(weights, OPEN_TERMS)
    copy = make_label_app(tmp_path / "app", bundle, weights=weights, sample_app=sample)
    assert terms_of(copy / "models" / "model.pt") == OPEN_TERMS
    assert json.loads((copy / "configs" / "train.json").read_text())["pretrained_license"] == OPEN_TERMS
    (copy / "models" / "centres").mkdir()
    (copy / "models" / "centres" / "north.pt").touch()
    (copy / "models" / "other.pt").touch()
    copy = make_label_app(tmp_path / "second", copy, weights=weights, sample_app=sample)
    assert sorted(path.name for path in (copy / "models").rglob("*.pt")) == ["model.pt", "north.pt"]


def test_an_app_that_cannot_be_made_is_refused_with_the_reason(sample, bundle, small_weights, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no MONAI Label app at .*none: install MONAI Label"):
        make_label_app(tmp_path / "app", bundle, weights=small_weights, sample_app=tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.pt: get the authors'"):
        make_label_app(tmp_path / "app", bundle, weights=tmp_path / "none.pt", sample_app=sample)
    (tmp_path / "app").mkdir()
    with pytest.raises(FileExistsError, match="app exists already"):
        make_label_app(tmp_path / "app", bundle, weights=small_weights, sample_app=sample)
    assert not list((tmp_path / "app").iterdir())
