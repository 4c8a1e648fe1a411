"""Sunnybrook Cardiac Data on a miniature of its layout, with short-axis slices that lie obliquely, as real ones do."""

import re
import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.dicom_files import write_slice
from uniseg_nets.data import load_datalist
from uniseg_nets.prepare import prepare

PHASES, SLICES, STEP = 4, 5, 8.0
ROW, COLUMN = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
NORMAL = np.cross(ROW, COLUMN)
FIRST = np.array([10.0, -20.0, 30.0])
ED, ES = 3, 1  # phases: the last and the second


def frame(slice_, phase):
    """The number of a frame in its series."""
    return slice_ * PHASES + phase + 1


def outline(folder, number, half):
    """A square around column 12, row 8."""
    folder.mkdir(parents=True, exist_ok=True)
    corners = [(12 - half, 8 - half), (12 + half, 8 - half), (12 + half, 8 + half), (12 - half, 8 + half)]
    file = folder / f"IM-0001-{number:04d}-icontour-manual.txt"
    file.write_text("\n".join(f"{x:.2f} {y:.2f}" for x, y in corners))
    return file


def add_patient(raw, number, identity, series="CINESAX_300"):
    """Five slices of four frames; end-diastole is outlined on slices 1 to 4, end-systole on 1 to 3."""
    images = raw / "SCD_IMAGES_01" / f"SCD00{number:02d}101" / series
    rng = np.random.default_rng(number)
    for slice_ in range(SLICES):
        for phase in range(PHASES):
            file = images / f"IM-0003-{frame(slice_, phase):04d}.dcm"
            pixels = rng.integers(0, 200, (16, 24))
            pixels[8, 12] = 1000 + frame(slice_, phase)
            position = FIRST + slice_ * STEP * NORMAL
            write_slice(
                file, pixels, "MR", position, (1.5, 1.25, STEP), (*ROW, *COLUMN), SeriesInstanceUID=f"1.2.{number}"
            )
    outlines = (
        raw / "SCD_ManualContours" / f"{identity[:-1]}{int(identity[-1]):02d}" / "contours-manual" / "IRCCI-expert"
    )
    for slice_ in range(1, 5):
        outline(outlines, frame(slice_, ED), 4.5)
    for slice_ in range(1, 4):
        outline(outlines, frame(slice_, ES), 2.5)
    with (raw / "scd_patientdata.csv").open("a") as table:
        table.write(f"SCD00{number:02d}101,{identity},Male,50,Normal\n")
    return images, outlines


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "scd_patientdata.csv").write_text("PatientID,OriginalID,Gender,Age,Pathology\n")
    for number, identity in enumerate(["SC-HF-I-1", "SC-N-9", "SC-HYP-3"], start=1):
        add_patient(folder, number, identity)
    return folder


def all_cases(path):
    return {case["name"]: case for section in ("training", "validation") for case in load_datalist(path, section)}


def test_both_phases_become_stacks_of_the_slices_that_are_outlined(raw, tmp_path, open_tasks):
    cases = all_cases(prepare("sunnybrook", raw, tmp_path / "out", open_tasks))
    assert sorted(cases) == [
        f"{who}_{phase}" for who in ("SC-HF-I-01", "SC-HYP-03", "SC-N-09") for phase in ("ED", "ES")
    ]
    for phase, slices, half in ((ED, [1, 2, 3, 4], 4.5), (ES, [1, 2, 3], 2.5)):
        case = cases[f"SC-HF-I-01_{'ED' if phase == ED else 'ES'}"]
        scan, label = nib.load(case["image"]), nib.load(case["label"])
        image, mask = np.asarray(scan.dataobj), np.asarray(label.dataobj)
        assert image.shape == mask.shape == (24, 16, len(slices)) and scan.get_data_dtype() == np.int16
        assert [int(value) - 1000 for value in image[12, 8]] == [frame(slice_, phase) for slice_ in slices]
        assert (mask.sum(axis=(0, 1)) == (2 * half) ** 2).all() and mask[12, 8].all()
        # The square's middle, on the first slice, is where DICOM says that this pixel is.
        place = (FIRST + slices[0] * STEP * NORMAL + 12 * 1.25 * ROW + 8 * 1.5 * COLUMN) * [-1, -1, 1]
        np.testing.assert_allclose(scan.affine @ [12, 8, 0, 1], [*place, 1], atol=1e-4)
        np.testing.assert_allclose(scan.header.get_zooms(), (1.25, 1.5, STEP), rtol=1e-5)


def test_three_points_are_an_outline(raw, tmp_path, open_tasks):
    outlines = raw / "SCD_ManualContours" / "SC-N-09" / "contours-manual" / "IRCCI-expert"
    outline(outlines, frame(1, ES), 3).write_text("8 4\n16 4\n8 12")
    cases = all_cases(prepare("sunnybrook", raw, tmp_path / "out", open_tasks))
    mask = np.asarray(nib.load(cases["SC-N-09_ES"]["label"]).dataobj)[..., 0]
    assert mask[9, 5] and not mask[15, 11] and 24 <= mask.sum() <= 40  # half of 8 by 8 pixels


def test_both_phases_of_a_patient_stand_on_one_side(raw, tmp_path, open_tasks):
    path = prepare("sunnybrook", raw, tmp_path / "out", open_tasks, validation_share=0.34)
    groups = [{case["group"] for case in load_datalist(path, section)} for section in ("training", "validation")]
    assert len(groups[0]) == 2 and len(groups[1]) == 1 and not groups[0] & groups[1]


def test_a_stack_with_a_gap_is_left_out_and_named(raw, tmp_path, open_tasks, caplog):
    outlines = raw / "SCD_ManualContours" / "SC-N-09" / "contours-manual" / "IRCCI-expert"
    (outlines / f"IM-0001-{frame(2, ES):04d}-icontour-manual.txt").unlink()
    cases = all_cases(prepare("sunnybrook", raw, tmp_path / "out", open_tasks))
    assert "SC-N-09_ES" not in cases and "SC-N-09_ED" in cases
    assert "SC-N-09_ES is left out: outlined are the slices at" in caplog.text


def test_the_series_that_has_the_outlined_frames_is_taken(raw, tmp_path, open_tasks):
    scout = raw / "SCD_IMAGES_01" / "SCD0001101" / "CINESAX_2"
    write_slice(scout / "IM-0001-0001.dcm", np.zeros((16, 24)), "MR", FIRST)
    assert len(all_cases(prepare("sunnybrook", raw, tmp_path / "out", open_tasks))) == 6


def test_series_that_both_have_the_outlined_frames_are_warned_of(raw, tmp_path, open_tasks, caplog):
    images = raw / "SCD_IMAGES_01" / "SCD0001101"
    shutil.copytree(images / "CINESAX_300", images / "CINESAX_400")
    prepare("sunnybrook", raw, tmp_path / "out", open_tasks)
    warnings = [record.getMessage() for record in caplog.records if "outlined frames" in record.getMessage()]
    (text,) = warnings
    assert "SC-HF-I-01" in text and re.search(r"CINESAX_300, .*CINESAX_400 all have", text) and "first is read" in text


def test_patients_without_images_are_left_out_and_named(raw, tmp_path, open_tasks, caplog):
    (raw / "SCD_IMAGES_01" / "SCD0002101").rename(tmp_path / "elsewhere")
    cases = all_cases(prepare("sunnybrook", raw, tmp_path / "out", open_tasks))
    assert len(cases) == 4 and "no images of 1 patients, left out: SC-N-09" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda i, o: (i / f"IM-0003-{frame(1, ED):04d}.dcm").unlink(), "no series of .*CINESAX_300 has all frames"),
        (lambda i, o: outline(o, 99, 3), "no series of .* has all frames that are outlined"),
        (lambda i, o: outline(o, frame(1, ED), 3).write_text("a b"), r"0008-icon.*\.txt is no outline"),
        (lambda i, o: outline(o, frame(1, ED), 3).write_text("1 2\n3 4"), r"three points or more"),
        (lambda i, o: (i / "IM-0003-0001.dcm").write_text("text"), r"cannot read .*0001\.dcm as DICOM"),
        (lambda i, o: o.parents[1].rename(o.parents[2] / "SC-X-01"), "no OriginalID for SC-X-01"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(raw, tmp_path, open_tasks, spoil, message):
    images = raw / "SCD_IMAGES_01" / "SCD0001101" / "CINESAX_300"
    spoil(images, raw / "SCD_ManualContours" / "SC-HF-I-01" / "contours-manual" / "IRCCI-expert")
    with pytest.raises(ValueError, match=message):
        prepare("sunnybrook", raw, tmp_path / "out", open_tasks)
    assert not (tmp_path / "out").exists()


def test_the_table_of_patients_is_needed(raw, tmp_path, open_tasks):
    (raw / "scd_patientdata.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no scd_patientdata\.csv in"):
        prepare("sunnybrook", raw, tmp_path / "out", open_tasks)
