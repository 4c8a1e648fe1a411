"""Files and arrays whose numbers a reader may take for others without a word."""

import re
import struct
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch

from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.transforms import LoadCase, LoadCased, PreprocessCased
from uniseg_nets.transforms.export import LabelMapd, SaveLabelMapd, read_label_map
from uniseg_nets.transforms.load import DOUBTS

AFFINE = np.diag([1.5, 1.5, 3.0, 1.0])


def volume():
    return np.arange(60, dtype=np.float32).reshape(5, 4, 3)


def in_unit(tmp_path, unit, edges):
    image = nib.Nifti1Image(volume(), np.diag([*edges, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii.gz")
    return tmp_path / "a.nii.gz"


def damaged(tmp_path, edits):
    """A NIfTI file with bytes of its header replaced: offset, struct format, values."""
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(volume(), AFFINE), path)
    content = bytearray(path.read_bytes())
    for offset, form, *values in edits:
        struct.pack_into(f"<{form}", content, offset, *values)
    path.write_bytes(bytes(content))
    return path


def test_a_file_of_complex_numbers_is_refused(write_scan):
    path = write_scan("a.nii.gz", volume().astype(np.complex64) + 1j)
    with pytest.raises(ValueError, match=r"a\.nii\.gz as a scan: it holds complex numbers.*magnitude"):
        LoadCase()(path)


def test_a_file_of_colours_is_a_fault_that_a_plan_can_leave_out(write_scan, tmp_path):
    for name in ("one", "two", "colours"):
        write_scan(f"data/images/{name}.nii.gz", volume() + len(name))
        write_scan(f"data/labels/{name}.nii.gz", (volume() > 20).astype(np.uint8))
    write_scan("data/images/one.nii.gz", volume() + 90)
    write_scan("data/images/colours.nii.gz", np.zeros((5, 4, 3), dtype=[(c, "u1") for c in "RGB"]))
    with pytest.raises(ValueError, match=r"colours: cannot read .*colours\.nii\.gz as a scan: it holds colours"):
        plan_dataset(tmp_path / "data", tmp_path / "plan.json")
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(leave_out_faulty=True))
    assert [case["name"] for case in plan["data"]] == ["one", "two"]


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("mm", 1), ("unknown", 1), ("micron", 0.001)])
def test_the_header_s_unit_of_length_counts(tmp_path, unit, factor):
    loaded = LoadCase()(in_unit(tmp_path, unit, np.array([1.5, 1.5, 3.0]) / factor))
    np.testing.assert_allclose(loaded.affine, AFFINE, rtol=1e-6)


def test_a_unit_that_makes_voxels_larger_than_a_hand_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unit of length is metres, so that voxels have edges of 700, 700, 3000 mm"):
        LoadCase()(in_unit(tmp_path, "meter", [0.7, 0.7, 3]))


def test_the_edges_of_turned_voxels_are_told_in_the_file_s_order(tmp_path):
    affine = np.array([[0, 0, 3, 0], [0.7, 0, 0, 0], [0, 0.6, 0, 0], [0, 0, 0, 1.0]])
    image = nib.Nifti1Image(volume(), affine)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match="edges of 700, 600, 3000 mm"):
        LoadCase()(tmp_path / "a.nii.gz")


def test_the_label_map_of_a_scan_in_metres_lies_on_the_scan(tmp_path, table):
    path = in_unit(tmp_path, "meter", AFFINE.diagonal()[:3] / 1000)
    case = PreprocessCased("image", table, "spleen")(LoadCased("image")({"image": path, "name": "a"}))
    scores = torch.stack([torch.zeros(case["image"].shape[1:]), torch.ones(case["image"].shape[1:])])
    found = LabelMapd("pred", table, "spleen")({**case, "pred": scores})
    SaveLabelMapd("pred", tmp_path / "out", table, "spleen")(found)
    written, scan = nib.load(tmp_path / "out" / "a.nii.gz"), nib.load(path)
    np.testing.assert_array_equal(written.affine, scan.affine)
    assert written.header.get_xyzt_units() == scan.header.get_xyzt_units()
    np.testing.assert_allclose(read_label_map(tmp_path / "out", "a")[0].affine, AFFINE, rtol=1e-6)


# Offsets: 42 size, 70 type, 80 voxel edge, 108 where the voxels begin, 252 codes of qform and sform.
@pytest.mark.parametrize("codes", [(0, 0), (1, 0)])
def test_a_voxel_edge_of_zero_is_not_taken_for_a_millimetre(tmp_path, codes):
    path = damaged(tmp_path, [(80, "f", 0.0), (252, "hh", *codes)])
    with pytest.raises(ValueError, match=r"a\.nii as a scan: its header gives voxels an edge of 0 mm along axis x"):
        LoadCase()(path)


def test_a_voxel_edge_of_zero_does_not_matter_beside_an_sform(tmp_path):
    np.testing.assert_allclose(LoadCase()(damaged(tmp_path, [(80, "f", 0.0)])).affine, AFFINE)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([(70, "h", 999)], "its NIfTI header is damaged"),
        ([(108, "f", float("inf"))], "its NIfTI header is damaged"),
        ([(108, "f", -1e9)], "its NIfTI header is damaged"),
        ([(40, "h", 200)], "its NIfTI header is damaged"),
        ([(256, "fff", 5.0, 5.0, 5.0), (252, "hh", 1, 0)], "its NIfTI header is damaged"),
        ([(42, "hhh", 32000, 32000, 32000)], "its 32000 x 32000 x 32000 voxels cannot be read"),
        ([(42, "h", -4)], "its -4 x 4 x 3 voxels cannot be read"),
        ([(344, "4s", b"xxxx")], "it is no NIfTI file, or a part of one"),
        ([(280, "f", float("nan"))], "its header gives voxels an edge of nan mm along axis x"),
        ([(300, "f", 0.0)], "its header gives voxels an edge of 0 mm along axis y"),
    ],
)
def test_a_damaged_header_is_told_in_our_words_with_the_file_s_name(tmp_path, edits, message):
    with pytest.raises(
        ValueError, match=rf"cannot read .*a\.nii as a scan: {message}.*: (copy or export it again|correct it)"
    ):
        LoadCase()(damaged(tmp_path, edits))


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_file_that_ends_too_early_is_told_as_damaged(write_scan, ending):
    path = write_scan(f"a.{ending}", np.random.default_rng(0).random((20, 20, 20)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="its 20 x 20 x 20 voxels cannot be read, the file is damaged: copy or export"):
        LoadCase()(path)


def test_a_compressed_file_with_a_changed_bit_is_refused_or_read_rightly(write_scan):
    path = write_scan("a.nii.gz", np.random.default_rng(0).random((20, 20, 20)))
    content, voxels = path.read_bytes(), LoadCase()(path)
    refused = 0
    for place in range(400, len(content) - 8, len(content) // 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert torch.equal(LoadCase()(path), voxels)
        except ValueError as error:
            assert "the file is damaged" in str(error)
            refused += 1
    assert refused > 35


@pytest.mark.parametrize(
    ("ending", "old", "new"),
    [
        ("mha", b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 0 1"),
        ("nrrd", b"(1,0,0) (0,1,0) (0,0,1)", b"(1,0,0) (0,0,0) (0,0,1)"),
    ],
)
def test_a_voxel_edge_of_zero_is_refused_in_other_files_too(tmp_path, ending, old, new):
    path = tmp_path / f"a.{ending}"
    itk.imwrite(itk.image_from_array(volume()), str(path))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ValueError, match=rf"a\.{ending} as a scan: its header gives voxels edges of 1, 0, 1 mm"):
        LoadCase()(path)


def written(path, compression):
    voxels = np.random.default_rng(0).integers(0, 99, (9, 10, 11)).astype(np.int16)
    itk.imwrite(itk.image_from_array(voxels), str(path), compression=compression)
    return path


@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd"])
def test_compressed_voxels_with_a_changed_bit_are_refused_in_other_files_too(tmp_path, ending):
    path = written(tmp_path / f"a.{ending}", compression=True)
    voxels = LoadCase()(path)
    stored = path.with_suffix(".zraw") if ending == "mhd" else path
    content = stored.read_bytes()
    begin = len(content) - 800  # within the voxels
    refused = 0
    for place in range(begin, len(content), 20):
        stored.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            assert torch.equal(LoadCase()(path), voxels)
        except ValueError as error:
            assert f"a.{ending} as a scan: its 11 x 10 x 9 voxels cannot be read, the file is damaged" in str(error)
            refused += 1
    assert refused == 40
    stored.write_bytes(content)
    assert torch.equal(LoadCase()(path), voxels)


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("ending", ["mha", "mhd", "nrrd"])
def test_other_files_that_end_too_early_or_have_another_size_in_the_header_are_refused(tmp_path, ending, compression):
    path = written(tmp_path / f"a.{ending}", compression)
    stored = next((file for file in tmp_path.glob("*raw")), path)
    header, content = path.read_bytes(), stored.read_bytes()
    stored.write_bytes(content[:-9])
    with pytest.raises(ValueError, match="its 11 x 10 x 9 voxels cannot be read, the file is damaged: copy or export"):
        LoadCase()(path)
    stored.write_bytes(content)
    path.write_bytes(header.replace(b"11 10 9", b"11 10 12"))
    with pytest.raises(ValueError, match="its 11 x 10 x 12 voxels cannot be read, the file is damaged"):
        LoadCase()(path)


def test_a_header_without_its_voxel_file_says_which_file_is_missing(tmp_path):
    path = written(tmp_path / "a.mhd", compression=True)
    (tmp_path / "a.zraw").unlink()
    with pytest.raises(ValueError, match=r"a\.mhd as a scan: its voxels are in .*a\.zraw, which does not exist"):
        LoadCase()(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda size: "", "does not give the size of its compressed voxels"),
        (lambda size: "CompressedDataSize = 0\n", "does not give the size of its compressed voxels"),
        (lambda size: f"CompressedDataSize = {size + 9}\n", "the file is damaged"),
        (lambda size: f"CompressedDataSize = {size - 9}\n", "the file is damaged"),
        (lambda size: "CompressedDataSize = -1\n", "the file is damaged"),
    ],
    ids=["none", "zero", "large", "small", "negative"],
)
@pytest.mark.parametrize("ending", ["mha", "mhd"])
def test_compressed_voxels_whose_size_is_wrong_are_refused(tmp_path, ending, change, message):
    path = written(tmp_path / f"a.{ending}", compression=True)
    voxels = LoadCase()(path)
    content = path.read_bytes()
    line = re.search(rb"CompressedDataSize = (\d+)\n", content)
    path.write_bytes(content.replace(line[0], change(int(line[1])).encode()))
    if ending == "mhd" and "does not give" in message:  # ITK then takes the whole file
        assert torch.equal(LoadCase()(path), voxels)
    else:
        with pytest.raises(ValueError, match=message):
            LoadCase()(path)


@pytest.mark.parametrize(
    "named", ["LIST\n{}", "LIST 2\n{}", "LIST\r\n{}", "a slice %03d.raw 0 8 1", "a slice %03d.raw  0  8  1 "]
)
def test_voxel_files_with_blanks_in_their_names_are_read(tmp_path, named):
    path = written(tmp_path / "a.mhd", compression=False)
    voxels, slices = LoadCase()(path), np.split(np.fromfile(tmp_path / "a.raw", dtype=np.int16), 9)
    names = [f"a slice {z:03d}.raw" for z in range(9)]
    for name, values in zip(names, slices):
        values.tofile(tmp_path / name)
    newline = "\r\n" if "\r" in named else "\n"
    header = path.read_bytes().replace(b"a.raw", named.format(newline.join(names)).encode())
    path.write_bytes(header)
    assert torch.equal(LoadCase()(path), voxels)
    (tmp_path / names[4]).unlink()
    with pytest.raises(ValueError, match=r"a slice 004\.raw, which does not exist|the file is damaged"):
        LoadCase()(path)


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "mha", "nrrd", "zraw"])
def test_a_file_that_must_not_be_read_is_not_called_damaged(tmp_path, ending, monkeypatch):
    name = "a.mhd" if ending == "zraw" else f"a.{ending}"
    if ending.startswith("nii"):
        nib.save(nib.Nifti1Image(volume(), AFFINE), tmp_path / name)
    else:
        written(tmp_path / name, compression=True)
    opened = Path.open

    def denied(self, *args, **options):
        if self.name == f"a.{ending}":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ValueError, match="Permission denied") as caught:
        LoadCase()(tmp_path / name)
    assert name in str(caught.value) and "damaged" not in str(caught.value)


def nrrd(path, fields):
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 11 10 9\nendian: little\nencoding: raw\n"
    path.write_bytes((head + fields + "\n").encode() + bytes(2 * 990))


def mha(path, fields):
    head = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    rest = "DimSize = 11 10 9\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes((head + fields + rest).encode() + bytes(2 * 990))


@pytest.mark.parametrize(
    ("write", "fields"),
    [(nrrd, ""), (nrrd, "spacings: 1 1 nan\n"), (mha, ""), (mha, "TransformMatrix = 1 0 0 0 1 0 0 0 1\n")],
)
def test_a_header_without_voxel_edges_is_not_taken_for_a_millimetre(tmp_path, write, fields):
    path = tmp_path / f"a.{write.__name__}"
    write(path, fields)
    with pytest.raises(ValueError, match="its header does not give the edges of a voxel in mm: write them"):
        LoadCase()(path)


DIRECTIONS = "space directions: (1,0,0) (0,1,0) (0,0,1)\n"


@pytest.mark.parametrize(
    ("write", "fields", "doubt"),
    [
        (nrrd, "spacings: 1 1 3\n", "without space"),
        (nrrd, f"space: scanner-xyz\n{DIRECTIONS}", "of space 'scanner-xyz'"),
        (nrrd, f"space: right-anterior-superior\n{DIRECTIONS}space:=none\n", None),
        (nrrd, f"space: LPS\n{DIRECTIONS}", None),
        (mha, "ElementSpacing = 1 1 3\n", "without TransformMatrix"),
        (mha, "ElementSpacing = 1 1 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n", None),
    ],
)
def test_a_header_that_does_not_say_how_the_patient_lies_is_doubtful(tmp_path, write, fields, doubt, caplog):
    path = tmp_path / f"a.{write.__name__}"
    write(path, fields)
    doubts = LoadCase()(path).meta.get(DOUBTS)
    if doubt is None:
        assert doubts is None and not caplog.text
    else:
        assert (
            doubts == f"A header {doubt} does not say how the patient lies: taken as LPS. See whether left and right "
            "are right."
        )
        assert f"a.{write.__name__}: {doubts}" in caplog.text


def with_forms(tmp_path, sform, qform, codes=(1, 1)):
    image = nib.Nifti1Image(volume(), AFFINE)
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    nib.save(image, tmp_path / "a.nii.gz")
    return tmp_path / "a.nii.gz"


TURNED = AFFINE[[1, 0, 2, 3]]


@pytest.mark.parametrize(
    ("qform", "told"),
    [
        (np.diag([-1, 1, 1, 1]) @ AFFINE, "sform RAS with voxels of 1.5 x 1.5 x 3 mm and qform LAS"),
        (TURNED, "sform RAS with voxels of 1.5 x 1.5 x 3 mm and qform ARS"),
        (np.diag([2.0, 2.0, 3.0, 1.0]), "and qform RAS with voxels of 2 x 2 x 3 mm"),
    ],
    ids=["mirrored", "turned", "larger"],
)
def test_an_sform_and_a_qform_that_contradict_each_other_are_doubtful(tmp_path, qform, told, caplog):
    path = with_forms(tmp_path, AFFINE, qform)
    loaded = LoadCase()(path)
    np.testing.assert_allclose(loaded.affine, AFFINE)
    assert told in loaded.meta[DOUBTS] and "the sform is used" in caplog.text and "a.nii.gz" in caplog.text
    assert LoadCase()(nib.load(path)).meta[DOUBTS] == loaded.meta[DOUBTS]


def test_forms_that_only_lie_apart_are_logged_and_equal_ones_are_not(tmp_path, caplog):
    apart = AFFINE.copy()
    apart[0, 3] = 40
    assert DOUBTS not in LoadCase()(with_forms(tmp_path, AFFINE, apart)).meta
    assert "its sform and qform place the voxels apart; the sform is used" in caplog.text
    caplog.clear()
    for sform, qform, codes in ((AFFINE, AFFINE + 1e-4, (1, 1)), (AFFINE, apart, (1, 0)), (apart, AFFINE, (0, 1))):
        assert DOUBTS not in LoadCase()(with_forms(tmp_path, sform, qform, codes)).meta
    assert not caplog.text


@pytest.mark.parametrize("degrees", [5, 10, 20, 30])
def test_a_tilted_stack_whose_qform_has_the_distance_along_the_normal_is_one_orientation(tmp_path, degrees, caplog):
    sheared = AFFINE.copy()
    sheared[1, 2] = AFFINE[2, 2] * np.tan(np.radians(degrees))
    assert DOUBTS not in LoadCase()(with_forms(tmp_path, sheared, AFFINE)).meta
    assert "place the voxels apart" in caplog.text
    thicker = AFFINE @ np.diag([1, 1, 1.3, 1])
    assert "two orientations" in LoadCase()(with_forms(tmp_path, sheared, thicker)).meta[DOUBTS]


def test_forms_that_lie_apart_are_logged_once_a_file(tmp_path, caplog):
    apart = AFFINE.copy()
    apart[0, 3] = 40
    path = with_forms(tmp_path, AFFINE, apart)
    for _ in range(3):
        LoadCase()(path)
    path = path.rename(tmp_path / "b.nii.gz")
    LoadCase()(path)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "a.nii.gz: its sform" in told[0] and "b.nii.gz: its sform" in told[1]


def test_a_channel_whose_affine_has_no_volume_is_named(tmp_path, write_scan):
    flat = AFFINE.copy()
    flat[:3, 1] = flat[:3, 0]
    image = nib.Nifti1Image(volume(), flat)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "flat.nii.gz")
    with pytest.raises(ValueError, match=r"cannot read .*flat\.nii\.gz as a scan: .*an affine without volume"):
        LoadCase()([write_scan("whole.nii.gz", volume()), tmp_path / "flat.nii.gz"])


def test_a_scan_without_orientation_is_doubtful(tmp_path, caplog):
    loaded = LoadCase()(with_forms(tmp_path, AFFINE, AFFINE, (0, 0)))
    assert "does not say how the patient lies" in loaded.meta[DOUBTS] and "taken as LAS" in caplog.text


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_2d_file_is_a_scan_of_one_slice(tmp_path, ending, colours, table):
    array = np.arange(20 * colours, dtype=np.float32).reshape(4, 5, colours).squeeze()
    image = itk.image_from_array(array, is_vector=colours > 1)
    image.SetSpacing([0.5, 2.0])
    itk.imwrite(image, str(tmp_path / f"a.{ending}"))
    loaded = LoadCase()(tmp_path / f"a.{ending}")
    assert loaded.shape == (colours, 5, 4, 1)
    np.testing.assert_array_equal(loaded[..., 0], array.reshape(4, 5, colours).transpose(2, 1, 0))
    np.testing.assert_allclose(loaded.affine, np.diag([-0.5, -2.0, 1, 1]))
    if colours == 1:
        found = PreprocessCased("image", table, "prostate")({"image": loaded})["image"]
        assert found.shape[1] == 1


@pytest.mark.parametrize(
    "array",
    [volume().astype(">f4"), volume().astype(">i2"), volume()[::-1, ::-1][::-1, ::-1], volume()[::-1], volume() > 7],
    ids=["big-endian floats", "big-endian integers", "forwards", "backwards", "bool"],
)
def test_arrays_of_any_byte_order_and_stride_are_taken_as_they_read(array):
    np.testing.assert_array_equal(LoadCase()(array)[0], array.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (volume() + 1j, "complex"),
        (torch.from_numpy(volume()) + 1j, "complex"),
        (volume().astype(str), "type <U32, expected numbers"),
        (volume().astype(object), "type object, expected numbers"),
    ],
)
def test_arrays_that_hold_no_real_numbers_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        LoadCase()(array)
