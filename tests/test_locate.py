import pytest
import torch

from tests.networks import BrightNetwork
from uniseg_nets.inferers.coarse_pass import find_boxes, join_boxes
from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.tasks import TaskTable

ROI = (32, 64, 64)
SIZE = (80, 160, 160)


@pytest.fixture
def organs() -> TaskTable:
    return TaskTable(
        [{"name": name, "channels": ["CT"], "spacing": [3, 1.5, 1.5], "classes": [name]} for name in ("a", "b", "c")]
    )


def scan(*boxes):
    """A volume in which the box of structure i has the value i + 1."""
    volume = torch.zeros(1, 1, *SIZE)
    for value, box in enumerate(boxes, start=1):
        volume[(..., *(slice(*edges) for edges in box))] = value
    return volume


A = ((8, 24), (16, 48), (20, 60))
B = ((10, 30), (30, 70), (24, 70))  # beside A: one window holds both
C = ((56, 76), (120, 150), (110, 150))  # in the other corner


@pytest.mark.parametrize("scale", [1, 1.5, 2])
def test_a_box_holds_its_structure_and_little_more(organs, scale):
    boxes = find_boxes(scan(A, ((0, 0),) * 3, C), BrightNetwork(), list(organs), ROI, scale)
    assert boxes[1] is None
    for found, true in ((boxes[0], A), (boxes[2], C)):
        for (low, high), (first, last), stride in zip(found, true, (2, 4, 4)):
            assert low <= first and last <= high
            assert first - low <= 2.5 * stride * scale and high - last <= 2.5 * stride * scale


def test_what_is_no_number_to_the_coarse_look_is_looked_at_closely(organs):
    volume = scan(A)
    volume[..., 60, 128, 128] = torch.nan
    (_, _, (_, last)), *_ = find_boxes(volume, BrightNetwork(), list(organs), ROI, 1)
    assert last > 128


@pytest.mark.parametrize("scale", [1.5, 2])
def test_a_scan_that_is_smaller_than_a_window_when_scaled_keeps_its_boxes_in_place(organs, scale):
    volume = scan(A)[..., :40, :80, :80]
    box, *others = find_boxes(volume, BrightNetwork(), list(organs), ROI, scale)
    assert others == [None, None]
    for (low, high), (first, last), stride, n in zip(box, A, (2, 4, 4), (40, 80, 80)):
        assert 0 <= low <= first and last <= high <= n
        assert first - low <= 2.5 * stride * scale and high - last <= 2.5 * stride * scale


def test_boxes_are_joined_where_one_window_holds_them():
    regions = join_boxes([A, None, C, B], SIZE, ROI, 0.5)
    assert sorted(region.tasks for region in regions) == [(0, 3), (2,)]
    assert all(len(region.starts) == 1 for region in regions)


def test_windows_cover_their_box_inside_the_volume():
    large = ((0, 50), (3, 160), (90, 160))
    (region,) = join_boxes([large], SIZE, ROI, 0.5)
    covered = torch.zeros(SIZE, dtype=torch.bool)
    for start in region.starts:
        box = tuple(slice(first, first + n) for first, n in zip(start, ROI))
        assert covered[region.hull][box].shape == ROI
        covered[region.hull][box] = True
    assert covered[tuple(slice(*edges) for edges in large)].all()


def test_a_window_around_a_small_box_is_centred():
    (region,) = join_boxes([((40, 44), (70, 80), (2, 10))], SIZE, ROI, 0.5)
    assert region.hull == (slice(26, 58), slice(43, 107), slice(0, 64)) and region.starts == ((0, 0, 0),)


@pytest.mark.parametrize("chosen", ["a", "c", "all_ct"])
def test_coarse_pass_finds_the_same_with_less_work(organs, chosen):
    volume = scan(A, B, C)
    networks = BrightNetwork(), BrightNetwork()
    whole, located = (
        UniSegInferer(organs, chosen, ROI, coarse_pass=scale)(volume, network)
        for scale, network in zip((None, 1.5), networks)
    )
    assert networks[1].windows < networks[0].windows and networks[1].fine < networks[0].fine / 4
    for first in range(0, whole.shape[1], 2):
        assert torch.equal(located[:, first : first + 2].argmax(1), whole[:, first : first + 2].argmax(1))
        torch.testing.assert_close(located[:, first : first + 2].sum(1), torch.ones(1, *SIZE))


def test_a_structure_that_is_not_there_is_background_and_costs_no_window(organs):
    network = BrightNetwork()
    scores = UniSegInferer(organs, "all_ct", ROI, coarse_pass=1.5)(scan(), network)
    assert network.fine == 0
    assert torch.equal(scores[:, 0::2], torch.ones(1, 3, *SIZE)) and not scores[:, 1::2].any()


def test_coarse_pass_is_left_out_where_it_would_cost_more(organs):
    network = BrightNetwork()
    UniSegInferer(organs, "a", ROI, coarse_pass=1.5)(scan(A)[..., :32, :64, :64], network)
    assert network.windows == network.fine == 1


@pytest.mark.parametrize("scale", [0, 0.5, -2])
def test_a_coarse_pass_that_is_finer_is_refused(organs, scale):
    with pytest.raises(ValueError, match="coarse_pass"):
        UniSegInferer(organs, "a", ROI, coarse_pass=scale)
