"""2D images: files of every kind in, masks of their own size out, and what is refused."""

import json

import itk
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image

from uniseg_nets.image2d import PictureReport, RandSimilarityd, SavePictured, find_pictures, load_pictures
from uniseg_nets.image2d.engine import MaskInferer
from uniseg_nets.image2d.load import LoadMaskd, LoadPictured, read_mask, read_picture
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import root_cause
from uniseg_nets.nets.esp_medsam.recogniser import ModalityRecogniser, describe
from uniseg_nets.phantom.pictures import draw_picture, write_phantom_pictures

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


@pytest.mark.parametrize(("lost", "shown"), [(np.nan, 0), (-np.inf, 0), (np.inf, 1)])
def test_a_pixel_without_a_value_leaves_the_others_as_they_are(tmp_path, caplog, lost, shown):
    deep = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    whole = read_picture(written(tmp_path / "whole.tif", deep))
    deep[3, 4] = lost
    found = read_picture(written(tmp_path / "lost.tif", deep))
    assert found[0, 3, 4] == shown and "1 of 4096 pixels" in caplog.text and "lost.tif" in caplog.text
    found[:, 3, 4] = whole[:, 3, 4]
    np.testing.assert_allclose(found, whole, atol=1e-3)
    with pytest.raises(ValueError, match=r"none\.tif holds no finite value"):
        read_picture(written(tmp_path / "none.tif", np.full((40, 40), lost, dtype=np.float32)))


def test_a_camera_s_orientation_is_applied(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(colours).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (3, 50, 40)


def test_a_phone_s_jpeg_with_a_preview_inside_is_read(tmp_path):
    smooth = np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 4, 48, 1)
    preview = Image.new("L", (16, 16), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image = Image.fromarray(smooth)
    image.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[preview], exif=exif)
    with Image.open(tmp_path / "phone.jpg") as opened:
        assert opened.format == "MPO" and opened.n_frames == 2
    found = read_picture(tmp_path / "phone.jpg")
    assert found.shape == (3, 48, 64) and abs(found[0] - np.rot90(smooth, -1) / 255).max() < 0.05


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_an_inverted_dicom_is_shown_as_a_viewer_shows_it(tmp_path, kind):
    ramp = np.linspace(0, 200, 64 * 48).reshape(64, 48).astype(kind)
    itk.imwrite(itk.image_from_array(ramp), str(tmp_path / "normal.dcm"), imageio=itk.GDCMImageIO.New())
    written_as = (tmp_path / "normal.dcm").read_bytes()
    assert written_as.count(b"MONOCHROME2") == 1
    (tmp_path / "inverted.dcm").write_bytes(written_as.replace(b"MONOCHROME2", b"MONOCHROME1"))
    normal, inverted = (read_picture(tmp_path / name) for name in ("normal.dcm", "inverted.dcm"))
    assert normal.shape == (3, 64, 48)
    assert normal[0, 0, 0] == 0 and normal[0, -1, -1] == 1
    # The lowest stored value of MONOCHROME1 is white.
    assert inverted[0, 0, 0] == 1 and inverted[0, -1, -1] == 0
    np.testing.assert_allclose(inverted, 1 - normal, atol=0.02)


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


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 1), (np.uint16, 1), (np.uint16, 65535), (np.float32, 1.0)])
def test_masks_of_any_depth_say_what_they_hold(tmp_path, kind, top):
    few = np.zeros((100, 100), dtype=kind)
    few[0, :10] = top  # 0.1 % of the pixels
    for name, truth in (("few", few), ("most", top - few), ("all", few * 0 + top), ("none", few * 0)):
        found = read_mask(written(tmp_path / f"{name}.tif", truth.astype(kind)))
        assert np.array_equal(found[0], truth > 0), name


@pytest.mark.parametrize("numbers", [(1, 2, 3), (128, 255), range(1, 13)])
def test_a_mask_with_numbers_of_objects_or_classes_is_refused(tmp_path, numbers):
    """Half of the highest number would lose the objects below it."""
    objects = np.zeros((40, 80), dtype=np.uint8)
    for place, number in enumerate(numbers):
        objects[10:20, 6 * place : 6 * place + 5] = number
    with pytest.raises(ValueError, match=r"objects\.png has areas of \d+.* beside 0 and .*: a mask has one value"):
        read_mask(written(tmp_path / "objects.png", objects))


def test_a_class_of_one_beside_voids_of_255_is_not_lost(tmp_path):
    marked = np.zeros((40, 80), dtype=np.uint8)
    marked[10:20, 10:20], marked[10:20, 40:50] = 1, 255
    with pytest.raises(ValueError, match=r"void\.png has areas of 1 beside 0 and 255"):
        read_mask(written(tmp_path / "void.png", marked))


@pytest.mark.parametrize("kind", ["RGB", "P"])
def test_a_mask_of_several_colours_is_refused_and_one_of_one_colour_is_read(tmp_path, kind):
    """The brightest channel would make all classes one, as those of a palette (128, 0, 0), (0, 128, 0), ..."""
    classes = np.zeros((40, 80), dtype=np.uint8)
    classes[10:20, 10:20] = 1
    colours = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], dtype=np.uint8)

    def saved(name):
        image = Image.fromarray(colours[classes])
        if kind == "P":
            image = Image.fromarray(classes, "P")
            image.putpalette(colours.tobytes())
        image.save(tmp_path / name)
        return tmp_path / name

    assert np.array_equal(read_mask(saved("one.png"))[0], classes > 0)
    classes[10:20, 40:50] = 2
    with pytest.raises(ValueError, match=r"two\.png has areas of several colours: .* a file per class"):
        read_mask(saved("two.png"))


@pytest.mark.parametrize("white", [True, False])
def test_what_is_transparent_in_a_mask_is_background(tmp_path, white):
    drawn = np.full((40, 40, 4), 255 * white, dtype=np.uint8)
    drawn[..., 3] = 0
    drawn[10:20, 10:20, 3] = 255
    path = written(tmp_path / "drawn.png", drawn)
    if white:
        assert np.array_equal(read_mask(path)[0], drawn[..., 3] > 0)
    else:
        with pytest.raises(ValueError, match=r"drawn\.png is black or transparent everywhere"):
            read_mask(path)
    for shown in (255, 0):  # an empty mask, and a layer on which nothing is drawn
        drawn[..., :3], drawn[..., 3] = 0, shown
        assert not read_mask(written(tmp_path / "empty.png", drawn)).any()


def test_colours_of_sixteen_bits_keep_all_of_them(tmp_path):
    """Of which Pillow reads the upper eight: twelve bits of a microscope would be almost black."""
    values = np.random.default_rng(0).integers(0, 4096, (40, 50, 3)).astype(np.uint16)
    for ending in ("png", "tif"):
        deep = tmp_path / f"deep.{ending}"
        itk.imwrite(itk.image_from_array(values, is_vector=True), str(deep))
        low, high = np.percentile(values, (0.5, 99.5))
        shown = np.clip((values.transpose(2, 0, 1) - low) / (high - low), 0, 1)
        assert np.allclose(read_picture(deep), shown, atol=1e-5)
        truth = np.zeros((40, 50, 3), dtype=np.uint16)
        truth[10:20, 10:20] = 1
        itk.imwrite(itk.image_from_array(truth, is_vector=True), str(deep))
        assert np.array_equal(read_mask(deep)[0], truth[..., 0])


def test_a_row_of_1600_bytes_makes_no_colours_of_sixteen_bits(tmp_path):
    """They would be windowed: a dark image became bright."""
    dark = np.random.default_rng(0).integers(0, 60, (40, 533, 3)).astype(np.uint8)
    found = read_picture(written(tmp_path / "dark.bmp", dark))
    np.testing.assert_allclose(found, dark.transpose(2, 0, 1) / 255, atol=1e-6)


def test_an_edge_of_values_between_is_no_object(tmp_path):
    soft = np.zeros((40, 40), dtype=np.uint8)
    soft[10:30, 10:30], soft[12:28, 12:28] = 128, 255  # an edge of two pixels
    assert read_mask(written(tmp_path / "soft.png", soft)).sum() == 20 * 20


def test_a_mask_that_is_not_of_its_image_s_size_is_refused(tmp_path, colours):
    image = written(tmp_path / "image.png", colours)
    load = Compose([LoadPictured("image"), LoadMaskd("label", allow_missing_keys=True)])
    assert "label" not in load({"image": str(image)})
    mask = written(tmp_path / "mask.png", colours[..., 0])
    assert load({"image": str(image), "label": str(mask)})["label"].shape == (1, 40, 50)
    turned = written(tmp_path / "turned.png", colours[..., 0].T)
    with pytest.raises(RuntimeError) as failed:
        load({"image": str(image), "label": str(turned)})
    message = root_cause(failed.value)
    assert "turned.png" in message and "40 x 50" in message and "image.png" in message and "50 x 40" in message


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
    assert [case["name"] for case in find_pictures(tmp_path / "list.json")] == ["a", "b"]
    (tmp_path / "in" / ".ipynb_checkpoints").mkdir()
    written(tmp_path / "in" / ".ipynb_checkpoints" / "b-checkpoint.png", colours)
    assert [case["name"] for case in find_pictures(tmp_path / "in")] == ["a", "b"]
    written(tmp_path / "in" / "b.jpg", colours)
    with pytest.raises(ValueError, match="'b' belongs to several images"):
        find_pictures(tmp_path / "in")
    with pytest.raises(ValueError, match="unknown kind"):
        find_pictures(tmp_path / "in" / "notes.txt")
    with pytest.raises(ValueError, match="among the images"):
        find_pictures(tmp_path / "in", output_dir=tmp_path / "in")
    with pytest.raises(FileNotFoundError, match="no image in"):
        (tmp_path / "empty").mkdir()
        find_pictures(tmp_path / "empty")


def test_an_earlier_result_of_an_image_s_name_that_changed_is_named(tmp_path, colours, caplog):
    for folder in ("in/p1", "in/p2", "out"):
        (tmp_path / folder).mkdir(parents=True)
    written(tmp_path / "in" / "p1" / "a.png", colours)
    (tmp_path / "out" / "a.json").touch()
    assert [case["name"] for case in find_pictures(tmp_path / "in", output_dir=tmp_path / "out")] == ["a"]
    assert not caplog.text
    written(tmp_path / "in" / "p2" / "a.png", colours)
    names = [case["name"] for case in find_pictures(tmp_path / "in", output_dir=tmp_path / "out")]
    assert names == ["p1_a", "p2_a"] and "images in several sub-folders are called a, so that" in caplog.text


def test_images_of_one_name_in_two_sub_folders_get_the_sub_folder_as_a_prefix(tmp_path, colours):
    for place in ("a.png", "one/a.png", "two/deep/a.png", "two/b.png"):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path / "in" / place, colours)
    found = {case["name"]: case["image"] for case in find_pictures(tmp_path / "in")}
    assert found == {
        name: str(tmp_path / "in" / place)
        for name, place in (
            ("a", "a.png"),
            ("b", "two/b.png"),
            ("one_a", "one/a.png"),
            ("two_deep_a", "two/deep/a.png"),
        )
    }


def test_the_datalist_of_a_folder_is_read_and_its_masks_are_no_images(tmp_path):
    path = write_phantom_pictures(tmp_path, 1, 1)
    assert find_pictures(tmp_path) == find_pictures(path)


def test_the_images_of_a_training_s_datalist_are_found_without_their_masks(tmp_path):
    path = write_phantom_pictures(tmp_path, 1, 1)
    assert all("label" in case for case in load_pictures(path, "validation", MODALITIES))
    assert {key for case in find_pictures(path) for key in case} == {"name", "image", "modality"}


def test_names_that_are_numbers_and_images_in_a_list_are_read(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"testing": [{"name": 7, "image": ["a.png"]}]}))
    assert find_pictures(path) == [{"modality": "auto", "name": "7", "image": str(tmp_path / "a.png")}]
    path.write_text(json.dumps({"testing": [{"image": ["a.png", "b.png"]}]}))
    with pytest.raises(ValueError, match="case a has 2 images, expected one"):
        find_pictures(path)


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
    record = json.loads((tmp_path / "out" / "eye.json").read_text())
    assert record["modality"] == "fundus" and record["requested_modality"] == "fundus"
    assert saver.unfinished([case | {"modality": "xray"}])  # asked for something else
    mine = written(tmp_path / "eye_mask.png", colours)
    with pytest.raises(ValueError, match="would overwrite its own image"):
        SavePictured("pred", tmp_path)(LoadPictured("image")(case | {"image": str(mine)}) | {"pred": mask})


@pytest.mark.parametrize("empty", [False, True])
def test_an_empty_mask_says_that_nothing_was_found(tmp_path, colours, caplog, empty):
    case = {"name": "eye", "image": str(written(tmp_path / "eye.png", colours)), "modality": "fundus"}
    mask = torch.zeros(1, 40, 50)
    mask[0, 3, 3] = not empty
    saver = SavePictured("pred", tmp_path / "out")
    saved = saver(LoadPictured("image")(case) | {"pred": mask})
    record = json.loads((tmp_path / "out" / "eye.json").read_text())
    told = "eye: check: Nothing was found: the mask is empty." in caplog.text
    assert (told, "verdict" in saved, "verdict" in record) == (empty,) * 3
    if empty:
        assert (record["verdict"], record["reasons"]) == ("check", ["Nothing was found: the mask is empty."])
    assert saver.unfinished([case]) == []


def test_a_picture_of_others_under_an_overlay_s_name_stays_and_results_are_no_images(tmp_path, colours):
    (tmp_path / "in" / "out").mkdir(parents=True)
    source = written(tmp_path / "in" / "eye.png", colours)
    case = {"name": "eye", "image": str(source), "modality": "fundus"}
    predicted = LoadPictured("image")(case) | {"pred": torch.zeros(1, 40, 50)}
    theirs = written(tmp_path / "in" / "out" / "eye_overlay.png", colours)
    before = theirs.read_bytes()
    saver = SavePictured("pred", theirs.parent)
    for attempt in (lambda: saver.unfinished([case]), lambda: saver(predicted)):
        with pytest.raises(ValueError, match=r"eye_overlay\.png, which has no record"):
            attempt()
    assert theirs.read_bytes() == before and len(list(theirs.parent.iterdir())) == 1
    theirs.unlink()
    saver(predicted)
    assert [found["name"] for found in find_pictures(tmp_path / "in", "fundus", tmp_path / "new")] == ["eye"]


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


def test_a_report_names_the_reference_that_is_not_of_the_mask_s_size(tmp_path):
    written(tmp_path / "a.png", np.zeros((40, 50), dtype=np.uint8))
    written(tmp_path / "a_mask.png", np.zeros((50, 40), dtype=np.uint8))
    report = PictureReport([{"name": "a", "label": str(tmp_path / "a.png"), "modality": "xray"}], tmp_path, tmp_path)
    with pytest.raises(ValueError, match=r"a\.png has 50 x 40 pixels, .*a_mask\.png 40 x 50"):
        report.rows(report.cases[0])


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
    with pytest.raises(ValueError, match="name its modality if it is one of dermoscopy, xray"):
        recogniser.recognise(torch.rand(3, 256, 256))
    known = torch.from_numpy(draw_picture("fundus", 0)[0].transpose(2, 0, 1)).float()
    for image, least, reason in (
        (torch.rand(3, 256, 256), 0.0, r"it is at a distance of \d+\.\d from these images, at most 1\.5 is accepted"),
        (known, 1.01, r"the confidence is 1\.00, at least 1\.01 is needed"),
    ):
        with pytest.raises(ValueError, match=rf"not enough so: {reason}; name its"):
            recogniser.recognise(image, least)
    with pytest.raises(ValueError, match="recognises no modality"):
        ModalityRecogniser().recognise(torch.rand(3, 256, 256))


@pytest.mark.parametrize("shape", [(256, 192), (160, 256)])
def test_the_padding_of_an_image_that_is_not_square_tells_nothing_of_its_modality(shape):
    for name in MODALITIES:
        image = torch.from_numpy(draw_picture(name, 0)[0].transpose(2, 0, 1)).float()[None]
        part = image[..., : shape[0], : shape[1]] + 1
        padded = torch.zeros_like(image)
        padded[..., : shape[0], : shape[1]] = part
        torch.testing.assert_close(describe(padded), describe(part))


def test_an_image_of_few_rows_can_be_described():
    thin = torch.zeros(1, 3, 64, 64)
    thin[:, :, :2] = 1
    assert bool(describe(thin).isfinite().all())


def test_a_further_modality_leaves_the_others_distributions_alone():
    recogniser = fitted(MODALITIES[:2])
    before = {name: tensor.clone() for name, tensor in recogniser.state_dict().items()}
    recogniser.add("fundus")
    image = torch.from_numpy(draw_picture("fundus", 0)[0].transpose(2, 0, 1)).float()
    recogniser.fit([{"image": image, "modality": "fundus"}] * 3)
    after = recogniser.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert recogniser.recognise(image)[0] == "fundus"


def test_an_augmented_disc_stays_a_disc():
    side = 128
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    disc = torch.from_numpy(y**2 + x**2 < 30**2)[None].float()
    config = ConfigParser(json.loads((bundle_folder("esp_medsam_2d") / "configs" / "train.json").read_text()))
    augment = Compose(config.get_parsed_content("train#augmentation")).set_random_state(seed=0)
    radii = []
    for _ in range(40):
        found = augment({"image": disc.repeat(3, 1, 1), "label": disc})["label"][0].numpy() > 0
        spread = np.linalg.eigvalsh(np.cov(np.argwhere(found).T))
        assert spread[1] / spread[0] < 1.02
        radii.append(np.sqrt(found.sum() / np.pi))
    assert min(radii) < 27 and max(radii) > 33  # it is scaled


def test_the_scale_of_an_augmentation_follows_its_seed():
    image = {"image": torch.rand(1, 32, 32)}
    augment = RandSimilarityd("image", prob=1.0, rotate_range=0.5, scale_range=0.2)
    first, again, other = (augment.set_random_state(seed=seed)(image)["image"] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_probabilities_that_are_no_numbers_are_no_background():
    inferer = MaskInferer()
    assert inferer(torch.zeros(1, 3, 8, 8), lambda image, name: image[:, :1], ["xray"]).unique() == 0.5
    with pytest.raises(ValueError, match="scores are not finite"):
        inferer(torch.zeros(1, 3, 8, 8), lambda image, name: image[:, :1] / 0, ["xray"])


def test_what_lies_between_two_kinds_of_images_of_a_modality_is_refused():
    """Dark images and bright ones of one modality: one distribution would take grey ones too."""

    def images(level, count, first):
        generators = (torch.Generator().manual_seed(seed) for seed in range(first, first + count))
        return [level + 0.1 * torch.randn(3, 64, 64, generator=generator) for generator in generators]

    training = [{"image": image, "modality": "microscopy"} for level in (-1, 1) for image in images(level, 30, 0)]
    recognised = {}
    for kinds in (1, 2):
        recogniser = ModalityRecogniser(kinds)
        recogniser.add("microscopy")
        recogniser.fit(training)
        recognised[kinds] = recogniser
    (grey,) = images(0, 1, 100)
    assert recognised[1].recognise(grey)[0] == "microscopy"
    with pytest.raises(ValueError, match="looks most like microscopy, but not enough so"):
        recognised[2].recognise(grey)
    for level in (-1, 1):
        assert recognised[2].recognise(images(level, 1, 29)[0])[0] == "microscopy"


def test_few_images_are_of_one_kind():
    recognisers = [ModalityRecogniser(kinds) for kinds in (1, 4)]
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    training = [{"image": image + number / 10, "modality": "xray"} for number in range(40)]
    for recogniser in recognisers:
        recogniser.add("xray")
        recogniser.fit(training)
    assert recognisers[0].recognise(image + 2) == recognisers[1].recognise(image + 2)
