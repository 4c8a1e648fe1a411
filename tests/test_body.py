import pytest
import torch

from tests.networks import BrightNetwork
from uniseg_nets.inferers.body import body_box
from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.tasks import Scaling, TaskTable

WINDOW = Scaling("window", -325, 325)


def patient(size=(64, 160, 160)):
    """An ellipse of soft tissue in air, with a table below it."""
    y, x = (torch.linspace(-1, 1, n) for n in size[1:])
    body = ((y[:, None] / 0.5) ** 2 + (x / 0.6) ** 2 < 1).float().expand(size).clone()
    body[:, 10:12, 20:140] = 0.4  # the table's surface
    return body


def test_the_box_holds_the_body_and_leaves_the_table_out():
    volume = patient()
    z, y, x = body_box(volume, WINDOW)
    assert (z.start, z.stop) == (0, 64)
    inside = torch.zeros_like(volume, dtype=torch.bool)
    inside[z, y, x] = True
    assert not ((volume == 1) & ~inside).any()
    assert y.start > 12 and x.start > 20 and y.stop < 140


def test_the_box_is_the_same_whatever_the_scaling():
    hounsfield = patient() * 650 - 325
    scaling = Scaling("percentiles", -900, 900, mean=40, std=60)
    assert body_box((hounsfield - 40) / 60, scaling) == body_box(patient(), WINDOW)


def test_where_no_body_shows_the_box_is_everything():
    assert body_box(torch.zeros(8, 12, 16), WINDOW) == (slice(0, 8), slice(0, 12), slice(0, 16))


def test_windows_see_the_air_around_a_small_body(table):
    """Padding instead would be tissue where zero is the mean of organs, as in the scaling of a plan."""
    volume = patient((64, 160, 160))
    assert body_box(volume, WINDOW, (32, 128, 150))[1:] == (slice(16, 144), slice(5, 155))
    assert body_box(volume, WINDOW, (32, 192, 64))[1] == slice(0, 160)
    padded = []

    class Looks(BrightNetwork):
        def encode(self, x):
            padded.append((x == 0).sum().item())
            return super().encode(x)

    scaling = [{"scheme": "percentiles", "low": -900, "high": 900, "mean": 40, "std": 60}]
    task = {"name": "organ", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["organ"], "scaling": scaling}
    hounsfield = volume * 650 - 325
    inferer = UniSegInferer(TaskTable([task]), "organ", (32, 128, 150), body_only=True)
    inferer((hounsfield[None, None] - 40) / 60, Looks())
    assert padded and not any(padded)


def test_body_only_computes_less_and_gives_background_outside(table):
    volume = patient()[None, None]
    everything, inside = BrightNetwork(), BrightNetwork()
    whole = UniSegInferer(table, "liver", (32, 64, 64))(volume, everything)
    cut = UniSegInferer(table, "liver", (32, 64, 64), body_only=True)(volume, inside)
    assert cut.shape == whole.shape and inside.windows < everything.windows
    assert torch.equal(cut.argmax(1)[volume[:, 0] != 0.4], whole.argmax(1)[volume[:, 0] != 0.4])
    torch.testing.assert_close(cut.sum(1), torch.ones_like(cut[:, 0]))


@pytest.mark.parametrize("scheme", ["z_score", "window"])
def test_body_only_leaves_mr_as_it_is(scheme):
    scaling = [{"scheme": scheme} | ({"low": -325, "high": 325} if scheme == "window" else {})]
    task = {"name": "organ", "channels": ["T1"], "spacing": [3, 1.5, 1.5], "classes": ["organ"], "scaling": scaling}
    volume = patient()[None, None]
    networks = BrightNetwork(), BrightNetwork()
    found = [
        UniSegInferer(TaskTable([task]), "organ", (32, 64, 64), body_only=value)(volume, network)
        for value, network in zip((False, True), networks)
    ]
    assert networks[0].windows == networks[1].windows and torch.equal(*found)
