"""A real MONAI Label server, spoken to as its clients do: REST, nothing imported from it."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets.phantom import make_phantom, write_phantoms
from uniseg_nets.tasks import load_task_table

pytestmark = pytest.mark.label
MODEL = "uniseg_upstream"


class Server:
    def __init__(self, port, folder):
        self.address, self.folder = f"http://127.0.0.1:{port}", folder

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=600) as answer:
            return json.loads(answer.read())

    def post(self, path, body, kind="application/json"):
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind}, method="POST")
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.read()

    def ask(self, image, output, **params):
        """The answer on an image of the datastore."""
        mark = uuid.uuid4().hex
        part = (
            f'--{mark}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{json.dumps(params)}\r\n--{mark}--\r\n'
        )
        kind = f"multipart/form-data; boundary={mark}"
        return self.post(f"/infer/{MODEL}?image={image}&output={output}", part.encode(), kind)

    def infer(self, image, **params):
        """The label map of an image of the datastore."""
        path = self.folder / f"{image}_{uuid.uuid4().hex}.nii.gz"
        path.write_bytes(self.ask(image, "image", **params))
        return nib.load(path)


def write(volume, affine, path):
    nib.save(nib.Nifti1Image(volume, affine), path)


@pytest.fixture(scope="module")
def studies(tmp_path_factory, table):
    """A CT in two orientations and oblique, a brain as one 4D file and as four files, two prostates with labels."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "labels" / "final").mkdir(parents=True)
    for name in ("RAS", "LPS"):
        ct = make_phantom(table.one("spleen"), seed=7, orientation=name)
        write(ct.image[0].round().astype(np.int16), ct.affine, folder / f"ct_{name}.nii.gz")
    angle = 0.2
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    write(ct.image[0].round().astype(np.int16), turn @ ct.affine, folder / "ct_oblique.nii.gz")
    brain = make_phantom(table.one("brain_tumour"), seed=7)
    write(np.stack(list(brain.image), axis=-1).astype(np.float32), brain.affine, folder / "brain4d.nii.gz")
    for channel, volume in enumerate(brain.image):
        write(volume.astype(np.float32), brain.affine, folder / f"brain_{channel:04d}.nii.gz")
    names = write_phantoms(folder / "raw", table.one("prostate"), 2, seed=7)
    for name in names:
        (folder / "raw" / "imagesTr" / f"{name}_0000.nii.gz").rename(folder / f"{name.replace('_', '')}.nii.gz")
        label = nib.load(folder / "raw" / "labelsTr" / f"{name}.nii.gz")
        values = (np.asarray(label.dataobj) > 0).astype(np.uint8) * 13
        write(values, label.affine, folder / "labels" / "final" / f"{name.replace('_', '')}.nii.gz")
    return folder


@contextmanager
def started(studies, folder, *options):
    """A server of an app that ``uniseg label-app`` makes with some options."""
    python = os.environ.get("UNISEG_LABEL_PYTHON")
    if not python:
        pytest.skip("a MONAI Label environment: run `make test-label`")
    command = [python, "-m", "uniseg_nets", "label-app", str(folder / "app"), *options]
    subprocess.run(command, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "monailabel.main", "start_server", "--app", str(folder / "app"), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "models", MODEL]
    command += ["--conf", "zoo_source", "local", "--conf", "sam2", "false", "--conf", "uncertain_first", "true"]
    settings = {"MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false", "MONAI_LABEL_SESSION_PATH": str(folder / "sessions")}
    settings["MONAI_LABEL_AUTO_UPDATE_SCORING"] = "false"  # when a test asks for it
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | settings)
    server = Server(port, folder)
    try:
        for _ in range(120):
            try:
                server.get("/info/")
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()[-3000:]
                time.sleep(1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(studies, tmp_path_factory):
    with started(studies, tmp_path_factory.mktemp("server"), "--demo") as running:
        yield running


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """A server of the open weights, with a volume in millimetres and the same one with a header in metres."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "studies").mkdir()
    volume = np.random.default_rng(0).normal(100, 20, (36, 50, 36)).astype(np.float32)
    write(volume, np.diag([-1.0, -1, 1, 1]), folder / "studies" / "crop.nii.gz")
    write(volume, np.diag([-1e-3, -1e-3, 1e-3, 1]), folder / "studies" / "metres.nii.gz")
    with started(folder / "studies", folder, "--weights", "open") as running:
        yield running


def test_the_open_weights_are_served_with_their_tasks(open_server):
    table = load_task_table("open")
    model = open_server.get("/info/")["models"][MODEL]
    assert model["config"]["task"] == [task.name for task in table]
    assert model["labels"] == {name: value for value, name in table.labels.items() if value}
    label = open_server.infer("crop", task="hippocampus", result_dtype="uint8")
    assert label.shape == (36, 50, 36) and set(np.unique(label.get_fdata())) <= {0, 1, 2}
    label = open_server.infer("crop", task="left_atrium", result_dtype="uint8")
    assert set(np.unique(label.get_fdata())) <= {0, 3}


def test_an_answer_has_the_verdict_with_its_reasons(open_server):
    answer = json.loads(open_server.ask("crop", "json", task="hippocampus"))
    params = answer.get("params", answer)
    assert params["verdict"] == "check"  # nothing but noise
    assert params["reasons"] and all(reason.endswith(".") for reason in params["reasons"])


def test_a_refused_scan_is_answered_with_the_reason(open_server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        open_server.ask("metres", "image", task="hippocampus")
    assert refused.value.code == 400 and "gives voxels of" in refused.value.read().decode()


def test_the_menu_and_the_labels_of_all_tasks_are_shown(server, table):
    model = server.get("/info/")["models"][MODEL]
    assert model["config"]["task"] == table.choices
    assert model["labels"] == {name: value for value, name in table.labels.items() if value}


@pytest.mark.parametrize("image", ["ct_RAS", "ct_LPS", "ct_oblique"])
def test_the_task_of_the_request_counts_and_the_grid_is_the_scan_s(server, studies, image):
    scan = nib.load(studies / f"{image}.nii.gz")
    found = {task: server.infer(image, task=task, result_dtype="uint8") for task in ("liver", "spleen")}
    for label in found.values():
        assert label.shape == scan.shape and np.allclose(label.affine, scan.affine, atol=1e-5)
    values = {task: set(np.unique(np.asarray(label.dataobj))) for task, label in found.items()}
    assert values["liver"] <= {0, 1, 2} and 1 in values["liver"]
    assert values["spleen"] == {0, 11}


def test_channels_come_as_one_file_or_as_siblings(server):
    first, second = (
        server.infer(image, task="brain_tumour", result_dtype="uint8") for image in ("brain4d", "brain_0000")
    )
    assert np.array_equal(first.get_fdata(), second.get_fdata()) and 14 in np.unique(first.get_fdata())


@pytest.mark.parametrize("task", ["livr", "$open('pwned', 'w')", "@network_def", "%metadata.json"])
def test_a_wrong_or_hostile_task_is_refused_with_the_reason_in_the_answer_and_in_the_log(server, task):
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.infer("ct_RAS", task=task)
    answer = json.loads(refused.value.read())
    assert refused.value.code == 400
    reason = "did you mean 'liver'?" if task == "livr" else f"refused: {task!r} begins with"
    for _ in range(50):  # the log is written after the answer
        if reason in (server.folder / "log").read_text():
            break
        time.sleep(0.1)
    assert reason in answer["detail"]
    assert reason in (server.folder / "log").read_text()
    assert not Path("pwned").exists()


def test_a_batch_labels_every_image_and_names_those_that_it_could_not(server, studies):
    request = {"device": "cuda", "multi_gpu": True, "max_workers": 1, "max_batch_size": 0, "task": "prostate"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.post(f"/batch/infer/{MODEL}?run_sync=true", json.dumps(request).encode())
    answer = json.loads(refused.value.read())["detail"]  # the brain's file of four channels is no prostate
    assert refused.value.code == 400 and "the others are done" in answer and "brain4d: " in answer
    done = {path.name for path in (studies / "labels" / "original").iterdir()}
    assert {"ct_RAS.nii.gz", *(path.name for path in studies.glob("prostate*.nii.gz"))} <= done


def test_the_image_that_the_network_is_least_sure_of_is_served_first(server, studies):
    info = server.get("/info/")
    method = f"{MODEL}_uncertainty"
    assert method in info["scoring"] and "uncertain_first" in info["strategies"]
    server.post(f"/scoring/{method}", json.dumps({"task": "spleen"}).encode())
    while (status := server.get("/scoring/"))["status"] not in ("DONE", "ERROR"):
        time.sleep(2)
    assert status["status"] == "DONE", status["details"]
    served = [json.loads(server.post("/activelearning/uncertain_first", b"{}")) for _ in range(3)]
    scores = [sample["uncertainty"] for sample in served]
    assert len({sample["id"] for sample in served}) == 3 and scores == sorted(scores, reverse=True)
    stored = {
        name: image["image"]["info"]
        for name, image in json.loads((studies / "datastore_v2.json").read_text())["objects"].items()
    }
    known = {name: info["uncertainty"] for name, info in stored.items() if "uncertainty" in info}
    assert scores[0] == max(known.values()) and known["brain4d"] == 0  # four channels are no CT
    assert 0 < known["ct_RAS"] < 1 and known.keys() == {name for name in stored if not name.startswith("prostate")}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        server.post(f"/scoring/{method}?run_sync=true", json.dumps({"task": "livr"}).encode())


def test_submitted_labels_train_and_the_new_weights_answer(server, studies):
    image = next(path.name.removesuffix(".nii.gz") for path in studies.glob("prostate*.nii.gz"))
    before = server.infer(image, task="prostate", result_dtype="uint8").get_fdata()
    request = {"max_epochs": 1, "val_split": 0.5, "task": "prostate", "multi_gpu": False}
    server.post(f"/train/{MODEL}", json.dumps(request).encode())
    while (status := server.get("/train/"))["status"] not in ("DONE", "ERROR"):
        time.sleep(2)
    assert status["status"] == "DONE", status["details"][-5:]
    after = server.infer(image, task="prostate", result_dtype="uint8").get_fdata()
    assert set(np.unique(after)) <= {0, 13} and not np.array_equal(before, after)
