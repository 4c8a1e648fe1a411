import torch

from uniseg_nets.body import body_box
from uniseg_nets.inferers import UniSegInferer


def patient(size=(64, 160, 160)):
    """An ellipse of soft tissue in air, with a table below it."""
    y, x = (torch.linspace(-1, 1, n) for n in size[1:])
    body = ((y[:, None] / 0.5) ** 2 + (x / 0.6) ** 2 < 1).float().expand(size).clone() * 0.55
    body[:, 10:12, 20:140] = 0.4  # the table's surface
    return body


def test_the_box_holds_the_body_and_leaves_the_table_out():
    volume = patient()
    z, y, x = body_box(volume)
    assert (z.start, z.stop) == (0, 64)
    inside = torch.zeros_like(volume, dtype=torch.bool)
    inside[z, y, x] = True
    assert not ((volume == 0.55) & ~inside).any()
    assert y.start > 12 and x.start > 20 and y.stop < 140


def test_where_no_body_shows_the_box_is_everything():
    assert body_box(torch.zeros(8, 12, 16)) == (slice(0, 8), slice(0, 12), slice(0, 16))


class Recorder(torch.nn.Module):
    """Says class 1 where the image is bright, at both resolutions, and counts what it was asked for."""

    def __init__(self):
        super().__init__()
        self.windows, self.fine = 0, 0

    def encode(self, x):
        self.windows += 1
        return [x]

    def prompts(self, features):
        return features[-1][:, :0]

    def select(self, prompts, task):
        return prompts

    def decode(self, features, prompt):
        return torch.cat([0.5 - features[0], features[0] - 0.5], dim=1) * 20

    def decode_coarse(self, features, prompt):
        return None, self.decode(features, prompt)[..., ::2, ::4, ::4]

    def decode_fine(self, features, state):
        self.fine += 1
        return self.decode(features, None)


def test_body_only_computes_less_and_gives_background_outside(table):
    volume = patient()[None, None]
    everything, inside = Recorder(), Recorder()
    whole = UniSegInferer(table, "spleen", (32, 64, 64))(volume, everything)
    cut = UniSegInferer(table, "spleen", (32, 64, 64), body_only=True)(volume, inside)
    assert cut.shape == whole.shape and inside.windows < everything.windows
    assert torch.equal(cut.argmax(1)[volume[:, 0] != 0.4], whole.argmax(1)[volume[:, 0] != 0.4])
    torch.testing.assert_close(cut.sum(1), torch.ones_like(cut[:, 0]))


def test_body_only_leaves_mr_as_it_is(table):
    volume = patient()[None, None]
    networks = Recorder(), Recorder()
    found = [
        UniSegInferer(table, "prostate", (32, 64, 64), body_only=value)(volume, network)
        for value, network in zip((False, True), networks)
    ]
    assert networks[0].windows == networks[1].windows and torch.equal(*found)


def test_early_exit_skips_the_fine_levels_of_windows_without_foreground_alone(table):
    volume = torch.zeros(1, 1, 32, 64, 192)
    volume[..., 140:160] = 1
    network = Recorder()
    inferer = UniSegInferer(table, "spleen", (32, 64, 64), early_exit=0.2)
    scores = inferer(volume, network)
    assert 0 < network.fine < network.windows
    assert torch.equal(scores.argmax(1), (volume[:, 0] > 0.5).long())
