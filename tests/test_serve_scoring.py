"""Which image to label next, without a server; `make test-label` has a real one."""

import math
import os
from types import SimpleNamespace

import pytest
import torch

from uniseg_nets.bundle.label_scoring import UncertaintyScoring, uncertainty
from uniseg_nets.tasks import load_task_table


def scores_of(*voxels):
    """Scores (K, 1, 1, voxels)."""
    return torch.tensor(voxels).T.reshape(len(voxels[0]), 1, 1, len(voxels))


def test_even_scores_are_wholly_unsure_and_certain_ones_not_at_all():
    assert uncertainty(scores_of((1 / 3, 1 / 3, 1 / 3)), [3]) == pytest.approx(1)
    assert uncertainty(scores_of((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)), [3]) == 0
    half = uncertainty(scores_of((0.5, 0.5, 0.0)), [3])
    assert half == pytest.approx(math.log(2) / math.log(3))


def test_background_around_a_structure_does_not_count():
    unsure, sure, air = (0.5, 0.5), (0.0, 1.0), (0.96, 0.04)
    assert uncertainty(scores_of(unsure, sure), [2]) == pytest.approx(0.5)
    assert uncertainty(scores_of(unsure, sure, *[air] * 50), [2]) == pytest.approx(0.5)
    assert uncertainty(scores_of(air), [2]) == 0


def test_each_of_several_tasks_has_a_background_of_its_own():
    both = torch.cat([scores_of((0.5, 0.5)), scores_of((0.0, 1.0, 0.0))])
    assert uncertainty(both, [2, 3]) == pytest.approx(0.5)


class Store:
    """What the server keeps of the studies' images without a label."""

    def __init__(self, *names):
        self.infos = {name: {} for name in names}
        self.refreshed = 0

    def get_unlabeled_images(self):
        return list(self.infos)

    def get_image_info(self, image):
        return dict(self.infos[image])

    def get_image_uri(self, image):
        return f"{image}.nii.gz"

    def refresh(self):
        self.refreshed += 1

    def update_image_info(self, image, info):
        assert self.refreshed  # not over what the server wrote meanwhile
        self.infos[image].update(info)


class Inference:
    """The server's inference: scores by the image's name."""

    output_label_key = "pred"

    def __init__(self, weights):
        self.weights, self.requests = weights, []
        self.displayable_configs = {"task": load_task_table().choices}
        self.bundle_config = SimpleNamespace(get_parsed_content=lambda name: load_task_table())

    def get_path(self):
        return str(self.weights)

    def __call__(self, request, callbacks):
        self.requests.append((request["image"], request["task"]))
        if "broken" in request["image"]:
            raise RuntimeError("applying transform") from ValueError("no scan")
        sure = 0.9 if "sure" in request["image"] else 0.6
        outputs = {"liver": 3}.get(request["task"], 2)
        scores = torch.zeros(outputs, 2, 2, 2)
        scores[0], scores[1] = 1 - sure, sure
        callbacks["INFERER"]({"pred": scores})


@pytest.fixture
def inference(tmp_path):
    (tmp_path / "model.pt").touch()
    return Inference(tmp_path / "model.pt")


def test_images_are_scored_once_for_a_task_and_its_weights(inference):
    store, scoring = Store("sure", "doubtful"), UncertaintyScoring("m", inference)
    assert scoring({"task": "spleen"}, store) == {"total": 2, "skipped": 0, "failed": {}}
    assert 0 < store.infos["sure"]["uncertainty"] < store.infos["doubtful"]["uncertainty"] < 1
    assert scoring({"task": "spleen"}, store)["skipped"] == 2
    assert scoring({}, store)["skipped"] == 0 and inference.requests[-1] == ("doubtful.nii.gz", "liver")
    assert scoring({"task": "liver"}, store)["skipped"] == 2
    os.utime(inference.weights, ns=(1, 1))  # trained anew
    assert scoring({"task": "liver"}, store)["skipped"] == 0


def test_an_image_that_cannot_be_segmented_is_named_comes_last_and_is_tried_again(inference):
    store, scoring = Store("broken", "sure"), UncertaintyScoring("m", inference)
    store.infos["broken"]["uncertainty"] = 0.9  # of another task
    assert scoring({"task": "spleen"}, store)["failed"] == {"broken": "no scan"}
    assert store.infos["broken"]["uncertainty"] == 0 < store.infos["sure"]["uncertainty"]
    assert scoring({"task": "spleen"}, store) == {"total": 2, "skipped": 1, "failed": {"broken": "no scan"}}


def test_an_unknown_task_is_refused_before_any_image(inference):
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        UncertaintyScoring("m", inference)({"task": "livr"}, Store("sure"))
    assert not inference.requests
