"""The 2D bundle: teacher, distillation in two stages, training, a modality more, inference and evaluation."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import Resize
from PIL import Image

from tests.esp_release import release_state
from tests.running import OPENVINO, run, run_on_two_ranks
from uniseg_nets.demo.images_2d import run_demo
from uniseg_nets.image2d import MaskInferer, with_picture_runtime
from uniseg_nets.image2d.load import read_picture
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import root_cause
from uniseg_nets.phantom import write_phantom_pictures
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.esp_medsam_release import convert_release

SIZES = {"channels": [8, 16, 20, 40], "heads": [1, 2, 2, 4], "embedding": 32, "decoder_mlp": 64, "decoder_heads": 4}
LARGER = SIZES | {"channels": [16, 24, 32, 48], "heads": [1, 2, 2, 4]}
TEACHER = {"_target_": "uniseg_nets.nets.esp_medsam.ESPMedSAM", "modalities": "@modalities", "sizes": LARGER}
TINY = {"image_size": 64, "network_def#sizes": SIZES}
SHORT = {"max_epochs": 1, "batches_per_modality": 2, "batch_size": 2, "val_interval": 1, "num_workers": 0}
KNOWN = ["dermoscopy", "xray", "ultrasound", "fundus", "microscopy", "colonoscopy"]


@pytest.fixture(scope="session")
def bundle():
    return bundle_folder("esp_medsam_2d")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_phantom_pictures(folder, 3, 1)
    return folder


def workflow(bundle, data, overlays, **options):
    """A training in this process."""
    configs = [str(bundle / "configs" / name) for name in ("train.json", *overlays)]
    options = {"bundle_root": str(bundle), "dataset_dir": str(data), **options}
    return ConfigWorkflow(configs, workflow_type="train", logging_file=False, **options)


def trained(bundle, data, overlays, **options):
    training = workflow(bundle, data, overlays, **SHORT, **options)
    training.initialize()
    started, before = training.parser.get_parsed_content("loaded_network"), {}

    def remember():
        before.update({name: tensor.clone() for name, tensor in started.state_dict().items()})

    training.parser.get_parsed_content("train#trainer").add_event_handler(Events.STARTED, remember)
    training.run()
    changed = [name for name, tensor in started.state_dict().items() if not torch.equal(tensor, before[name])]
    return started, before, changed


def failure(inference):
    """The message with which a run ends."""
    with pytest.raises(RuntimeError) as failed:
        inference.run()
    return root_cause(failed.value)


def test_a_teacher_is_distilled_in_two_stages(copy, data):
    teacher = {"image_size": 64, "teacher_def": TEACHER}
    trained(copy, data, ["train_teacher.json"], **teacher)
    assert (copy / "models" / "teacher.pt").is_file()
    own = {"teacher_def": TEACHER, "teacher_weights": str(copy / "models" / "teacher.pt")}
    _, before, changed = trained(copy, data, ["distill.json", "distill_stage1.json"], **TINY, **own)
    assert changed and all(name.startswith("image_encoder.") for name in changed)
    first = torch.load(copy / "models" / "stage1.pt", weights_only=True)
    controllers = [name for name in first if name.startswith("controllers.")]
    assert controllers and all(torch.equal(first[name], before[name]) for name in controllers)
    student, before, changed = trained(copy, data, ["distill.json", "distill_stage2.json"], **TINY, teacher_def=TEACHER)
    # Not even a running statistic of what is common moves, and every modality's controller does.
    assert all(name.startswith("controllers.") for name in changed)
    assert {name.split(".")[1] for name in changed} == set(KNOWN)
    state = torch.load(copy / "models" / "teacher.pt", weights_only=True)
    shared = ("decoder.", "prompt_generator.")
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.items() if name.startswith(shared))
    best = torch.load(copy / "models" / "model.pt", weights_only=True)
    assert set(best) == set(student.state_dict())


def test_the_small_configs_of_the_page_give_a_teacher_and_students_that_fit(bundle, data):
    page = " ".join((bundle / "docs" / "README.md").read_text().replace("\\", "").split())
    overlays = ["train_teacher.json", "small_teacher.json"]
    assert f"\"['configs/train.json',{','.join(repr(f'configs/{name}') for name in overlays)}]\"" in page
    teacher = workflow(bundle, data, overlays).parser.get_parsed_content("network_def")
    shared = {name: t.shape for name, t in teacher.state_dict().items() if name.startswith("decoder.")}
    student = ["small.json", "distill.json"]
    assert f"STUDENT=\"'configs/train.json',{','.join(repr(f'configs/{name}') for name in student)}\"" in page
    for stage in ("distill_stage1.json", "distill_stage2.json"):
        assert f"\"[$STUDENT,'configs/{stage}','configs/small_teacher.json']\"" in page
        parser = workflow(bundle, data, [*student, stage, "small_teacher.json"]).parser
        small, own = (parser.get_parsed_content(name).state_dict() for name in ("network_def", "teacher_def"))
        assert {name: t.shape for name, t in own.items()} == {n: t.shape for n, t in teacher.state_dict().items()}
        assert {name: t.shape for name, t in small.items() if name.startswith("decoder.")} == shared


def test_a_teacher_and_a_student_are_evaluated_after_the_configs_of_their_training(copy, data):
    trained(copy, data, ["train_teacher.json"], image_size=64, teacher_def=TEACHER)
    own = {"image_size": 64, "teacher_def": TEACHER, "num_workers": 0}
    run("run", copy, ["train.json", "train_teacher.json", "evaluate.json"], dataset_dir=data, **own)
    assert len(list(csv.DictReader((copy / "eval" / "cases.csv").open()))) == len(KNOWN)
    overlays = ["distill.json", "distill_stage2.json", "evaluate.json"]
    student = workflow(copy, data, overlays, **TINY, teacher_def=TEACHER)
    assert isinstance(student.parser.get_parsed_content("validate#inferer"), MaskInferer)


def targets(training, image):
    """What a distillation compares a fundus image with, before and after the teacher's controllers change."""
    prepare = training.parser.get_parsed_content("prepare_batch")
    found = []
    for _ in range(2):
        found.append(prepare({"image": image, "modality": ["fundus"]})[1])
        for part in training.parser.get_parsed_content("teacher").controllers["fundus"]:
            torch.nn.init.normal_(part.token)
            torch.nn.init.normal_(part.expert[3].weight)
    return found


def test_stage_1_compares_with_the_teacher_s_own_embedding_and_stage_2_with_the_modality_s(copy, data):
    teacher = workflow(copy, data, [], image_size=64, network_def=TEACHER).parser.get_parsed_content("network_def")
    save_weights(teacher.state_dict(), copy / "models" / "teacher.pt")
    image = torch.randn(1, 3, 64, 64)
    own = {"teacher_def": TEACHER, "teacher_weights": str(copy / "models" / "teacher.pt")}
    first = workflow(copy, data, ["distill.json", "distill_stage1.json"], **TINY, **own)
    before, after = targets(first, image)
    assert torch.equal(before, after)
    with torch.no_grad():
        assert torch.equal(before, teacher.eval().image_encoder(image))
    # The student's side leaves its controllers out as well.
    module = first.parser.get_parsed_content("module").eval()
    with torch.no_grad():
        student = module(image, ["fundus"])
        assert torch.equal(student, module.network.image_encoder(image))
    second = workflow(copy, data, ["distill.json", "distill_stage2.json"], **TINY, **own, base_weights=None)
    before, after = targets(second, image)
    assert not torch.allclose(before, after)


def test_a_teacher_of_random_weights_is_refused(copy, data):
    for stage in ("distill_stage1.json", "distill_stage2.json"):
        training = workflow(
            copy, data, ["distill.json", stage], **TINY, teacher_def=TEACHER, teacher_weights=None, base_weights=None
        )
        with pytest.raises(RuntimeError) as failed:
            training.parser.get_parsed_content("prepare_batch")
        assert "teacher_weights" in root_cause(failed.value) and "random" in root_cause(failed.value)


def test_stage_1_takes_sam_as_it_was_published(copy, data, tmp_path):
    transformers = pytest.importorskip("transformers")
    sam = {"output_channels": 32, "image_size": 64, "global_attn_indexes": [1], "window_size": 2}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64}
    published = transformers.SamVisionModel(transformers.SamVisionConfig(**sizes, **sam)).eval()
    published.save_pretrained(tmp_path / "sam")
    config = json.loads((copy / "configs" / "distill.json").read_text())
    teacher = config["teacher_def"] | {"sizes": SIZES}
    training = workflow(
        copy, data, ["distill.json", "distill_stage1.json"], **TINY, teacher_def=teacher, sam=str(tmp_path / "sam")
    )
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = published(image).last_hidden_state
    assert torch.equal(targets(training, image)[0], expected)


def test_a_modality_more_leaves_the_others_bit_identical(copy, data, tmp_path):
    base = workflow(copy, data, [], **TINY, modalities=KNOWN[:5]).parser.get_parsed_content("network_def").eval()
    save_weights(base.state_dict(), copy / "models" / "model.pt")
    listed = json.loads((data / "datalist.json").read_text())
    new = {
        section: [entry | {"modality": "oct"} for entry in entries if entry["modality"] == "colonoscopy"]
        for section, entries in listed.items()
    }
    (tmp_path / "oct.json").write_text(json.dumps(new))
    options = {"new_modality": "oct", "datalist": str(tmp_path / "oct.json")}
    network, before, changed = trained(copy, data, ["add_modality.json"], **TINY, **options)
    assert changed and all("oct" in name for name in changed)
    state = base.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.items() if "oct" not in name)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for modality in KNOWN[:5]:
            assert torch.equal(network.eval()(image, modality), base(image, modality))
        assert not torch.equal(network(image, "oct"), network(image, "fundus"))
    # The new weights say themselves which modalities they serve.
    inference = ConfigWorkflow(
        str(copy / "configs" / "inference.json"),
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(copy),
        weights=str(copy / "models" / "oct.pt"),
        dataset_dir=str(data / "images" / "colonoscopy_00000.png"),
        output_dir=str(tmp_path / "out"),
        modality="oct",
        runtime="torch",
        **TINY,
    )
    inference.initialize()
    inference.run()
    assert np.asarray(Image.open(tmp_path / "out" / "colonoscopy_00000_mask.png")).shape == (256, 256)


def test_a_further_modality_without_an_image_is_refused_before_the_training(copy, data):
    base = workflow(copy, data, [], **TINY).parser.get_parsed_content("network_def")
    save_weights(base.state_dict(), copy / "models" / "model.pt")
    training = workflow(copy, data, ["add_modality.json"], **TINY, **SHORT, new_modality="oct")
    training.initialize()
    assert "'training' has no image of modality 'oct', which is to be trained" in failure(training)


def test_training_evaluation_and_a_folder_with_bad_images(copy, data, tmp_path):
    run("run", copy, ["train.json"], dataset_dir=data, **TINY, **SHORT)
    run("run", copy, ["train.json", "evaluate.json"], dataset_dir=data, num_workers=0, **TINY)
    rows = list(csv.DictReader((copy / "eval" / "summary.csv").open()))
    assert [row["modality"] for row in rows] == KNOWN and all(0 <= float(row["dice"]) <= 1 for row in rows)

    scans, results = tmp_path / "scans", tmp_path / "results"
    scans.mkdir()
    for entry in json.loads((data / "datalist.json").read_text())["training"][:6]:
        shutil.copy(data / entry["image"], scans)
    wide = Image.open(next(scans.iterdir())).resize((300, 120))
    wide.save(scans / "wide.jpg")
    (scans / "broken.png").write_text("no image")
    Image.new("RGB", (20, 20)).save(scans / "tiny.png")
    options = {"dataset_dir": scans, "output_dir": results, "modality": "fundus", "runtime": "torch", **TINY}
    configs = [str(copy / "configs" / "inference.json")]
    inference = ConfigWorkflow(
        configs, workflow_type="inference", logging_file=False, bundle_root=str(copy), **_texts(options)
    )
    inference.initialize()
    message = failure(inference)
    assert "2 of 9 cases failed" in message and "broken.png" in message and "20 x 20 pixels" in message
    assert np.asarray(Image.open(results / "wide_mask.png")).shape == (120, 300)
    assert set(json.loads((results / "failures.json").read_text())) == {"broken", "tiny"}
    times = {path: path.stat().st_mtime_ns for path in results.glob("*_mask.png")}
    assert len(times) == 7
    again = ConfigWorkflow(
        configs, workflow_type="inference", logging_file=False, bundle_root=str(copy), **_texts(options)
    )
    again.initialize()
    assert "2 of 2 cases failed" in failure(again)
    assert times == {path: path.stat().st_mtime_ns for path in results.glob("*_mask.png")}


def _texts(options):
    return {name: value if isinstance(value, (dict, int)) else str(value) for name, value in options.items()}


def test_an_unknown_modality_is_refused_by_name(copy, data, tmp_path):
    network = workflow(copy, data, [], **TINY).parser.get_parsed_content("network_def")
    save_weights(network.state_dict(), copy / "models" / "model.pt")
    options = {
        "dataset_dir": str(data / "images"),
        "output_dir": str(tmp_path / "out"),
        "modality": "mri",
    }
    inference = ConfigWorkflow(
        str(copy / "configs" / "inference.json"),
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(copy),
        **TINY,
        **options,
    )
    inference.initialize()
    assert "no modality 'mri': the network has dermoscopy, xray" in failure(inference)


@pytest.mark.parametrize("runtime", ["torch", OPENVINO])
def test_runtimes_agree(bundle, data, runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(0)
    network = workflow(bundle, data, [], **TINY).parser.get_parsed_content("network_def").eval()
    computed = with_picture_runtime(network, runtime, "fp32")
    for modality in ("fundus", "xray"):
        for seed in range(2):
            image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
            with torch.no_grad():
                torch.testing.assert_close(computed(image, modality), network(image, modality), atol=1e-3, rtol=1e-3)
    with torch.no_grad():  # without a modality, as the zoo's check calls it: the first one
        torch.testing.assert_close(computed(image), network(image), atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="no modality 'mri'"):
        computed(torch.randn(1, 3, 64, 64), "mri")


def test_the_demonstration_recognises_and_finds(tmp_path):
    run_demo(tmp_path, count=1)
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["modality"] for row in rows] == KNOWN and all(float(row["dice"]) > 0.5 for row in rows)
    for path in (tmp_path / "masks").glob("*_*.json"):
        record = json.loads(path.read_text())
        assert (
            record["requested_modality"] == "auto"
            and path.name.startswith(record["modality"])
            and record["confidence"] > 0.9
        )


@pytest.mark.slow
def test_two_ranks_train_and_distil_together(copy, data, tmp_path):
    options = {"dataset_dir": data, **TINY, **SHORT}
    log = run_on_two_ranks(copy, ["train.json", "multi_gpu_train.json"], **options)
    assert log.count("Epoch[1] Complete") >= 2
    assert (copy / "models" / "model.pt").is_file()
    assert (copy / "runs" / "whole" / "checkpoint_epoch=1.pt").is_file()
    shutil.copy(copy / "models" / "model.pt", copy / "models" / "teacher.pt")
    teacher = TEACHER | {"sizes": SIZES}
    options |= {"teacher_def": teacher, "teacher_weights": copy / "models" / "teacher.pt"}
    run_on_two_ranks(copy, ["train.json", "distill.json", "distill_stage1.json", "multi_gpu_train.json"], **options)
    assert (copy / "models" / "stage1.pt").is_file()


def test_weights_of_the_release_segment_with_the_release_s_normalisation(copy, data, tmp_path):
    torch.save(release_state(**SIZES), tmp_path / "fundus.pth")
    convert_release({"fundus": tmp_path / "fundus.pth"}, copy / "models" / "release.pt", SIZES)
    image = data / "images" / "fundus_00000.png"
    options = {"bundle_root": str(copy), "dataset_dir": str(image), "output_dir": str(tmp_path / "out")}
    configs = [str(copy / "configs" / name) for name in ("inference.json", "release.json")]

    def inference(modality):
        found = ConfigWorkflow(
            configs,
            workflow_type="inference",
            logging_file=False,
            modality=modality,
            runtime="torch",
            **options,
            **TINY,
        )
        found.initialize()
        return found

    run = inference("fundus")
    (case,) = run.parser.get_parsed_content("dataset")
    # Their loader takes (image - mean) / mean for (image - mean) / deviation.
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    shrunk = Resize(64, "longest", "bilinear", anti_aliasing=True)(torch.from_numpy(read_picture(image)))
    torch.testing.assert_close(case["image"].as_tensor(), (shrunk.as_tensor() - mean) / mean, atol=1e-5, rtol=1e-5)
    run.run()
    assert np.asarray(Image.open(tmp_path / "out" / "fundus_00000_mask.png")).shape == (256, 256)
    # No file of theirs knows what a modality looks like.
    assert "recognises no modality: name it" in failure(inference("auto"))


def test_a_student_of_the_release_s_layout_is_distilled(copy, data):
    teacher = TEACHER | {"layout": "@layout"}
    network = workflow(copy, data, [], image_size=64, network_def=teacher, layout="release").parser
    save_weights(network.get_parsed_content("network_def").state_dict(), copy / "models" / "teacher.pt")
    own = {"teacher_def": teacher, "layout": "release", "base_weights": None}
    student, _, changed = trained(copy, data, ["distill.json", "distill_stage2.json"], **TINY, **own)
    assert changed and all(name.startswith("controllers.") for name in changed)
    assert torch.equal(
        student.decoder.queries, torch.load(copy / "models" / "teacher.pt", weights_only=True)["decoder.queries"]
    )


@pytest.mark.parametrize("config", ["train.json", "inference.json", "evaluate.json"])
def test_what_is_padded_is_0_to_the_network_as_in_sam(bundle, tmp_path, config):
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(tmp_path / "white.png")
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in ("train.json", config)])
    parser.update({"image_size": 64})
    chains = ["train#preprocessing_transforms", "validate#preprocessing#transforms", "preprocessing#transforms"]
    entries = [entry for chain in chains for entry in (parser.get(chain) or []) if isinstance(entry, dict)]
    at = max(index for index, entry in enumerate(entries) if entry["_target_"] == "uniseg_nets.image2d.LoadPictured")
    parser["chain"] = {"_target_": "Compose", "transforms": [entry for entry in entries[at:] if "network" not in entry]}
    image = parser.get_parsed_content("chain")(dict.fromkeys(("image", "label"), str(tmp_path / "white.png")))["image"]
    assert image.shape == (3, 64, 64) and bool((image[:, 48:] == 0).all())
    white = (1 - torch.tensor(parser.get("pixel_mean"))) / torch.tensor(parser.get("pixel_std"))
    np.testing.assert_allclose(image[:, :48].mean((1, 2)), white, rtol=1e-5)
