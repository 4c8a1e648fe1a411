import pytest
import torch
from monai.networks.nets import UNETR
from torch.func import functional_call

from uniseg_nets import PromptUNETR
from uniseg_nets.inferers.centre import CentreInferer, checked_centre, read_centre
from uniseg_nets.weights.base import load_base
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import TrainedPart, train_only

SIZES = {"feature_size": 4, "hidden_size": 48, "mlp_dim": 96, "num_heads": 4}
PATCH = (32, 32, 32)


@pytest.fixture
def base():
    """MONAI's own network."""
    return UNETR(1, 2, PATCH, **SIZES).eval()


@pytest.fixture
def shared(base, tmp_path):
    save_weights(base.state_dict(), tmp_path / "base.pt")
    return tmp_path / "base.pt"


@pytest.fixture
def image():
    return torch.randn(1, 1, *PATCH)


def tuned(shared, mode="deep", trained=("vit.prompts",), steps=2, seed=0):
    torch.manual_seed(seed)
    network = load_base(PromptUNETR(1, 2, PATCH, 3, mode, **SIZES), shared, trained)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        network.train()(torch.randn(1, 1, *PATCH)).square().mean().backward()
        optimizer.step()
    return network.eval()


def share(network):
    total = sum(p.numel() for p in network.parameters())
    return sum(p.numel() for p in network.parameters() if p.requires_grad) / total


@pytest.mark.slow
def test_the_full_size_has_the_counts_of_its_source():
    assert sum(p.numel() for p in PromptUNETR(2, 3, (96, 96, 96)).parameters()) == 95_948_467
    deep = train_only(PromptUNETR(2, 3, (96, 96, 96), 50), ["vit.prompts"])
    assert deep.vit.prompts.numel() == 460_800 and share(deep) < 0.005
    shallow = train_only(PromptUNETR(2, 3, (96, 96, 96), 100, "shallow"), ["vit.prompts"])
    assert shallow.vit.prompts.numel() == 76_800 and share(shallow) < 0.001
    assert sum(p.numel() for p in train_only(deep, ["out"]).parameters() if p.requires_grad) == 51


def test_without_prompts_it_is_monai_s_unetr(base, shared, image):
    assert torch.equal(load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared).eval()(image), base(image))


@pytest.mark.parametrize(("mode", "sets"), [("deep", 12), ("shallow", 1)])
def test_prompts_change_the_output_and_only_image_tokens_leave(base, shared, image, mode, sets):
    network = load_base(PromptUNETR(1, 2, PATCH, 3, mode, **SIZES), shared).eval()
    assert network.vit.prompts.shape == (sets, 3, 48)
    tokens, hidden = network.vit(image)
    assert tokens.shape == (1, 8, 48) and all(level.shape == (1, 8, 48) for level in hidden)
    assert not torch.allclose(network(image), base(image))


def test_every_deep_set_of_prompts_is_heard(shared, image):
    network = load_base(PromptUNETR(1, 2, PATCH, 3, **SIZES), shared).eval()
    network(image).sum().backward()
    assert all(gradient.abs().max() > 0 for gradient in network.vit.prompts.grad)


def test_what_is_frozen_stays_bit_for_bit(base, shared):
    network = tuned(shared, trained=["vit.prompts", "out"])
    before = base.state_dict()
    changed = {
        name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before.get(name, tensor))
    }
    assert changed == {"out.conv.conv.weight", "out.conv.conv.bias"}
    assert set(TrainedPart(network).state_dict()) == changed | {"vit.prompts"}


def test_two_centres_and_the_shared_network_do_not_disturb_each_other(base, shared, image, tmp_path):
    expected = {}
    for seed, name in enumerate(("north", "south")):
        network = tuned(shared, trained=["vit.prompts", "out"], mode=("deep", "shallow")[seed], seed=seed)
        save_weights(TrainedPart(network).state_dict(), tmp_path / "centres" / f"{name}.pt")
        expected[name] = torch.softmax(network(image), dim=1)
    expected["none"] = torch.softmax(base(image), dim=1)
    network = load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared).eval()
    with torch.no_grad():
        for name in ("north", "none", "south", "north", "none"):
            inferer = CentreInferer(name, tmp_path / "centres", roi_size=PATCH)
            assert torch.equal(inferer(image, network), expected[name]), name
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in base.state_dict().items())


@pytest.mark.parametrize("name", ["east", "../base", "$print(1)"])
def test_a_centre_that_is_not_there_is_refused_and_no_path_escapes(tmp_path, shared, name):
    (tmp_path / "centres").mkdir()
    save_weights({"vit.prompts": torch.zeros(1, 1, 48)}, tmp_path / "centres" / "north.pt")
    with pytest.raises(ValueError, match="there are north"):
        read_centre(tmp_path / "centres", name)


def test_a_centre_of_another_base_is_refused(tmp_path, shared, image):
    save_weights({"out.conv.conv.weight": torch.zeros(5, 4, 1, 1, 1)}, tmp_path / "far.pt")
    network = load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared)
    with pytest.raises(ValueError, match=r"tensors \['out.conv.conv.weight'\] do not fit"):
        CentreInferer("far", tmp_path, roi_size=PATCH)(image, network)


def test_a_centre_is_used_with_the_base_of_its_training_alone(shared, image, tmp_path):
    """Another network of the same sizes takes the prompts without any error, and they mean nothing to it."""
    part = TrainedPart(tuned(shared))
    save_weights(part.state_dict(), tmp_path / "north.pt", base=part.base)
    other = load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared)
    CentreInferer("north", tmp_path, roi_size=PATCH)(image, other)
    with torch.no_grad():
        other.out.conv.conv.bias += 0.1
    inferer = CentreInferer("north", tmp_path, roi_size=PATCH)
    for _ in range(2):  # also of the second case
        with pytest.raises(ValueError, match="made for another shared network"):
            inferer(image, other)


def test_prompts_of_another_hidden_size_are_refused(shared, image, tmp_path):
    save_weights({"vit.prompts": torch.zeros(12, 2, 24)}, tmp_path / "north.pt")
    with pytest.raises(ValueError, match=r"tensors \['vit.prompts'\] do not fit"):
        CentreInferer("north", tmp_path, roi_size=PATCH)(image, load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared))


def test_a_base_of_other_sizes_is_refused_or_taken_in_part(shared, caplog):
    caplog.set_level("INFO")
    network = PromptUNETR(1, 5, PATCH, **SIZES)
    with pytest.raises(ValueError, match=r"2 of \d+ tensors are missing or of another shape, such as out.conv"):
        load_base(network, shared)
    load_base(network, shared, strict=False)
    assert "2 new (out.conv.conv.weight" in caplog.text
    with pytest.raises(ValueError, match=r"no part \['neck'\]"):
        train_only(network, ["neck"])


def test_a_part_that_is_frozen_is_in_the_base_or_refused(shared):
    sizes = SIZES | {"feature_size": 2 * SIZES["feature_size"]}
    with pytest.raises(ValueError, match=r"parameters that are not trained, such as .* would keep random values"):
        load_base(PromptUNETR(1, 2, PATCH, 3, **sizes), shared, ("vit.prompts",), strict=False)


@pytest.mark.parametrize("name", ["St. Mary", "none", "a/b", ""])
def test_a_centre_s_name_that_could_not_be_read_again_is_refused(name):
    with pytest.raises(ValueError, match="expected one word"):
        checked_centre(name)
    assert [checked_centre(good) for good in ("north", "utrecht-2", 2)] == ["north", "utrecht-2", "2"]


def test_a_network_in_2d_takes_prompts_too():
    network = PromptUNETR(3, 2, (32, 32), 2, spatial_dims=2, **SIZES)
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 2, 32, 32)


def test_prompts_are_exported_with_the_network(shared, image):
    network = tuned(shared)
    scripted = torch.jit.script(network)
    with torch.no_grad():
        assert torch.allclose(scripted(image), network(image), atol=1e-5)
        state = TrainedPart(network).state_dict()
        plain = load_base(PromptUNETR(1, 2, PATCH, **SIZES), shared).eval()
        assert torch.equal(functional_call(plain, state, (image,)), network(image))
