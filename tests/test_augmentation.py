import pytest
import torch
from monai.transforms import RandScaleIntensity

from uniseg_nets.data import PreprocessedDataset, Sample
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms import RandMirrord, RandPerChanneld

TASKS = TaskTable(
    [
        {"name": "sides", "channels": ["MR"], "spacing": [1, 1, 1], "classes": ["left"], "mirror_axes": [0, 1]},
        {"name": "all", "channels": ["MR"], "spacing": [1, 1, 1], "classes": ["organ"]},
    ]
)


@pytest.mark.parametrize(("task", "axes"), [("sides", {1, 2}), ("all", {1, 2, 3})])
def test_a_task_is_mirrored_along_its_own_axes_alone(task, axes):
    mirror = RandMirrord(["image", "label"], TASKS).set_random_state(0)
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    seen = set()
    for _ in range(30):
        found = mirror({"image": image, "label": image + 1, "task": task})
        seen |= set(mirror.axes)
        assert torch.equal(found["image"], image.flip(mirror.axes)) and torch.equal(found["label"], found["image"] + 1)
    assert seen == axes


def test_every_channel_draws_its_own_factor():
    change = RandPerChanneld("image", RandScaleIntensity(factors=0.5, prob=1), prob=1).set_random_state(0)
    found = change({"image": torch.ones(3, 2, 2, 2)})["image"]
    assert found.shape == (3, 2, 2, 2) and len({float(channel[0, 0, 0]) for channel in found}) == 3


def test_samples_and_channels_are_changed_as_often_as_asked_for():
    change = RandPerChanneld("image", RandScaleIntensity(factors=0.5, prob=1), 0.4, 0.5).set_random_state(0)
    found = torch.stack([change({"image": torch.ones(2, 1, 1, 1)})["image"].flatten() for _ in range(500)]) != 1
    assert found.float().mean() == pytest.approx(0.2, abs=0.05)
    assert found.any(dim=1).float().mean() == pytest.approx(0.3, abs=0.05)


def test_a_sample_s_seed_decides_its_augmentation(tmp_path):
    change = RandPerChanneld("image", RandScaleIntensity(factors=0.5, prob=1), prob=1)
    dataset = PreprocessedDataset([{"name": "a"}], [_Ones()], [change], tmp_path)

    def drawn(seed):
        return float(dataset[Sample(0, seed=seed)]["image"][0, 0, 0, 0])

    assert drawn(1) == drawn(1) != drawn(2)
    assert dataset[Sample(0, foreground=True)]["force_foreground"] is True


class _Ones:
    def __call__(self, case):
        return {**case, "image": torch.ones(1, 2, 2, 2)}
