"""What is seen of a network while it works, and what its label map says."""

import numpy as np
import pytest
import torch

from tests.networks import BrightNetwork
from uniseg_nets.inferers import UniSegInferer
from uniseg_nets.quality import MeasuredInferer
from uniseg_nets.quality.after import label_measures
from uniseg_nets.quality.network import certainty, pairwise_dice
from uniseg_nets.tasks import TaskTable

ROI = (16, 32, 32)


@pytest.fixture(scope="module")
def tasks():
    common = {"channels": ["CT"], "spacing": (2.0, 1.0, 1.0), "scaling": [{"scheme": "window", "low": 0, "high": 3}]}
    return TaskTable([{"name": name, "classes": [f"{name}_tissue"], **common} for name in ("one", "two")])


def volume(value=1.0, size=(24, 48, 48)):
    image = torch.zeros(1, 1, *size)
    image[..., 6:14, 10:30, 10:30] = value
    return image


def measured(tasks, task, image, **options):
    inferer = MeasuredInferer(UniSegInferer(tasks, task, ROI), tasks, task, **options)
    scores = inferer(image, BrightNetwork())
    return scores, inferer.measures


def test_scores_are_those_of_the_inferer_inside(tasks):
    plain = UniSegInferer(tasks, ["one", "two"], ROI)(volume(), BrightNetwork())
    scores, measures = measured(tasks, ["one", "two"], volume())
    assert torch.equal(scores, plain) and list(measures) == ["one", "two"]


def test_each_task_is_measured_by_itself(tasks):
    _, measures = measured(tasks, ["one", "two"], volume())
    one, two = measures["one"], measures["two"]
    assert one["one_tissue.volume_ml"] == pytest.approx(8 * 20 * 20 * 2 / 1000)
    assert one["agreement"] > 0.6 and one["certainty"] > 0.99
    assert two["two_tissue.volume_ml"] == 0 and np.isnan(two["agreement"]) and np.isnan(two["certainty"])


def test_a_further_mirrored_pass_is_compared_where_it_is_asked_for(tasks):
    _, without = measured(tasks, "one", volume())
    _, measures = measured(tasks, "one", volume(), check_flips=True)
    assert "flips" not in without["one"] and measures["one"]["flips"] == 1.0


def test_members_of_an_ensemble_are_averaged_and_compared(tasks):
    class Blind(BrightNetwork):
        def decode_fine(self, features, state):
            return torch.cat([state[:, :1] * 0 + 5, state[:, 1:] * 0 - 5], dim=1)

    inferer = MeasuredInferer(UniSegInferer(tasks, "one", ROI), tasks, "one")
    scores = inferer(volume(), torch.nn.ModuleList([BrightNetwork(), BrightNetwork(), Blind()]))
    single = UniSegInferer(tasks, "one", ROI)(volume(), BrightNetwork())
    assert scores[0, 1].max() == pytest.approx(2 / 3 * float(single[0, 1].max()), abs=1e-3)
    assert inferer.measures["one"]["members"] == pytest.approx(1 / 3)


def test_certainty_falls_with_the_scores():
    label = torch.zeros(4, 4, 4, dtype=torch.uint8)
    label[1:3] = 1
    sure = torch.stack([(label == 0).float(), (label == 1).float()])
    assert certainty(sure, label) == 1.0
    assert certainty(sure * 0.2 + 0.4, label) < 0.7
    assert np.isnan(certainty(sure, label * 0))


def test_pairs_of_label_maps_are_compared_class_by_class():
    one = np.array([0, 1, 1, 2])
    assert pairwise_dice([one, one]) == 1.0
    assert pairwise_dice([one, np.array([0, 1, 0, 0])]) == pytest.approx((2 / 3 + 0) / 2)
    assert np.isnan(pairwise_dice([one * 0, one * 0]))


def test_a_label_map_tells_volume_pieces_place_and_whether_it_is_truncated(tasks):
    label = np.zeros((10, 20, 20), np.uint8)
    label[2:6, 4:8, 8:12] = 1
    label[8, 16, 16:20] = 1
    found = label_measures(label, (2.0, 1.0, 1.0), tasks.one("one"))
    own = {name.partition(".")[2]: value for name, value in found.items()}
    assert own["volume_ml"] == pytest.approx(68 * 2 / 1000)
    assert own["largest_share"] == pytest.approx(64 / 68) and own["truncated"] == 1
    label[8, 16] = 0
    own = {name.partition(".")[2]: v for name, v in label_measures(label, (2, 1, 1), tasks.one("one")).items()}
    assert (own["at_z"], own["at_y"], own["at_x"]) == pytest.approx((0.4, 0.3, 0.5)) and own["truncated"] == 0
    assert own["width_z"] == pytest.approx(np.sqrt(1.25) * 2)
    assert label_measures(label * 0, (2, 1, 1), tasks.one("one")) == {"one_tissue.volume_ml": 0.0}
