import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from uniseg_nets import UniSeg
from uniseg_nets.inferers.sliding_window import UniSegInferer, added
from uniseg_nets.inferers.windows import gaussian_window, pad_to, window_starts
from uniseg_nets.tasks import TaskTable

ROI = (32, 64, 64)


@pytest.fixture(scope="module")
def network() -> UniSeg:
    torch.manual_seed(0)
    return UniSeg(base_features=4, max_features=8, patch_size=ROI).eval()


@pytest.mark.parametrize(
    ("size", "starts"), [(32, [0]), (20, [0]), (33, [0, 1]), (64, [0, 16, 32]), (70, [0, 13, 25, 38]), (48, [0, 16])]
)
def test_windows_are_evenly_spread_and_end_at_the_border(size, starts):
    assert window_starts(size, 32, 0.5) == starts


def test_gaussian_is_the_official_one():
    size = (16, 32, 32)
    peak = np.zeros(size)
    peak[8, 16, 16] = 1
    expected = gaussian_filter(peak, [n / 8 for n in size], mode="constant")
    np.testing.assert_allclose(gaussian_window(size), expected / expected.max(), atol=1e-6)
    assert gaussian_window(size).min() > 0


def test_one_window_gives_the_network_s_own_softmax(table, network):
    x = torch.randn(1, 1, *ROI)
    with torch.no_grad():
        expected = torch.softmax(network(x, 6), dim=1)[:, :2]
    torch.testing.assert_close(UniSegInferer(table, "spleen", ROI)(x, network), expected, atol=1e-5, rtol=1e-4)


def test_scores_of_overlapping_windows_are_weighted_means(table, network):
    x = torch.randn(1, 1, 40, 70, 64)
    scores = UniSegInferer(table, "brain_tumour", ROI)(x.expand(-1, 4, -1, -1, -1), network)
    assert scores.shape == (1, 4, 40, 70, 64)
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 40, 70, 64))


def test_small_volumes_are_padded_with_zeros_and_cut_again(table, network):
    x = torch.randn(1, 1, 20, 50, 33)
    with torch.no_grad():
        expected = torch.softmax(network(pad_to(x, ROI), 6), dim=1)[:, :2, 6:26, 7:57, 15:48]
    torch.testing.assert_close(UniSegInferer(table, "spleen", ROI)(x, network), expected, atol=1e-5, rtol=1e-4)


def test_mirroring_is_the_mean_over_eight_flips(table, network):
    x = torch.randn(1, 1, *ROI)
    axes = [(), (2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4)]
    with torch.no_grad():
        scores = [torch.softmax(network(x.flip(a), 6), dim=1)[:, :2].flip(a) for a in axes]
    found = UniSegInferer(table, "spleen", ROI, mirror=True)(x, network)
    torch.testing.assert_close(found, torch.stack(scores).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("wanted", "axes"), [("x", [(), (4,)]), ("z", [(), (2,)]), ("xy", [(), (3,), (4,), (3, 4)])])
def test_mirroring_along_chosen_axes_is_the_mean_over_their_flips(table, network, wanted, axes):
    x = torch.randn(1, 1, *ROI)
    with torch.no_grad():
        scores = [torch.softmax(network(x.flip(a), 6), dim=1)[:, :2].flip(a) for a in axes]
    found = UniSegInferer(table, "spleen", ROI, mirror=True, mirror_axes=wanted)(x, network)
    torch.testing.assert_close(found, torch.stack(scores).mean(0), atol=1e-5, rtol=1e-4)


def test_a_wish_to_mirror_does_not_mirror_what_a_task_forbids(network):
    x = torch.randn(1, 1, *ROI)
    inferer = UniSegInferer(sided(mirror_axes=[0, 1]), "kidneys", ROI, mirror=True, mirror_axes="x")
    torch.testing.assert_close(inferer(x, network), UniSegInferer(sided(), "kidneys", ROI)(x, network))


def sided(**more):
    entry = {"name": "kidneys", "channels": ["CT"], "spacing": [3, 1.5, 1.5], "classes": ["left_kidney"]}
    return TaskTable([{**entry, **more}])


def test_an_axis_whose_sides_are_classes_is_not_mirrored(network):
    x = torch.randn(1, 1, *ROI)
    with torch.no_grad():
        scores = [torch.softmax(network(x.flip(a), 0), dim=1)[:, :2].flip(a) for a in [(), (2,), (3,), (2, 3)]]
    found = UniSegInferer(sided(mirror_axes=[0, 1]), "kidneys", ROI, mirror=True)(x, network)
    torch.testing.assert_close(found, torch.stack(scores).mean(0), atol=1e-5, rtol=1e-4)


def test_scans_in_acquisition_order_are_not_turned_to_the_stored_direction(network):
    x = torch.randn(1, 1, 40, 70, 65)
    affine = torch.diag(torch.tensor([-1.0, -1, 1, 1], dtype=torch.float64))
    inferer = UniSegInferer(sided(axes="acquisition"), "kidneys", ROI, mirror=True)
    with_header = inferer(MetaTensor(x, meta={"original_affine": affine}), network)
    torch.testing.assert_close(with_header, inferer(x, network))


def test_merged_tasks_share_the_encoder_and_equal_single_ones(table, network):
    passes = []
    hook = network.encoder.register_forward_hook(lambda *_: passes.append(1))
    x = torch.randn(1, 1, *ROI)
    merged = UniSegInferer(table, "all_ct", ROI)(x, network)
    hook.remove()
    assert len(passes) == 1
    single = [UniSegInferer(table, task.name, ROI)(x, network) for task in table.select("all_ct")]
    torch.testing.assert_close(merged, torch.cat(single, dim=1), atol=1e-5, rtol=1e-4)


def test_the_task_may_come_with_the_call(table, network):
    inferer = UniSegInferer(table, roi_size=ROI)
    x = torch.randn(1, 1, *ROI)
    torch.testing.assert_close(inferer(x, network, "lung"), UniSegInferer(table, "lung", ROI)(x, network))
    with pytest.raises(ValueError, match="no task"):
        inferer(x, network)


def test_mirrored_scores_do_not_depend_on_the_stored_direction(table, network):
    x = torch.randn(1, 1, 40, 70, 65)
    affine = torch.diag(torch.tensor([-1.0, -1, 1, 1], dtype=torch.float64))
    inferer = UniSegInferer(table, "spleen", ROI, mirror=True)
    flipped = inferer(MetaTensor(x, meta={"original_affine": affine}), network)
    plain = inferer(x.flip((-2, -1)), network).flip((-2, -1))
    torch.testing.assert_close(flipped, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("mirror_axes", "turned"), [("zyx", (-2,)), ("x", ()), ("y", (-2,)), ("yx", (-2,))])
def test_a_scan_is_not_turned_along_an_axis_that_is_not_mirrored(network, mirror_axes, turned):
    x = torch.randn(1, 1, 40, 70, 65)
    affine = torch.diag(torch.tensor([-1.0, -1, 1, 1], dtype=torch.float64))  # x and y stored against the network's
    inferer = UniSegInferer(sided(mirror_axes=[0, 1]), "kidneys", ROI, mirror=True, mirror_axes=mirror_axes)
    scores = inferer(MetaTensor(x, meta={"original_affine": affine}), network)
    torch.testing.assert_close(scores, inferer(x.flip(turned), network).flip(turned), atol=1e-5, rtol=1e-4)


def test_the_scores_of_an_ensemble_are_added_where_the_later_ones_are():
    assert added(torch.zeros(2), torch.ones(2)).tolist() == [1, 1]
    assert added(torch.zeros(2), torch.ones(2, device="meta")).device.type == "meta"


def test_ids_as_a_loader_collates_them_name_tasks(table, network):
    x = torch.randn(1, 1, *ROI)
    by_name = UniSegInferer(table, roi_size=ROI)(x, network, "spleen")
    torch.testing.assert_close(UniSegInferer(table, roi_size=ROI)(x, network, torch.tensor([6])), by_name)


@pytest.mark.parametrize("overlap", [-0.1, 1, 2])
def test_an_overlap_outside_its_range_is_refused(table, overlap):
    with pytest.raises(ValueError, match="overlap is"):
        UniSegInferer(table, "spleen", overlap=overlap)


def test_an_unknown_task_is_refused_before_anything_runs(table):
    with pytest.raises(ValueError, match="did you mean 'spleen'"):
        UniSegInferer(table, "splen")


def test_scores_that_a_gpu_cannot_hold_are_summed_up_on_the_cpu(table, network, caplog):
    class Full(UniSegInferer):
        def _slide(self, inputs, network, tasks, device):
            if device.type != "cpu":
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super()._slide(inputs, network, tasks, device)

    x = torch.randn(1, 1, *ROI)
    found = Full(table, "liver", ROI, device="cuda:0")(x, network)
    torch.testing.assert_close(found, UniSegInferer(table, "liver", ROI)(x, network))
    assert "they go to the CPU" in caplog.text


def test_too_little_memory_on_the_cpu_is_said_and_not_tried_again(table):
    class Greedy(UniSeg):
        def encode(self, x):
            raise torch.OutOfMemoryError("no memory")

    network = Greedy(base_features=4, max_features=8, patch_size=ROI).eval()
    with pytest.raises(torch.OutOfMemoryError, match="no memory"):
        UniSegInferer(table, "liver", ROI)(torch.randn(1, 1, *ROI), network)
