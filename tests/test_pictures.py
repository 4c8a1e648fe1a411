"""2D images: files of every kind in, masks of their own size out, and what is refused."""

import json

import itk
import numpy as np
import pytest
import torch
from PIL import Image

from uniseg_nets.nets.esp_medsam.recogniser import ModalityRecogniser
from uniseg_nets.phantom.pictures import draw_picture, write_phantom_pictures
from uniseg_nets.pictures import PictureReport, SavePictured, find_pictures, load_pictures
from uniseg_nets.pictures.load import LoadPictured, read_mask, read_picture

MODALITIES = ["dermoscopy", "xray", "ultrasound", "fundus", "microscopy", "colonoscopy"]


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def written(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


def test_eight_bit_images_come_as_they_are(tmp_path, colours):
    for name in ("a.png", "b.tif", "c.bmp"):
        np.testing.assert_allclose(
            read_picture(written(tmp_path / name, colours)), colours.transpose(2, 0, 1) / 255, atol=1e-6
        )
    smooth = np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 4, 64, 1)
    jpeg = read_picture(written(tmp_path / "d.jpg", smooth))
    assert jpeg.shape == (3, 64, 64) and abs(jpeg[0] - smooth / 255).max() < 0.05


def test_grey_alpha_and_palette_become_three_colours(tmp_path, colours):
    grey = read_picture(written(tmp_path / "grey.png", colours[..., 0]))
    assert np.array_equal(grey[0], grey[1]) and np.array_equal(grey[0], grey[2])
    opaque = np.dstack([colours, np.full((40, 50), 7, dtype=np.uint8)])
    np.testing.assert_allclose(read_picture(written(tmp_path / "rgba.png", opaque)), colours.transpose(2, 0, 1) / 255)
    Image.fromarray(colours).quantize(16).save(tmp_path / "palette.png")
    assert abs(read_picture(tmp_path / "palette.png") - colours.transpose(2, 0, 1) / 255).mean() < 0.2


def test_sixteen_bits_are_windowed(tmp_path):
    deep = np.linspace(1000, 5000, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        found = read_picture(written(tmp_path / name, deep))
        assert found.min() == 0 and found.max() == 1 and 0.4 < found[0, 32].mean() < 0.6


def test_a_camera_s_orientation_is_applied(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(colours).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (3, 50, 40)


def test_dicom_grey_and_inverted(tmp_path):
    ramp = np.linspace(0, 4000, 64 * 48).reshape(64, 48).astype(np.int16)
    found = {}
    for name, interpretation in (("normal.dcm", "MONOCHROME2"), ("inverted.dcm", "MONOCHROME1")):
        image = itk.image_from_array(ramp)
        io = itk.GDCMImageIO.New()
        dictionary = image.GetMetaDataDictionary()
        dictionary["0028|0004"] = interpretation
        image.SetMetaDataDictionary(dictionary)
        itk.imwrite(image, str(tmp_path / name), imageio=io)
        found[name] = read_picture(tmp_path / name)
        assert found[name].shape == (3, 64, 48)
    assert found["normal.dcm"][0, 0, 0] == 0 and found["normal.dcm"][0, -1, -1] == 1
    if b"MONOCHROME1" in (tmp_path / "inverted.dcm").read_bytes():
        assert found["inverted.dcm"][0, 0, 0] == 1


def test_a_real_dicom_slice(test_data):
    found = read_picture(sorted((test_data / "data" / "examples" / "dicom_ct").iterdir())[0])
    assert found.shape == (3, 512, 512) and found.min() == 0 and found.max() == 1


def test_what_cannot_be_read_is_named(tmp_path, colours):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_picture(tmp_path / "nowhere.png")
    (tmp_path / "text.png").write_text("no image at all")
    with pytest.raises(ValueError, match=r"cannot read .*text\.png"):
        read_picture(tmp_path / "text.png")
    (tmp_path / "text.dcm").write_text("no image at all")
    with pytest.raises(ValueError, match=r"cannot read .*text\.dcm"):
        read_picture(tmp_path / "text.dcm")
    whole = written(tmp_path / "whole.png", colours).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot read .*half\.png"):
        read_picture(tmp_path / "half.png")
    with pytest.raises(ValueError, match="20 x 40 pixels, expected at least 32"):
        read_picture(written(tmp_path / "tiny.png", colours[:, :20]))
    Image.new("1", (20_000, 40)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match="20000 x 40 pixels, at most 10,000 a side: cut it into tiles"):
        read_picture(tmp_path / "huge.png")
    frames = [Image.fromarray(colours)] * 2
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="2 frames"):
        read_picture(tmp_path / "two.tif")


def test_masks_of_any_brightness(tmp_path):
    truth = np.zeros((40, 40), dtype=np.uint8)
    truth[10:20, 5:30] = 1
    for name, top in (("one.png", 1), ("full.png", 255), ("lossy.jpg", 255)):
        assert np.array_equal(read_mask(written(tmp_path / name, truth * top))[0], truth)
    assert not read_mask(written(tmp_path / "empty.png", truth * 0)).any()


def test_folders_and_datalists(tmp_path, colours):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    written(tmp_path / "in" / "b.png", colours)
    written(tmp_path / "in" / "deep" / "a.jpg", colours)
    (tmp_path / "in" / "notes.txt").touch()
    cases = find_pictures(tmp_path / "in", "fundus", tmp_path / "in" / "out")
    assert [(case["name"], case["modality"]) for case in cases] == [("a", "fundus"), ("b", "fundus")]
    listed = {"testing": [{"image": "in/b.png", "modality": "xray"}, {"image": "in/deep/a.jpg"}]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    cases = find_pictures(tmp_path / "list.json")
    assert [(case["name"], case["modality"]) for case in cases] == [("a", "auto"), ("b", "xray")]
    written(tmp_path / "in" / "a.png", colours)
    with pytest.raises(ValueError, match="'a' stands for several images"):
        find_pictures(tmp_path / "in")
    with pytest.raises(ValueError, match="unknown kind"):
        find_pictures(tmp_path / "in" / "notes.txt")
    with pytest.raises(ValueError, match="among the images"):
        find_pictures(tmp_path / "in", output_dir=tmp_path / "in")
    with pytest.raises(FileNotFoundError, match="no image in"):
        (tmp_path / "empty").mkdir()
        find_pictures(tmp_path / "empty")


def test_a_datalist_s_modalities_are_checked(tmp_path):
    path = write_phantom_pictures(tmp_path, 1, 1)
    assert len(load_pictures(path, "training", MODALITIES)) == 6
    with pytest.raises(ValueError, match="modality 'dermoscopy', expected one of fundus, oct"):
        load_pictures(path, "training", ["fundus", "oct"])


def test_results_are_found_again_and_never_overwrite_the_image(tmp_path, colours):
    source = written(tmp_path / "eye.png", colours)
    case = {"name": "eye", "image": str(source), "modality": "fundus"}
    saver = SavePictured("pred", tmp_path / "out")
    assert saver.unfinished([case]) == [case]
    mask = torch.zeros(1, 40, 50)
    mask[0, :20] = 1
    saver(LoadPictured("image")(case) | {"pred": mask})
    assert saver.unfinished([case]) == []
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "eye_mask.png")), mask[0].byte().numpy() * 255)
    overlay = np.asarray(Image.open(tmp_path / "out" / "eye_overlay.png"))
    assert np.array_equal(overlay[20:], colours[20:]) and not np.array_equal(overlay[:20], colours[:20])
    facts = json.loads((tmp_path / "out" / "eye.json").read_text())
    assert facts["modality"] == "fundus" and facts["asked"] == "fundus"
    assert saver.unfinished([case | {"modality": "xray"}])  # asked for something else
    mine = written(tmp_path / "eye_mask.png", colours)
    with pytest.raises(ValueError, match="would overwrite its own image"):
        SavePictured("pred", tmp_path)(LoadPictured("image")(case | {"image": str(mine)}) | {"pred": mask})


def test_the_report_s_dice(tmp_path):
    reference = np.zeros((40, 40), dtype=np.uint8)
    reference[10:20, 10:20] = 255
    written(tmp_path / "a.png", reference)
    (tmp_path / "found").mkdir()
    written(tmp_path / "found" / "a_mask.png", np.roll(reference, 5, axis=0))
    cases = [{"name": "a", "label": str(tmp_path / "a.png"), "modality": "xray"}]
    (row,) = PictureReport(cases, tmp_path / "found", tmp_path).write()
    assert row["modality"] == "xray" and row["dice"] == pytest.approx(0.5) and row["cases"] == 1
    assert "hd95_pixels" in (tmp_path / "cases.csv").read_text().splitlines()[0]


def fitted(names):
    recogniser = ModalityRecogniser()
    for name in names:
        recogniser.add(name)
    images = [
        {"image": torch.from_numpy(draw_picture(name, seed)[0].transpose(2, 0, 1)).float(), "modality": name}
        for name in names
        for seed in range(100, 120)
    ]
    recogniser.fit(images)
    return recogniser


def test_modalities_are_recognised_and_others_refused():
    recogniser = fitted(MODALITIES)
    for name in MODALITIES:
        for seed in range(5):
            image = torch.from_numpy(draw_picture(name, seed)[0].transpose(2, 0, 1)).float()
            assert recogniser.recognise(image)[0] == name
    with pytest.raises(ValueError, match="name its modality, one of dermoscopy, xray"):
        recogniser.recognise(torch.rand(3, 256, 256))
    with pytest.raises(ValueError, match="recognises no modality"):
        ModalityRecogniser().recognise(torch.rand(3, 256, 256))


def test_a_further_modality_leaves_the_others_distributions_alone():
    recogniser = fitted(MODALITIES[:2])
    before = {name: tensor.clone() for name, tensor in recogniser.state_dict().items()}
    recogniser.add("fundus")
    image = torch.from_numpy(draw_picture("fundus", 0)[0].transpose(2, 0, 1)).float()
    recogniser.fit([{"image": image, "modality": "fundus"}] * 3)
    after = recogniser.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert recogniser.recognise(image)[0] == "fundus"
