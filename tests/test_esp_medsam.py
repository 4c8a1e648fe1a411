import pytest
import torch
from torch import nn

from uniseg_nets.nets.esp_medsam import ESPMedSAM, SAMEncoder
from uniseg_nets.nets.esp_medsam.parts import FourierPositions
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.esp_medsam import copy_from_teacher, kinds_in, load_mobile_sam, load_sam_transformer
from uniseg_nets.weights.freezing import train_only

SMALL = {"channels": [8, 16, 20, 40], "heads": [1, 2, 2, 4], "embedding": 32, "decoder_mlp": 64, "decoder_heads": 4}


MATRIX = "positional_encoding_gaussian_matrix"


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ESPMedSAM(["fundus", "ultrasound"], SMALL).eval()


def masks(network, image, modality):
    with torch.no_grad():
        return network.segment(image, modality)


def test_parameter_counts_at_full_size():
    network = ESPMedSAM()
    assert parameters(network.controllers["fundus"]) == 3_144_202
    assert parameters(network.prompt_generator) == 66_817
    assert parameters(network) == 28_881_521  # 30.8 % of SAM-B's 93.74 M, with one mask MLP a modality
    # The release has 12,789,587: TinyViT's classifier, SAM's prompt encoder and six further queries beside these.
    assert parameters(ESPMedSAM(["fundus"])) == 12_789_587 - 321_640 - 6_220 - 6 * 256


def test_the_first_modality_is_taken_where_none_is_named(network):
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), network(image, "fundus"))


def test_shapes(network):
    output = masks(network, torch.randn(2, 3, 96, 64), "fundus")
    assert output.mask.shape == (2, 1, 96, 64)
    assert output.patches.shape == (2, 1, 3, 2)
    assert output.embedding.shape == (2, 32, 6, 4)


def test_modalities_differ_and_an_unknown_one_is_named(network):
    image = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(masks(network, image, "fundus").mask, masks(network, image, "ultrasound").mask)
    with pytest.raises(ValueError, match="no modality 'mri': the network has fundus, ultrasound"):
        network(image, "mri")
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.randn(1, 3, 65, 64), "fundus")


def test_a_controller_s_expert_is_silent_at_first_and_its_token_is_not(network):
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        common = network.encode(image, None)
        assert 0 < (network.encode(image, "fundus") - common).abs().max() < 0.5
        for part in network.controllers["fundus"]:
            part.bias.fill_(-1e9)  # nobody looks at the token
        torch.testing.assert_close(network.encode(image, "fundus"), common)


def test_a_new_modality_changes_no_other(network):
    image = torch.randn(1, 3, 64, 64)
    before = masks(network, image, "fundus")
    network.add_modality("microscopy")
    new = [p for name, p in network.named_parameters() if ".microscopy" in name]
    optimizer = torch.optim.SGD(new, 0.1)
    network.train()
    network.requires_grad_(False)
    for parameter in new:
        parameter.requires_grad_()
    network.eval()
    network.segment(image, "microscopy").mask.square().mean().backward()
    optimizer.step()
    after = masks(network, image, "fundus")
    assert torch.equal(before.mask, after.mask) and torch.equal(before.embedding, after.embedding)
    with pytest.raises(ValueError, match="there already"):
        network.add_modality("fundus")


@pytest.mark.parametrize("name", ["a.b", "type", "keys", ""])
def test_a_modality_whose_name_tensors_cannot_have_is_refused(network, name):
    with pytest.raises(ValueError, match="expected a name of letters, digits"):
        network.add_modality(name)


def test_kinds_are_counted_whatever_the_names_of_the_modalities(tmp_path):
    state = {
        f"recogniser.known.{name}.{kind}.mean": torch.zeros(1) for name in ("x-ray", "CT scan") for kind in range(3)
    }
    save_weights(state, tmp_path / "model.pt")
    assert kinds_in(tmp_path / "model.pt") == 3


def test_the_prompt_reaches_the_mask_and_its_loss_stays_from_the_patches(network):
    image = torch.randn(1, 3, 64, 64)
    output = network.segment(image, "fundus")
    output.mask.sum().backward()
    assert all(parameter.grad is None for parameter in network.prompt_generator.patches.parameters())
    with torch.no_grad():
        last = network.prompt_generator.patches[-1]
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, 5.0)
        everywhere = network.segment(image, "fundus").mask
        nn.init.constant_(last.bias, -5.0)
        assert not torch.allclose(everywhere, network.segment(image, "fundus").mask)


def mobile_sam(network):
    """A file's content as MobileSAM's: its names, its unused classifier, its tables."""
    encoder = {f"image_encoder.{name}": tensor.clone() for name, tensor in network.image_encoder.state_dict().items()}
    encoder["image_encoder.norm_head.weight"] = torch.ones(40)
    encoder["image_encoder.head.weight"] = torch.ones(10, 40)
    encoder["image_encoder.layers.1.blocks.0.attn.attention_bias_idxs"] = torch.zeros(49, 49, dtype=torch.long)
    transformer = {
        f"mask_decoder.transformer.{name}".replace("linear", "lin"): tensor.clone()
        for name, tensor in network.decoder.transformer.state_dict().items()
    }
    positions = {f"prompt_encoder.pe_layer.{MATRIX}": network.decoder.positions.state_dict()[MATRIX].clone()}
    return encoder | transformer | positions | {"mask_decoder.iou_token.weight": torch.ones(1, 32)}


def test_mobile_sam_s_layout_loads_strictly(network, tmp_path):
    names = set(ESPMedSAM(["fundus"]).image_encoder.state_dict())
    assert {
        "patch_embed.seq.0.c.weight",
        "layers.0.blocks.1.conv2.bn.running_var",
        "layers.1.blocks.0.attn.attention_biases",
        "layers.2.blocks.5.local_conv.c.weight",
        "layers.2.downsample.conv3.bn.weight",
        "layers.3.blocks.1.mlp.fc2.bias",
        "neck.3.weight",
    } <= names
    state = mobile_sam(network)
    torch.save(state, tmp_path / "mobile_sam.pt")
    torch.manual_seed(9)
    other = ESPMedSAM(["fundus", "ultrasound"], SMALL).eval()
    load_sam_transformer(load_mobile_sam(other, tmp_path / "mobile_sam.pt"), tmp_path / "mobile_sam.pt")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(other.encode(image, None), network.encode(image, None))
    # The transformer's weights mean nothing without the positions that they were trained with.
    own = other.decoder.state_dict()
    shared = [name for name in own if name.startswith(("transformer.", "positions."))]
    assert len(shared) > 1 and all(torch.equal(own[name], network.decoder.state_dict()[name]) for name in shared)


def test_a_wrong_file_is_refused_by_the_tensor_s_name(network, tmp_path):
    state = mobile_sam(network)
    del state["image_encoder.neck.2.weight"]
    state["image_encoder.layers.3.blocks.0.attn.proj.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"missing neck\.2\.weight.*layers\.3\.blocks\.0\.attn\.proj\.bias has shape"):
        load_mobile_sam(network, tmp_path / "bad.pt")
    with pytest.raises(FileNotFoundError, match="SAM or MobileSAM"):
        load_mobile_sam(network, tmp_path / "nowhere.pt")


def test_samples_of_a_batch_may_be_of_different_modalities(network):
    for part in network.controllers["ultrasound"]:
        torch.nn.init.normal_(part.expert[3].weight, std=0.1)
        part.bias.data.fill_(1.0)
    images = torch.randn(3, 3, 64, 96)
    names = ["fundus", "ultrasound", "fundus"]
    together = masks(network, images, names)
    for index, name in enumerate(names):
        alone = masks(network, images[index : index + 1], name)
        torch.testing.assert_close(together.mask[index], alone.mask[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.embedding[index], alone.embedding[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(masks(network, images, "fundus").mask[1], together.mask[1])
    with pytest.raises(ValueError, match="2 modalities for 3 images"):
        masks(network, images, ["fundus", "ultrasound"])


def test_the_trained_part_is_logged_where_something_is_frozen(network, caplog):
    caplog.set_level("INFO")
    train_only(network)  # as an inference loads it
    assert not caplog.records
    train_only(network, ["controllers"])
    assert f"training {parameters(network.controllers):,} of {parameters(network):,} parameters" in caplog.text


def test_frozen_normalisations_keep_their_statistics_in_training(network):
    train_only(network, ["controllers"])
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    network.train()
    network(torch.randn(2, 3, 64, 64), ["fundus", "ultrasound"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_buffers())
    train_only(network)
    network.train()
    network(torch.randn(2, 3, 64, 64), "fundus")
    assert any(not torch.equal(tensor, before[name]) for name, tensor in network.named_buffers())


def test_a_sam_encoder_is_a_teacher_of_the_same_shape(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.SamVisionConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_dim=64,
        output_channels=32,
        image_size=64,
        global_attn_indexes=[1],
        window_size=2,
    )
    transformers.SamVisionModel(config).save_pretrained(tmp_path)
    teacher = ESPMedSAM(["fundus"], SMALL, encoder=SAMEncoder(tmp_path)).eval()
    student = ESPMedSAM(["fundus"], SMALL)
    image = torch.randn(1, 3, 64, 64)
    assert masks(teacher, image, "fundus").embedding.shape == masks(student, image, "fundus").embedding.shape
    copy_from_teacher(student, teacher)
    assert torch.equal(student.decoder.queries["fundus"], teacher.decoder.queries["fundus"])
    with pytest.raises(ValueError, match=r"decoder does not fit the student: .*queries\.ultrasound"):
        copy_from_teacher(ESPMedSAM(["ultrasound"], SMALL), teacher)
    with pytest.raises(FileNotFoundError, match="download a SAM model"):
        SAMEncoder(tmp_path / "nowhere")


def test_positions_are_the_same_in_bfloat16():
    positions = FourierPositions(64)
    expected = positions(16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(positions(16, 16), expected)
