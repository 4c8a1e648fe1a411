"""The layout of ESP-MedSAM's release: its checkpoints, loaded strictly, and its decoder."""

import math

import pytest
import torch

from tests.esp_release import release_shapes, release_state
from uniseg_nets.cli.images_2d import convert_2d
from uniseg_nets.nets.esp_medsam import ESPMedSAM
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.esp_medsam import modalities_in, start_from
from uniseg_nets.weights.esp_medsam_release import convert_release, load_release
from uniseg_nets.weights.licence import OPEN_2D_TERMS, mark_terms, terms_of

SMALL = {"channels": [8, 16, 20, 40], "heads": [1, 2, 2, 4], "embedding": 32, "decoder_mlp": 64, "decoder_heads": 4}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "gaussian_matrix")
CLASSIFIER = ("SemiTViT.norm_head.", "SemiTViT.head.")
POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
QUERIES = 1, 3  # of x-ray and fundus


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def is_unused(name):
    return name.startswith((*CLASSIFIER, "prompt_encoder.")) and name != POSITIONS


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ESPMedSAM(["xray", "fundus"], SMALL, layout="release").eval()


def files(folder, **changed):
    """Two files of one training, which differ in their controllers alone."""
    state = release_state(**SMALL) | changed
    other = {name: tensor + ("med_" in name or name.endswith("_med")) for name, tensor in state.items()}
    torch.save(state, folder / "xray.pth")
    torch.save(other, folder / "fundus.pth")
    return {"xray": folder / "xray.pth", "fundus": folder / "fundus.pth"}


def test_a_released_file_has_12_789_587_parameters_and_ours_all_that_are_used(tmp_path):
    trained = {name: math.prod(shape) for name, shape in release_shapes().items() if not name.endswith(BUFFERS)}
    assert sum(trained.values()) == 12_789_587
    assert sum(count for name, count in trained.items() if name.startswith(CLASSIFIER)) == 321_640
    assert sum(count for name, count in trained.items() if name.startswith("prompt_encoder.")) == 6_220
    torch.save(release_state(), tmp_path / "fundus.pth")
    network = load_release(ESPMedSAM(["fundus"], layout="release"), {"fundus": tmp_path / "fundus.pth"})
    assert parameters(network) == 12_789_587 - 321_640 - 6_220
    # The paper's layout with one modality has no further six queries.
    assert parameters(network) - parameters(ESPMedSAM(["fundus"])) == 6 * 256


def test_every_tensor_of_the_file_reaches_the_network_and_no_other_is_left(network, tmp_path):
    paths = files(tmp_path)
    load_release(network, paths)
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("recogniser.")}
    stored = {
        tensor.numpy().tobytes()
        for path in paths.values()
        for name, tensor in torch.load(path, weights_only=True).items()
        if not is_unused(name)
    }
    assert {tensor.numpy().tobytes() for tensor in own.values()} == stored
    state = torch.load(paths["fundus"], weights_only=True)
    for ours, theirs in {
        "image_encoder.layers.2.blocks.5.local_conv.c.weight": "SemiTViT.layers.2.blocks.5.local_conv.c.weight",
        "controllers.fundus.7.token": "SemiTViT.layers.2.blocks.5.attn.deep_QKV_embeddings_med",
        "controllers.fundus.7.bias": "SemiTViT.layers.2.blocks.5.attn.med_attention_biases",
        "controllers.fundus.0.expert.0.weight": "SemiTViT.layers.1.blocks.0.med_dah.norm.weight",
        "controllers.fundus.9.expert.3.weight": "SemiTViT.layers.3.blocks.1.med_dah.fc2.weight",
        "prompt_generator.patches.3.bias": "patch_decoder.3.bias",
        "prompt_generator.embed.0.weight": "dense_prompter.0.weight",
        "decoder.queries": "mask_query.weight",
        "decoder.positions.positional_encoding_gaussian_matrix": POSITIONS,
        "decoder.transformer.layers.1.mlp.linear2.bias": "mask_decoder.transformer.layers.1.mlp.lin2.bias",
        "decoder.upscale.3.weight": "mask_decoder.output_upscaling.3.weight",
        "decoder.filter.4.weight": "mask_decoder.output_hypernetworks_mlps.0.layers.2.weight",
    }.items():
        assert torch.equal(own[ours], state[theirs].reshape(own[ours].shape)), ours


def test_a_file_of_data_parallel_training_is_the_same(network, tmp_path):
    paths = files(tmp_path)
    load_release(network, paths)
    for path in paths.values():
        torch.save({f"module.{name}": t for name, t in torch.load(path, weights_only=True).items()}, path)
    torch.manual_seed(1)
    other = load_release(ESPMedSAM(["xray", "fundus"], SMALL, layout="release"), paths)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mask_query.weight", None, r"missing mask_query\.weight"),
        ("SemiTViT.head.bias", None, r"missing SemiTViT\.head\.bias"),
        ("prompt_encoder.mask_downscaling.4.bias", None, r"missing prompt_encoder\.mask_downscaling\.4\.bias"),
        ("image_encoder.pos_embed", torch.zeros(1), r"unexpected image_encoder\.pos_embed"),
        ("SemiTViT.layers.3.blocks.0.attn.deep_QKV_embeddings_med", torch.zeros(4, 2, 10), r"\(4, 2, 10\), expected"),
        ("prompt_encoder.no_mask_embed.weight", torch.zeros(2, 32), r"no_mask_embed\.weight has shape \(2, 32\)"),
    ],
)
def test_a_file_that_is_not_of_the_layout_is_refused_by_the_tensor_s_name(network, tmp_path, name, change, message):
    paths = files(tmp_path)
    state = torch.load(paths["fundus"], weights_only=True)
    state.pop(name, None)
    torch.save(state if change is None else state | {name: change}, paths["fundus"])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=rf"fundus\.pth does not hold .*controller of fundus.*{message}") as refused:
        load_release(network, paths)
    assert " more" not in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_of_many_faults_five_are_named_and_the_others_counted(network, tmp_path):
    paths = files(tmp_path)
    state = torch.load(paths["fundus"], weights_only=True)
    torch.save(dict(list(state.items())[7:]), paths["fundus"])
    with pytest.raises(ValueError, match=r"and 2 more$") as refused:
        load_release(network, paths)
    assert str(refused.value).count("missing ") == 5


def test_files_of_two_trainings_are_not_mixed(network, tmp_path):
    paths = files(tmp_path)
    state = torch.load(paths["fundus"], weights_only=True)
    torch.save(state | {"mask_query.weight": state["mask_query.weight"] + 1}, paths["fundus"])
    with pytest.raises(ValueError, match=r"fundus\.pth differs from .*xray\.pth in 1 tensors.*mask_query\.weight"):
        load_release(network, paths)
    with pytest.raises(ValueError, match="files for xray, the network has xray, fundus"):
        load_release(network, {"xray": paths["xray"]})
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth: name a checkpoint"):
        load_release(network, paths | {"xray": tmp_path / "nowhere.pth"})
    with pytest.raises(ValueError, match="layout 'paper'"):
        load_release(ESPMedSAM(["xray", "fundus"], SMALL), paths)


def test_converted_weights_are_ours_and_say_their_modalities(network, tmp_path):
    paths = files(tmp_path)
    convert_release(paths, tmp_path / "release.pt", SMALL)
    assert modalities_in(tmp_path / "release.pt") == ["xray", "fundus"]
    image = torch.randn(1, 3, 64, 64)
    load_release(network, paths)
    torch.manual_seed(1)
    other = start_from(ESPMedSAM(["xray", "fundus"], SMALL, layout="release"), tmp_path / "release.pt").eval()
    with torch.no_grad():
        assert torch.equal(other(image, "fundus"), network(image, "fundus"))
    # The other layout's weights would be taken in part.
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"release\.pt has layout 'release', the network 'paper': set layout"):
            start_from(ESPMedSAM(["fundus"], SMALL), tmp_path / "release.pt", strict=strict)
    save_weights(ESPMedSAM(["fundus"], SMALL).state_dict(), tmp_path / "paper.pt")
    with pytest.raises(ValueError, match=r"paper\.pt has layout 'paper', the network 'release': set layout"):
        start_from(ESPMedSAM(["fundus"], SMALL, layout="release"), tmp_path / "paper.pt")


def test_converted_weights_keep_the_terms_beside_the_files(tmp_path):
    paths = files(tmp_path)
    mark_terms(paths["fundus"], OPEN_2D_TERMS)
    convert_release(paths, tmp_path / "release.pt", SMALL)
    assert terms_of(tmp_path / "release.pt") == OPEN_2D_TERMS


def fundus_mask(network, image):
    with torch.no_grad():
        return network.eval()(image, "fundus")


def test_the_release_s_queries_attend_to_each_other_and_the_paper_s_do_not(network):
    image = torch.randn(1, 3, 64, 64)
    paper = ESPMedSAM(["xray", "fundus"], SMALL)
    before, before_paper = fundus_mask(network, image), fundus_mask(paper, image)
    with torch.no_grad():
        paper.decoder.queries["xray"] += 1
    assert torch.equal(fundus_mask(paper, image), before_paper)
    # X-ray's, and the seventh, which has no mask of its own.
    for index in (QUERIES[0], 6):
        with torch.no_grad():
            network.decoder.queries[index] += 1
        after = fundus_mask(network, image)
        assert not torch.allclose(after, before)
        before = after


def test_the_release_s_channel_is_the_modality_s_place_in_the_paper_s_order(network):
    embedding = torch.randn(2, 32, 4, 6)
    decoder = network.decoder
    with torch.no_grad():
        queries, maps = decoder.attend(embedding, decoder.queries.expand(2, -1, -1))
        # The release computes the filters of six queries and takes the modality's mask.
        every = torch.einsum("bqc,bchw->bqhw", decoder.filter(queries[:, :6]), maps)
        xray, fundus = (decoder(embedding, [name]) for name in ("xray", "fundus"))
        mixed = decoder(embedding, ["fundus", "xray"])
    torch.testing.assert_close(xray[:, 0], every[:, QUERIES[0]])
    torch.testing.assert_close(fundus[:, 0], every[:, QUERIES[1]])
    torch.testing.assert_close(mixed, torch.stack([fundus[0], xray[1]]))


def test_the_release_s_layout_takes_no_further_modality_and_stays_as_it_was(network):
    names = set(network.state_dict())
    with pytest.raises(ValueError, match="no channel for 'oct', only for dermoscopy, xray"):
        network.add_modality("oct")
    assert network.modalities == ["xray", "fundus"] and set(network.state_dict()) == names
    network.add_modality("colonoscopy")
    assert network.modalities == ["xray", "fundus", "colonoscopy"]


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout 'sam': expected paper or release"):
        ESPMedSAM(["fundus"], SMALL, layout="sam")


def test_the_command_converts_the_authors_files(tmp_path, capsys):
    torch.save(release_state(), tmp_path / "a.pth")
    convert_2d(f"fundus={tmp_path / 'a.pth'}", output=str(tmp_path / "release.pt"))
    assert "modalities: fundus" in capsys.readouterr().out
    assert modalities_in(tmp_path / "release.pt") == ["fundus"] and (tmp_path / "release.pt.sha256").is_file()
    for wrong in ([], ["a.pth"], ["=a.pth"], ["fundus="], ["fundus=a.pth", "fundus=b.pth"]):
        with pytest.raises(ValueError, match="expected MODALITY=FILE, one for each modality"):
            convert_2d(*wrong, output=str(tmp_path / "wrong.pt"))
    assert not (tmp_path / "wrong.pt").exists()
