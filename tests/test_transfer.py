import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from tests.test_plan import write_case
from uniseg_nets import PromptTunedUniSeg, UniSeg, UniSegBackbone
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.transfer import load_finetuned, load_pretrained

SIZES = {"base_features": 4, "max_features": 8}
PATCH = {"patch_size": [32, 64, 64]}


@pytest.fixture
def pretrained(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "uniseg.pt"
    save_weights(UniSeg(**SIZES, **PATCH).state_dict(), path)
    return path


def report(caplog):
    return next(record.args[1] for record in caplog.records if record.msg.startswith("pretrained weights"))


@pytest.fixture(autouse=True)
def _logged(caplog):
    caplog.set_level("INFO")


def planned(tmp_path, weights, **options):
    """The fine-tuning's config with a plan for two MR channels."""
    if not (tmp_path / "data").exists():
        for index in range(2):
            write_case(tmp_path / "data", f"case{index}", seed=index)
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(weights=str(weights), **options))
    return merged_config(bundle_folder("uniseg_finetune") / "configs" / "train.json", plan)


def first_stage(network, x, task=0):
    """Features of the decoder's first stage."""
    features = network.eval().encode(x)
    bottom = torch.cat((features[-1], network.select(network.prompts(features), task)), dim=1)
    return network.decoder.decode_levels(features, bottom, 0, 1)


@torch.no_grad()
def test_a_planned_network_starts_from_the_features_of_its_slot_for_all_slots(tmp_path, caplog):
    torch.manual_seed(3)
    known = UniSeg(**SIZES, **PATCH, distinct_prompt_init=True)
    save_weights(known.state_dict(), tmp_path / "spread.pt")
    config, x = planned(tmp_path, tmp_path / "spread.pt", slot="prostate"), torch.randn(1, 2, 32, 64, 64)
    assert config["slot"] == 8
    backbone = load_pretrained(UniSegBackbone([2], 3, **SIZES), tmp_path / "spread.pt")
    for slot in range(known.num_tasks):
        caplog.clear()
        network = ConfigParser(config | {"slot": slot}).get_parsed_content("loaded_network")
        wanted = first_stage(known, x, slot)
        assert (first_stage(network, x) - wanted).norm() < 1e-5 * wanted.norm()
        assert report(caplog).prompt.startswith(f"the decoder gets the prompt of task {slot} of the weights")
        if slot > 2:  # without the prompt, the features of a task that has a loud one are lost
            assert (first_stage(backbone, x) - wanted).norm() > 0.5 * wanted.norm()


def test_without_a_slot_the_plan_s_network_has_no_prompt(tmp_path, pretrained, caplog):
    config = planned(tmp_path, pretrained, slot="none")
    network = ConfigParser(config).get_parsed_content("loaded_network")
    assert type(network) is UniSegBackbone
    assert report(caplog).prompt.startswith("dropped") and "decoder.upsamples.0.weight" in report(caplog).adapted


def test_a_released_file_starts_the_backbone_with_one_adapted_tensor(test_data, caplog):
    network = UniSegBackbone([1], 5, base_features=8, max_features=256)
    load_pretrained(network, test_data / "parity" / "official_tiny.pth")
    found = report(caplog)
    assert list(found.adapted) == ["decoder.upsamples.0.weight"]
    assert found.new == [f"decoder.heads.{level}.weight" for level in range(5)]
    assert {name.rsplit(".", 1)[0] for name in found.unused if name.startswith("encoder")} == {
        "encoder.stem.convs.2",
        "encoder.stem.convs.4",
    }
    assert len(found.loaded) + 1 + 5 == len(network.state_dict())


def test_without_its_prompt_the_backbone_computes_what_uniseg_does_for_a_silent_one(pretrained):
    uniseg, backbone = UniSeg(**SIZES, **PATCH), UniSegBackbone([1], 4, **SIZES)
    uniseg.load_state_dict(torch.load(pretrained, weights_only=True))
    load_pretrained(backbone, pretrained, new=[])
    features = uniseg.eval().encode(torch.randn(1, 1, 32, 64, 64))
    silent = torch.zeros_like(features[-1][:, :1])
    assert torch.allclose(uniseg.decode(features, silent), backbone.eval().decode(features, silent[:, :0]), atol=1e-5)


def test_a_new_channel_count_starts_from_the_nearest_at_equal_strength(pretrained, caplog):
    network = load_pretrained(UniSegBackbone([3], 2, **SIZES), pretrained)
    known = torch.load(pretrained, weights_only=True)["encoder.stem.convs.2.weight"]
    weight = network.state_dict()["encoder.stem.convs.3.weight"]
    assert torch.allclose(weight.sum(1), known.sum(1), atol=1e-6)
    assert set(report(caplog).adapted) == {
        "encoder.stem.convs.3.weight",
        "encoder.stem.convs.3.bias",
        "decoder.upsamples.0.weight",
    }


def test_only_what_is_not_frozen_learns(pretrained):
    network = load_pretrained(UniSegBackbone([1], 2, **SIZES), pretrained, frozen=["encoder"])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network.train()
    sum(level.square().mean() for level in network(torch.randn(1, 1, 32, 64, 64))).backward()
    optimizer.step()
    changed = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"decoder"}


def test_a_prompt_learns_for_a_new_task_while_the_shared_network_stays(pretrained, caplog):
    frozen = ["encoder", "decoder.upsamples", "decoder.stages", "task_prompts.fuse"]
    network = load_pretrained(PromptTunedUniSeg(slot=8, out_channels=3, **SIZES, **PATCH), pretrained, frozen=frozen)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {"task_prompts.universal"} | {f"decoder.heads.{level}.weight" for level in range(5)}
    x = torch.randn(1, 1, 32, 64, 64)
    network.eval()
    assert torch.equal(network(x, 0), network(x, 8))  # its slot, whatever the task
    with pytest.raises(ValueError, match="slot is 11, the pretrained network has tasks 0"):
        PromptTunedUniSeg(slot=11, **SIZES, **PATCH)


@pytest.mark.parametrize("side", [96, 128])
def test_a_prompt_of_another_patch_is_interpolated(pretrained, caplog, side):
    known, larger = UniSeg(**SIZES, **PATCH), UniSeg(**SIZES, patch_size=[32, side, side])
    known.load_state_dict(torch.load(pretrained, weights_only=True))
    load_pretrained(larger, pretrained)
    assert report(caplog).adapted == {"task_prompts.universal": f"interpolated to (2, {side // 32}, {side // 32})"}
    x = torch.randn(1, 1, 32, side, side)
    with torch.no_grad():  # the network interpolates its prompt for larger patches likewise
        known, larger = (network.eval().prompts(network.encode(x)) for network in (known, larger))
    torch.testing.assert_close(larger, known)


def test_weights_of_other_features_are_refused_by_name(pretrained):
    network = UniSegBackbone([1], 2, base_features=8, max_features=8)
    with pytest.raises(
        ValueError, match=r"encoder.stem.convs.1.weight is of shape .* expected .*uniseg plan --weights"
    ) as refused:
        load_pretrained(network, pretrained)
    known = torch.load(pretrained, weights_only=True)
    wrong = [
        name
        for name, tensor in network.state_dict().items()
        if not name.startswith(("decoder.heads", "decoder.upsamples.0")) and known[name].shape != tensor.shape
    ]
    assert all(name in str(refused.value) for name in wrong[:5])
    assert str(refused.value).count("is of shape") == 5 and f" and {len(wrong) - 5} more; set" in str(refused.value)


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"no weights of UniSeg or its backbone: it has layer\.weight"):
        load_pretrained(UniSegBackbone(**SIZES), tmp_path / "other.pt")


def test_nothing_to_train_is_an_error(pretrained):
    with pytest.raises(ValueError, match="leaves nothing to train"):
        load_pretrained(UniSegBackbone([1], 2, **SIZES), pretrained, frozen=["encoder", "decoder"])


@pytest.mark.parametrize("parts", [{"frozen": ["encoder"]}, {"trained": ["*.norm", "decoder.heads"]}])
def test_a_network_of_random_values_is_not_frozen(parts):
    with pytest.raises(ValueError, match=r"no pretrained weights.*plan again with `--weights`"):
        load_pretrained(UniSegBackbone([1], 2, **SIZES), None, **parts)


def test_finetuned_weights_load_strictly_and_several_make_an_ensemble(tmp_path):
    network = UniSegBackbone([1], 2, **SIZES)
    save_weights(network.state_dict(), tmp_path / "a.pt")
    one = load_finetuned(UniSegBackbone([1], 2, **SIZES), tmp_path / "a.pt")
    assert torch.equal(one.state_dict()["decoder.heads.0.weight"], network.state_dict()["decoder.heads.0.weight"])
    both = load_finetuned(network, [str(tmp_path / "a.pt")] * 2)
    assert isinstance(both, nn.ModuleList) and len(both) == 2
    with pytest.raises(ValueError, match=r"decoder.heads.0.weight has shape \(2, .*use the plan it was trained with"):
        load_finetuned(UniSegBackbone([1], 3, **SIZES), tmp_path / "a.pt")
