"""DICOM series as they come from scanners, discs and archives: read right, or refused with the reason."""

import shutil
import subprocess
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.data import ITKReader
from monai.utils.enums import MetaKeys

from tests.dicom_files import tags, write, write_enhanced, write_series, write_slice
from uniseg_nets.io.series import dicom_series
from uniseg_nets.transforms import LoadCase, LoadCased

SHAPE = (6, 5, 10)
# Of tests/dicom_files.py: columns of 1 mm, rows of 1.5 mm, slices of 2 mm, from (-10, -20, 30) in DICOM's axes.
AFFINE = np.array([[-1.0, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1]])


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 2000, SHAPE)


def loaded(folder, modality="CT"):
    image = LoadCase([modality])(folder)
    return image[0].numpy(), image.affine.numpy()


def edit(file, **values):
    data = pydicom.dcmread(file)
    for keyword, value in values.items():
        setattr(data, keyword, value)
    data.save_as(file)


def test_a_series_has_its_values_and_its_place(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume, RescaleIntercept=-1024)
    values, affine = loaded(tmp_path)
    np.testing.assert_array_equal(values, volume - 1024)
    np.testing.assert_allclose(affine, AFFINE)
    assert dicom_series(tmp_path) == [str(file) for file in files]


def test_a_real_series_is_read_as_itk_reads_it(test_data):
    folder = test_data / "data" / "examples" / "dicom_ct"
    names = itk.GDCMSeriesFileNames.New()
    names.SetDirectory(str(folder))
    files = list(names.GetFileNames(names.GetSeriesUIDs()[0]))
    array, meta = ITKReader().get_data(itk.imread(files))
    values, affine = loaded(folder)
    np.testing.assert_array_equal(values, array)
    np.testing.assert_allclose(affine, meta[MetaKeys.AFFINE], atol=1e-6)
    assert dicom_series(folder) == files


@pytest.mark.parametrize("lost", [[4], [5, 6], [8]])
def test_missing_slices_are_refused_and_named(tmp_path, volume, lost):
    files = write_series(tmp_path, "CT", volume)
    for slice_ in lost:
        files[slice_].unlink()
    first, step = 28 + 2 * lost[0], 2 * len(lost) + 2
    with pytest.raises(
        ValueError, match=rf"2 mm apart, but {step} mm between {first} and {first + step} mm: .*missing"
    ):
        loaded(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_no_gap(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume)
    for slice_, file in enumerate(files):
        edit(file, ImagePositionPatient=[-10, -20, round(0.625 * slice_, 1)])
    assert loaded(tmp_path)[1][2, 2] == pytest.approx(0.625, abs=0.01)


def test_two_phases_of_one_series_are_refused_and_told_apart(tmp_path, volume):
    for phase in (1, 2):
        write_series(tmp_path / f"{phase}", "CT", volume, SeriesInstanceUID="1.2.3.9", AcquisitionNumber=phase)
        for file in (tmp_path / f"{phase}").iterdir():
            file.rename(tmp_path / f"{phase}-{file.name}")
    with pytest.raises(ValueError, match=r"at 10 positions and differ in AcquisitionNumber \(1: 10 slices, 2: 10 sli"):
        loaded(tmp_path)


def test_an_acquisition_per_table_position_is_one_stack(tmp_path, volume):
    write_series(tmp_path, "CT", volume, AcquisitionNumber=lambda z: z // 4)
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


def by_turns(folder, volume, keyword, thickness, turns=2):
    """One series of 2 mm steps whose attribute has the values 1, 2, ... in turn."""
    tags_ = {keyword: lambda z: 1 + z % turns, "SliceThickness": thickness}
    return write_series(folder, "MR", volume, SeriesInstanceUID="1.2.3.9", **tags_)


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "TriggerTime"])
@pytest.mark.parametrize(("thickness", "turns"), [(4, 2), (3, 2), (5, 3)])
def test_acquisitions_that_are_shifted_by_a_part_of_a_slice_are_refused(tmp_path, volume, keyword, thickness, turns):
    by_turns(tmp_path, volume, keyword, thickness, turns)
    with pytest.raises(
        ValueError, match=rf"2 mm apart and differ in {keyword} by turns \(1\S*: \d slices, 2\S*: \d sl"
    ):
        loaded(tmp_path, "T2")


@pytest.mark.parametrize("thickness", [2, 2.4, None])  # without a gap, overlapping a little, unknown
def test_an_acquisition_of_every_second_slice_first_is_one_stack(tmp_path, volume, thickness):
    by_turns(tmp_path, volume, "AcquisitionNumber", thickness)
    np.testing.assert_array_equal(loaded(tmp_path, "T2")[0], volume)


@pytest.mark.parametrize(
    "values",
    [
        {"AcquisitionNumber": lambda z: z // 5},  # table positions
        {"AcquisitionNumber": lambda z: [1, 2, 1, 2, 1, 2, 1, 2, 2, 1][z]},
        {"AcquisitionNumber": lambda z: 1 + (z == 4)},
        {"TriggerTime": lambda z: 10.5 * z, "EchoTime": lambda z: 4 + 0.01 * (z * 7 % 10)},  # of each slice its own
        {"TriggerTime": lambda z: 100 * (z % 5)},  # each heart phase twice
        {"EchoTime": lambda z: [90.0, 90.1][z % 2]},  # rounded
        {"ImageType": lambda z: ["ORIGINAL", "PRIMARY", "M", "ND" if z < 3 else "NORM"]},
        {},
    ],
)
def test_overlapping_slices_of_one_acquisition_are_one_stack(tmp_path, volume, values):
    write_series(tmp_path, "CT", volume, SliceThickness=4, **values)
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


def test_a_slice_that_is_there_twice_is_refused_and_named(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume)
    (tmp_path / "copy.dcm").write_bytes(files[3].read_bytes())
    with pytest.raises(ValueError, match=rf"{files[3].name} and copy.dcm are the same image \(at 36 mm\)"):
        loaded(tmp_path)
    edit(tmp_path / "copy.dcm", SOPInstanceUID="1.2.3.99")
    with pytest.raises(ValueError, match=r"several images lie at 36 mm, such as .*copy\.dcm"):
        loaded(tmp_path)


def test_a_tilted_gantry_shears_the_affine(tmp_path, volume, caplog):
    angle = np.radians(20)
    write_series(tmp_path, "CT", volume, step=(0, 2 * np.sin(angle), 2 * np.cos(angle)))
    values, affine = loaded(tmp_path)
    np.testing.assert_array_equal(values, volume)
    np.testing.assert_allclose(affine @ [0, 0, 9, 1], [10, 20 - 18 * np.sin(angle), 30 + 18 * np.cos(angle), 1])
    # The volume of a voxel: 1 x 1.5 mm, and the distance of the slices along their normal.
    assert abs(np.linalg.det(affine[:3, :3])) == pytest.approx(3 * np.cos(angle))
    assert "tilted by 20.0 degrees" in caplog.text


def test_an_oblique_series_is_not_sheared(tmp_path, volume, caplog):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # right-handed
    write_series(tmp_path, "CT", volume, step=2 * turn[2], orientation=turn[:2].ravel().tolist())
    affine = loaded(tmp_path)[1][:3, :3]
    np.testing.assert_allclose(affine.T @ affine, np.diag([1, 2.25, 4]), atol=1e-6)
    assert "tilted" not in caplog.text


def test_localisers_among_the_slices_are_left_out(tmp_path, volume, caplog):
    write_series(tmp_path, "CT", volume, SeriesInstanceUID="1.2.3.9")
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesInstanceUID": "1.2.3.9", "SeriesNumber": 1}
    write_slice(tmp_path / "scout.dcm", np.zeros((9, 9)), "CT", (0, 0, 0), orientation=(0, 1, 0, 0, 0, -1), **scout)
    values, affine = loaded(tmp_path)
    np.testing.assert_array_equal(values, volume)
    np.testing.assert_allclose(affine, AFFINE)
    assert "left out the localisers scout.dcm" in caplog.text


def compress(file):
    """Stores a slice's pixels as lossless JPEG, as archives do; ITK's encoder makes them."""
    data = pydicom.dcmread(file)
    writer = itk.GDCMImageIO.New()
    writer.SetCompressionType(itk.GDCMImageIOEnums.Compression_JPEG)
    place = str(file.with_suffix(".jpeg.dcm"))
    image = itk.image_from_array(data.pixel_array)
    itk.ImageFileWriter.New(image, FileName=place, UseCompression=True, ImageIO=writer).Update()
    made = pydicom.dcmread(place)
    file.with_suffix(".jpeg.dcm").unlink()
    data.file_meta.TransferSyntaxUID = made.file_meta.TransferSyntaxUID
    data.PixelData = made.PixelData
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.save_as(file)
    return str(made.file_meta.TransferSyntaxUID)


def test_pixels_in_lossless_jpeg_are_read_as_they_were(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume, RescaleIntercept=-1024, RescaleSlope=2)
    assert {compress(file) for file in files} == {"1.2.840.10008.1.2.4.70"}
    values, affine = loaded(tmp_path)
    np.testing.assert_array_equal(values, 2 * volume - 1024)
    np.testing.assert_allclose(affine, AFFINE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "differ in ImageOrientationPatient"),
        ({"PixelSpacing": [1.5, 1.1]}, "differ in PixelSpacing"),
        ({"FrameOfReferenceUID": "9.9"}, "differ in FrameOfReferenceUID"),
        ({"Rows": 4, "PixelData": bytes(48)}, "differ in Rows"),
    ],
)
def test_slices_of_two_stacks_are_refused_and_named(tmp_path, volume, change, reason):
    files = write_series(tmp_path, "CT", volume)
    edit(files[6], **change)
    with pytest.raises(ValueError, match=rf"{reason}: .* \(9 of 10, .* \(1 of 10, such as {files[6].name}\)"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"ImageOrientationPatient": [1, 0, 0, 0.6, 0.8, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1.5, 0]},
        {"ImageOrientationPatient": [0.5, 0, 0, 0, 1, 0]},
        {"PixelSpacing": [1.5, 0]},
        {"PixelSpacing": [-1.5, 1]},
    ],
)
def test_directions_and_distances_that_span_no_grid_are_refused(tmp_path, volume, change):
    for file in write_series(tmp_path, "CT", volume):
        edit(file, **change)
    with pytest.raises(ValueError, match="expected two unit vectors at a right angle and distances above 0"):
        loaded(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_slice_without_a_place_is_refused_and_named(tmp_path, volume, keyword):
    files = write_series(tmp_path, "CT", volume)
    edit(files[6], **{keyword: None})
    with pytest.raises(ValueError, match=rf"cannot read {tmp_path} as a scan: {files[6].name} has no {keyword}"):
        loaded(tmp_path)


def test_a_slice_thickness_that_varies_by_rounding_splits_no_series(tmp_path, volume):
    write_series(tmp_path, "CT", volume, SliceThickness=lambda z: 2.01 if z % 3 == 0 else 2.0)
    assert loaded(tmp_path)[0].shape == SHAPE


def test_every_slice_has_its_own_slope(tmp_path):
    slopes = [1, 0.37, 0.11, 2.5]
    stored = np.broadcast_to(np.array([0, 3, 5, 7]), (6, 5, 4))
    write_series(tmp_path, "MR", stored, RescaleSlope=lambda z: slopes[z])
    np.testing.assert_allclose(loaded(tmp_path, "T2")[0][0, 0], [0, 1.11, 0.55, 17.5], rtol=1e-6)


def test_values_above_the_range_of_16_bits_do_not_wrap(tmp_path):
    write_series(tmp_path, "CT", np.full((6, 5, 3), 30000), RescaleSlope=lambda z: z + 1, PixelRepresentation=1)
    assert loaded(tmp_path)[0][0, 0].tolist() == [30000, 60000, 90000]


def test_a_slope_that_loses_the_values_is_refused(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume, RescaleSlope=lambda z: 0 if z == 2 else 1)
    with pytest.raises(ValueError, match=rf"{files[2].name} has RescaleSlope 0\.0"):
        loaded(tmp_path)


def test_monochrome1_changes_no_hounsfield_unit(tmp_path, volume):
    write_series(tmp_path, "CT", volume, RescaleIntercept=-1024, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume - 1024)


def test_overlays_in_the_upper_bits_are_no_values(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume)
    for file in files:
        pixels = pydicom.dcmread(file).pixel_array | 0x1000
        edit(file, BitsStored=12, HighBit=11, PixelData=pixels.astype(np.uint16).tobytes())
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


def test_negative_stored_values_keep_their_sign(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume)
    for file in files:
        pixels = (pydicom.dcmread(file).pixel_array.astype(np.int16) - 1000) & 0x0FFF
        edit(file, BitsStored=12, HighBit=11, PixelRepresentation=1, PixelData=pixels.astype(np.uint16).tobytes())
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume - 1000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "3 samples per pixel"),
        ({"ModalityLUTSequence": [tags(LUTDescriptor=[2, 0, 16], LUTData=bytes(4))]}, "ModalityLUTSequence"),
        ({"PixelData": bytes(8)}, r"the pixels of .* cannot be read"),
    ],
)
def test_pixels_that_are_no_values_are_refused(tmp_path, volume, change, reason):
    files = write_series(tmp_path, "CT", volume)
    edit(files[1], **change)
    with pytest.raises(ValueError, match=reason):
        loaded(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"BitsStored": None, "PixelRepresentation": None}, "it has no BitsStored and no PixelRepresentation: export"),
        ({"BitsAllocated": None}, "it has no BitsAllocated: export the series again"),
        ({"BitsStored": 17}, "BitsStored 17, .*: expected 8, 16 or 32 bits"),
        ({"BitsStored": 12, "HighBit": 5}, "BitsStored 12, PixelRepresentation 0, HighBit 5: expected"),
        ({"BitsStored": 12, "HighBit": 20}, "HighBit 20: expected"),
        ({"PixelRepresentation": 3}, "PixelRepresentation 3, .* expected .* PixelRepresentation 0 or 1"),
    ],
)
def test_a_header_that_does_not_say_which_bits_are_numbers_is_refused(tmp_path, volume, compressed, change, reason):
    for file in write_series(tmp_path, "CT", volume):
        data = pydicom.dcmread(file)
        if compressed:
            data.compress(pydicom.uid.RLELossless)
        for keyword, value in change.items():
            data.pop(keyword)
            if value is not None:
                setattr(data, keyword, value)
        data.save_as(file)
    with pytest.raises(ValueError, match=rf"the pixels of IM\d+-0\.dcm cannot be read: .*{reason}"):
        loaded(tmp_path)


@pytest.mark.parametrize(("stored", "high"), [(12, None), (16, None), (16, 11)])
def test_a_missing_high_bit_follows_from_the_number_of_bits(tmp_path, volume, stored, high):
    for file in write_series(tmp_path, "CT", volume, BitsStored=stored, HighBit=15):
        data = pydicom.dcmread(file)
        data.HighBit = high
        data.PixelData = np.frombuffer(data.PixelData, np.uint16).__or__(0xF000 if stored == 12 else 0).tobytes()
        data.save_as(file)
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


@pytest.mark.parametrize("kind", ["1.2.840.10008.5.1.4.1.1.7", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.5"])
def test_a_series_of_any_kind_of_image_is_read(tmp_path, volume, kind):
    write_series(tmp_path, "CT", volume, SOPClassUID=kind)
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


def test_frames_of_an_enhanced_file_are_sorted_and_scaled_each(tmp_path, volume):
    order, slopes = [3, 0, 9, 1, 2, 8, 4, 7, 5, 6], np.linspace(0.5, 2, 10)
    write_enhanced(tmp_path / "enhanced.dcm", volume, order, slopes)
    values, affine = loaded(tmp_path, "T2")
    np.testing.assert_allclose(values, volume * slopes, rtol=1e-5)
    np.testing.assert_allclose(affine, AFFINE)
    assert dicom_series(tmp_path, "MR") == [str(tmp_path / "enhanced.dcm")]


def test_an_enhanced_file_with_a_missing_frame_or_without_positions_is_refused(tmp_path, volume):
    write_enhanced(tmp_path / "a" / "enhanced.dcm", volume, [0, 1, 2, 4, 5], np.ones(10))
    with pytest.raises(ValueError, match="4 mm between 34 and 38 mm"):
        loaded(tmp_path / "a", "T2")
    write_enhanced(tmp_path / "b" / "cine.dcm", volume, range(10), np.ones(10), PerFrameFunctionalGroupsSequence=[])
    with pytest.raises(ValueError, match=r"cine\.dcm holds 10 frames without positions"):
        loaded(tmp_path / "b", "T2")


def test_a_single_slice_has_its_thickness_as_depth(tmp_path, volume):
    file = write_series(tmp_path, "CT", volume[..., :1])[0]
    assert loaded(tmp_path)[1][2, 2] == 2
    for thickness in (None, -2):
        edit(file, SliceThickness=thickness)
        with pytest.raises(ValueError, match="single slice without SliceThickness"):
            loaded(tmp_path)


def test_of_a_disc_the_largest_series_of_the_modality_is_read(tmp_path, volume, caplog):
    write_series(tmp_path / "DICOM" / "S1", "CT", volume[..., :4], SeriesDescription="thick")
    write_series(tmp_path / "DICOM" / "S2", "CT", volume, SeriesDescription="thin")
    write_series(tmp_path / "DICOM" / "S3", "MR", np.concatenate([volume, volume], axis=2))
    index = pydicom.dcmread(next((tmp_path / "DICOM" / "S1").iterdir()))
    index.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    write(tmp_path / "DICOMDIR", index)
    (tmp_path / "AUTORUN.INF").write_text("open=viewer.exe")
    for file in (tmp_path / "DICOM").rglob("*.dcm"):
        file.rename(file.with_suffix(""))
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)
    assert "has 3 DICOM series" in caplog.text and "took CT 'thin'" in caplog.text


def test_series_of_two_patients_are_no_case(tmp_path, volume):
    write_series(tmp_path, "CT", volume, PatientID="one")
    write_series(tmp_path / "other", "MR", volume, PatientID="two")
    for file in (tmp_path / "other").iterdir():
        file.rename(tmp_path / f"other-{file.name}")
    with pytest.raises(ValueError, match="series of 2 patients"):
        loaded(tmp_path)


@pytest.mark.parametrize("uid", ["1.2.3.9", None])
def test_slices_of_two_patients_in_one_series_are_refused_and_files_named(tmp_path, volume, uid):
    files = write_series(
        tmp_path, "CT", volume, SeriesInstanceUID=uid, PatientID=lambda z: "Smith 17 " if z < 6 else "Jones 18"
    )
    with pytest.raises(ValueError, match="series of 2 patients") as refused:
        loaded(tmp_path)
    assert files[0].name in str(refused.value) and files[6].name in str(refused.value)
    assert "Smith" not in str(refused.value) and "Jones" not in str(refused.value)


def test_slices_that_lost_their_patient_s_identifier_are_of_no_other_patient(tmp_path, volume):
    write_series(tmp_path, "CT", volume, PatientID=lambda z: ["one", "", None, " one"][z % 4])
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)


def test_reports_and_segmentations_beside_a_series_are_no_slices(tmp_path, volume):
    write_series(tmp_path, "CT", volume)
    for name, modality, values in (("dose", "RTDOSE", {}), ("seg", "SEG", {}), ("sr", "SR", {"Rows": None})):
        write_slice(tmp_path / f"{name}.dcm", np.zeros((5, 6)), "CT", (0, 0, 0))
        edit(tmp_path / f"{name}.dcm", Modality=modality, NumberOfFrames=1, **values)
    assert loaded(tmp_path)[0].shape == SHAPE and LoadCase()(tmp_path).shape == (1, *SHAPE)


def test_a_damaged_file_of_a_series_is_named(tmp_path, volume):
    files = write_series(tmp_path, "CT", volume)
    files[9].write_text("no image at all")
    with pytest.raises(ValueError, match=rf"{files[9].name} cannot be read as DICOM"):
        loaded(tmp_path)


@pytest.mark.parametrize("name", ["IM3", "IM.0003", "1.2.840.3", "a.dcm"])
def test_a_link_to_a_file_that_is_gone_is_a_slice_if_its_name_is_one(tmp_path, volume, name):
    write_series(tmp_path, "CT", volume)
    for other in ("report.pdf", "viewer.exe", "notes.txt"):
        (tmp_path / other).symlink_to("nowhere")
    np.testing.assert_array_equal(loaded(tmp_path)[0], volume)
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(ValueError, match=rf"{name} cannot be read as DICOM"):
        loaded(tmp_path)


@pytest.mark.parametrize(("stored", "wanted"), [("CT", "T2"), ("MR", "CT"), ("PT", "CT")])
def test_a_single_series_of_another_modality_is_refused(tmp_path, volume, stored, wanted):
    write_series(tmp_path, stored, volume, SeriesDescription="it")
    with pytest.raises(ValueError, match=rf"holds {stored} 'it' of 10 slices, but no (CT|MR) series"):
        loaded(tmp_path, wanted)


def test_a_ct_is_not_taken_for_the_pet_of_a_case(tmp_path, volume):
    write_series(tmp_path, "CT", volume)
    with pytest.raises(ValueError, match="but no PT series, which the task reads"):
        LoadCased("image", ["CT", "PET"])({"image": tmp_path})


PET = {
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["ATTN", "DECY", "SCAT"],
    "PatientWeight": 70,
    "SeriesDate": "20200101",
    "SeriesTime": "103000",
    "AcquisitionDate": "20200101",
    "AcquisitionTime": "103000",
}


def tracer(**values):
    injection = {
        "RadionuclideTotalDose": 4e8,
        "RadionuclideHalfLife": 6586.2,
        "RadiopharmaceuticalStartTime": "093000.00",
    }
    found = {key: value for key, value in {**injection, **values}.items() if value is not None}
    return {"RadiopharmaceuticalInformationSequence": [tags(**found)]}


# Body weight in g over the dose in Bq that is left after an hour.
LEFT = 70e3 / (4e8 * 2 ** (-3600 / 6586.2))


@pytest.mark.parametrize(
    ("change", "injection", "factor"),
    [
        ({}, {}, LEFT),
        ({"DecayCorrection": "ADMIN"}, {}, 70e3 / 4e8),
        ({"SeriesTime": "120000"}, {}, LEFT),  # a series made afterwards: the first acquisition counts
        ({"AcquisitionTime": "104500"}, {}, LEFT),  # a bed that is scanned later, corrected to the start
        ({"SeriesTime": "003000", "AcquisitionTime": "003000"}, {"RadiopharmaceuticalStartTime": "233000"}, LEFT),
        ({}, {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20200101093000.0+0100"}, LEFT),
        (
            {},
            {"RadiopharmaceuticalStartDateTime": "20191230103000", "RadionuclideHalfLife": 48 * 3600.0},
            70e3 / 4e8 * 2,
        ),
        ({"Units": "GML", "DecayCorrection": None}, {"RadionuclideTotalDose": None}, 1),
        # A newborn, a heavy patient, rubidium 82, a late image.
        ({"PatientWeight": 3.2}, {"RadionuclideTotalDose": 26e6}, LEFT * 3.2 / 70 * 400 / 26),
        ({"PatientWeight": 230}, {"RadionuclideTotalDose": 9e8}, LEFT * 230 / 70 * 4 / 9),
        (
            {"PatientWeight": 45},
            {
                "RadionuclideTotalDose": 2.2e9,
                "RadionuclideHalfLife": 75.0,
                "RadiopharmaceuticalStartTime": "102730.0",
            },
            45e3 / 2.2e9 * 4,
        ),
        ({}, {"RadiopharmaceuticalStartTime": "043000"}, 70e3 / (4e8 * 2 ** (-6 * 3600 / 6586.2))),
    ],
)
def test_pet_is_read_as_suv_by_body_weight(tmp_path, volume, change, injection, factor):
    slopes = np.linspace(0.3, 3, 10)
    write_series(
        tmp_path, "PT", volume, **{**PET, **tracer(**injection), **change, "RescaleSlope": lambda z: slopes[z]}
    )
    np.testing.assert_allclose(loaded(tmp_path, "PET")[0], volume * slopes * factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "injection", "reason"),
    [
        ({"Units": "CNTS"}, {}, "Units 'CNTS' and DecayCorrection 'START', expected BQML"),
        ({"Units": "CPS"}, {}, "Units 'CPS'"),
        ({"Units": "GML", "SUVType": "LBM"}, {}, "Units 'GML'"),
        ({"DecayCorrection": "NONE"}, {}, "DecayCorrection 'NONE'"),
        ({"CorrectedImage": ["DECY"]}, {}, "expected ATTN and DECY"),
        ({"PatientWeight": None}, {}, "lacks what SUV is computed from: PatientWeight"),
        ({"PatientWeight": 0}, {}, "weight 0 kg"),
        ({}, {"RadionuclideTotalDose": None}, "lacks what SUV is computed from: RadionuclideTotalDose"),
        ({}, {"RadionuclideHalfLife": None}, "lacks what SUV is computed from: RadionuclideHalfLife"),
        ({}, {"RadiopharmaceuticalStartTime": None}, "lacks .*: RadiopharmaceuticalStartTime"),
        ({"SeriesTime": None, "AcquisitionTime": None}, {}, "lacks .*: AcquisitionTime"),
        ({"RadiopharmaceuticalInformationSequence": []}, {}, "lacks .*: RadiopharmaceuticalInformationSequence"),
        ({}, {"RadionuclideTotalDose": 400.0}, "dose 400 Bq"),
        ({}, {"RadionuclideHalfLife": 280000.0}, "lacks .*: RadiopharmaceuticalStartDateTime"),
        ({}, {"RadionuclideHalfLife": 45720.0}, "lacks .*: RadiopharmaceuticalStartDateTime"),  # copper 64
        ({}, {"RadiopharmaceuticalStartDateTime": "20200101113000"}, "begins before RadiopharmaceuticalStartDateTime"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20190101093000"}, "wrong times"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20191231193000"}, "54000 s from injection .* wrong times"),
        ({}, {"RadiopharmaceuticalStartTime": "103500"}, "begins 300 s before the injection, or 23.9 hours after it"),
        ({}, {"RadiopharmaceuticalStartTime": "200000"}, "or 14.5 hours after it"),
        ({}, {"RadionuclideHalfLife": 109.8}, "3600 s from injection to scan at a half-life of 109.8 s: wrong times"),
        ({}, {"RadionuclideTotalDose": 1e12}, r"dose 1e\+12 Bq"),
        ({}, {"RadionuclideTotalDose": 4e5}, r"dose 400000 Bq"),  # kBq
        ({}, {"RadionuclideTotalDose": float("nan")}, r"dose nan Bq"),
        ({"PatientWeight": 700}, {}, "weight 700 kg: .* a weight of 1 to 350 kg"),
        ({"PatientWeight": 70000}, {}, "weight 70000 kg"),  # g
        ({"PatientWeight": 3}, {"RadionuclideHalfLife": 75.0}, r"weight 3 kg: .* at most 1e\+08 Bq per kg"),
        ({"PatientWeight": 10}, {}, r"weight 10 kg: .* at most 3e\+07 Bq per kg"),
        ({}, {"RadionuclideTotalDose": 3.5e9}, r"dose 3\.5e\+09 Bq, .* at most 3e\+07 Bq per kg"),  # 350 MBq
    ],
)
def test_a_pet_that_cannot_become_suv_is_refused_with_the_reason(tmp_path, volume, change, injection, reason):
    write_series(tmp_path, "PT", volume, **{**PET, **tracer(**injection), **change})
    with pytest.raises(ValueError, match=reason):
        loaded(tmp_path, "PET")


def study(folder, volume, **pet):
    write_series(folder, "CT", volume, RescaleIntercept=-1024)
    for number, corrections in ((1, ["DECY"]), (2, ["ATTN", "DECY"])):
        values = {**PET, **tracer(), "SeriesNumber": 2 + number, "CorrectedImage": corrections, **pet}
        write_series(folder / "pet", "PT", volume, SeriesDescription=f"PET {number}", **values)
        for file in (folder / "pet").iterdir():
            file.rename(folder / f"pet{number}-{file.name}")
    (folder / "pet").rmdir()
    return folder


def test_ct_and_corrected_pet_of_one_study_are_two_channels(tmp_path, volume, caplog):
    image = LoadCase(["CT", "PET"])(study(tmp_path, volume))
    np.testing.assert_array_equal(image[0], volume - 1024)
    np.testing.assert_allclose(image[1], volume * LEFT, rtol=1e-5)
    assert "took CT" in caplog.text and "took PT 'PET 2'" in caplog.text
    files = [Path(file) for modality in ("CT", "PT") for file in dicom_series(tmp_path, modality)]
    assert [file.name[:4] for file in files] == ["IM0" + file.name[3:4] for file in files[:10]] + ["pet2"] * 10


def test_channels_of_two_frames_of_reference_are_refused(tmp_path, volume):
    study(tmp_path, volume, FrameOfReferenceUID="9.9")
    with pytest.raises(ValueError, match="differ in FrameOfReferenceUID"):
        LoadCase(["CT", "PET"])(tmp_path)


def oblique(folder, volume):
    turn = [0.8, 0.6, 0, -0.48, 0.64, 0.6]
    write_series(folder, "CT", volume, step=2 * np.cross(turn[:3], turn[3:]), orientation=turn)


def own_slopes(folder, volume):
    write_series(folder, "MR", volume, RescaleSlope=lambda z: 0.5 + z / 4)


def enhanced(folder, volume):
    write_enhanced(folder / "enhanced.dcm", volume, range(10), np.full(10, 0.5))


# Of a tilted gantry, dcm2niix squares the affine and resamples to another file.
@pytest.mark.parametrize("make", [oblique, own_slopes, enhanced, "dicom_ct"])
def test_dcm2niix_reads_the_same_values_at_the_same_place(tmp_path, volume, request, make):
    program = shutil.which("dcm2niix")
    if not program:
        pytest.skip("a second reader: pip install dcm2niix")
    folder = tmp_path / "series"
    if callable(make):
        make(folder, volume)
    else:
        folder = request.getfixturevalue("test_data") / "data" / "examples" / make
    (tmp_path / "out").mkdir()
    subprocess.run([program, "-z", "n", "-f", "peer", "-o", tmp_path / "out", folder], check=True, capture_output=True)
    peer = nib.as_closest_canonical(nib.load(tmp_path / "out" / "peer.nii"))
    image = LoadCase()(folder)
    own = nib.as_closest_canonical(nib.Nifti1Image(image[0].numpy(), image.affine.numpy()))
    np.testing.assert_allclose(own.get_fdata(), peer.get_fdata(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(own.affine, peer.affine, atol=1e-3)
