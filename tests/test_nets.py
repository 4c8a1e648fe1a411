import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from uniseg_nets import UniSeg
from uniseg_nets.engines import AutocastInferer
from uniseg_nets.inferers import UniSegInferer
from uniseg_nets.nets.unet import TOTAL_STRIDE, ConvBlock

SMALL = {"base_features": 4, "max_features": 8, "patch_size": [32, 64, 64]}


@pytest.fixture(scope="module")
def network() -> UniSeg:
    torch.manual_seed(0)
    return UniSeg(**SMALL).eval()


def test_default_network_has_the_paper_s_size():
    with torch.device("meta"):
        network = UniSeg()
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_114_381
    assert len(network.state_dict()) == 115


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("size", [(32, 64, 64), (16, 96, 32), (48, 32, 64)])
def test_logits_have_the_input_s_size(network, channels, size):
    with torch.no_grad():
        assert network(torch.randn(1, channels, *size)).shape == (1, 4, *size)


def test_a_block_standardises_each_channel_and_damps_what_is_negative_to_a_hundredth():
    block = ConvBlock(2, 3)
    with torch.no_grad():
        found = block(torch.randn(1, 2, 8, 8, 8)).flatten(2)
        standard = torch.where(found < 0, found * 100, found)
    torch.testing.assert_close(standard.mean(2), torch.zeros(1, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(2, correction=0), torch.ones(1, 3), atol=1e-3, rtol=0)


def test_training_gives_five_levels_finest_first():
    network = UniSeg(**SMALL).train()
    shapes = [tuple(level.shape[2:]) for level in network(torch.randn(2, 1, 32, 64, 64), 3)]
    assert shapes == [(32, 64, 64), (32, 32, 32), (16, 16, 16), (8, 8, 8), (4, 4, 4)]


def test_every_parameter_but_other_stems_gets_a_gradient():
    network = UniSeg(**SMALL).train()
    sum(level.square().mean() for level in network(torch.randn(2, 2, 32, 64, 64), 1)).backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert without == {f"encoder.stem.convs.{c}.{leaf}" for c in (1, 4) for leaf in ("weight", "bias")}


def test_a_mixed_batch_equals_its_samples_one_by_one():
    network = UniSeg(**SMALL).eval().double()  # double: convolutions of other batch sizes round differently
    x = torch.randn(3, 1, 32, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        together = network(x, torch.tensor([0, 6, 10]))
        apart = torch.cat([network(x[i : i + 1], task) for i, task in enumerate((0, 6, 10))])
    torch.testing.assert_close(together, apart, atol=1e-9, rtol=1e-9)


def test_tasks_give_different_logits(network):
    x = torch.randn(1, 1, 32, 64, 64)
    with torch.no_grad():
        assert (network(x, 0) - network(x, 1)).abs().max() > 1e-4


def test_shared_encoder_pass_equals_forward(network):
    x = torch.randn(1, 1, 32, 64, 64)
    with torch.no_grad():
        features = network.encode(x)
        prompts = network.prompts(features)
        for task in (0, 5):
            torch.testing.assert_close(network.decode(features, network.select(prompts, task)), network(x, task))


@pytest.mark.parametrize("channels", [3, 5])
def test_a_wrong_channel_count_names_the_remedy(network, channels):
    with pytest.raises(ValueError, match=f"{channels} channels, the network takes 1, 2, 4.*uniseg tasks"):
        network(torch.randn(1, channels, 32, 64, 64))


@pytest.mark.parametrize("task", [11, -1, torch.tensor([0, 11])])
def test_a_wrong_task_id_names_the_remedy(network, task):
    with pytest.raises(ValueError, match=r"outside 0\.\.10.*uniseg tasks"):
        network(torch.randn(2, 1, 32, 64, 64), task)


def test_a_wrong_number_of_ids_is_refused(network):
    with pytest.raises(ValueError, match="3 task ids for a batch of 2"):
        network(torch.randn(2, 1, 32, 64, 64), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("size", [(30, 64, 64), (32, 64, 48), (8, 32, 32), (16, 32, 32)])
def test_a_size_that_the_strides_cannot_halve_is_refused(network, size):
    with pytest.raises(ValueError, match=r"multiple of|one voxel"):
        network(torch.randn(1, 1, *size))


def test_the_prompt_is_interpolated_for_other_patches(network):
    assert network.task_prompts.universal.shape[2:] == tuple(n // s for n, s in zip((32, 64, 64), TOTAL_STRIDE))
    with torch.no_grad():
        features = network.encode(torch.randn(1, 1, 64, 96, 128))
        assert network.prompts(features).shape == (1, 11, 4, 3, 4)


def test_a_scripted_network_has_all_steps_of_inference(network, table):
    x = torch.randn(1, 1, 32, 64, 64)
    inferer = UniSegInferer(table, ["liver", "spleen"], (32, 64, 64))
    torch.testing.assert_close(inferer(x, torch.jit.script(network)), inferer(x, network))


def test_the_network_can_be_scripted(network):
    scripted = torch.jit.script(network)
    x = torch.randn(1, 1, 32, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(scripted(x, 4), network(x, 4))


def test_spread_prompts_start_apart_and_keep_the_layout():
    plain, spread = UniSeg(**SMALL), UniSeg(**SMALL, distinct_prompt_init=True)
    assert {n: p.shape for n, p in plain.state_dict().items()} == {n: p.shape for n, p in spread.state_dict().items()}
    with torch.no_grad():
        levels = [n.prompts(n.encode(torch.randn(1, 1, 32, 64, 64))).mean(dim=(0, 2, 3, 4)) for n in (plain, spread)]
    assert levels[1].std() > 5 * levels[0].std()


def test_another_table_gives_another_network():
    network = UniSeg(num_tasks=3, out_channels=2, in_channels=[1, 3], **SMALL).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 32, 64, 64), 2).shape == (1, 2, 32, 64, 64)


POISONED = """
import torch
from torch import nn
from uniseg_nets.engines import AutocastInferer
from uniseg_nets.nets.unet import ConvBlock

def largest_gradient(network, call, size):
    x = torch.rand(2, 16, *size)
    call(x, network).float().square().mean().backward()
    return max(p.grad.abs().max().item() for p in network.parameters())

def plainly(x, network):
    with torch.autocast("cpu", torch.bfloat16):
        return network(x)

torch.manual_seed(0)
for size, stride in (((2, 4, 4), (1, 1, 1)), ((2, 2, 2), (1, 1, 1)), ((4, 4, 4), (2, 2, 2)), ((2, 8, 8), (1, 2, 2))):
    for network, call in (
        (ConvBlock(16, 16, stride=stride), plainly),
        (nn.Conv3d(16, 16, 3, stride, 1), AutocastInferer(True)),
    ):
        largest = largest_gradient(network, call, size)
        assert largest < 1e3, (size, stride, network, largest)
"""


@pytest.mark.parametrize("options", [{"padding": 1}, {"bias": None, "stride": (1, 1, 1), "groups": 2}, {"stride": 2}])
def test_small_convolutions_of_any_call_stay_in_float32(options):
    class Network(nn.Module):
        def forward(self, x):
            weight = torch.ones(4, 4 // options.get("groups", 1), 3, 3, 3)
            return nn.functional.conv3d(x, weight=weight, **options)

    small = AutocastInferer(True)(torch.rand(1, 4, 3, 3, 3), Network())
    large = AutocastInferer(True)(torch.rand(1, 4, 24, 24, 24), Network())
    assert (small.dtype, large.dtype) == (torch.float32, torch.bfloat16)


def test_bfloat16_gradients_read_no_memory_that_nobody_wrote():
    """With new memory full of huge numbers, a gradient that reads it is huge."""
    environment = os.environ | {"MALLOC_PERTURB_": "128"}
    subprocess.run([sys.executable, "-c", POISONED], env=environment, check=True)
