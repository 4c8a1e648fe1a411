import csv
import json

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from tests.browser import opened
from tests.dicom_files import write_series
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.reports import ReportCased
from uniseg_nets.reports.page import write_page
from uniseg_nets.reports.preview import PreviewRow, save_preview
from uniseg_nets.reports.run import write_report
from uniseg_nets.reports.statistics import label_statistics
from uniseg_nets.reports.views import Views
from uniseg_nets.transforms import LoadCase, SaveLabelMapd


def test_statistics_tell_present_cut_and_absent_apart():
    label = np.zeros((10, 10, 10), np.uint8)
    label[4:6, 4:6, 4:6] = 1
    label[0:2, 4:6, 4:6] = 2
    image = np.full(label.shape, 40.0)
    image[4, 4, 4] = 80
    rows = label_statistics(label, image, (2, 2, 5), {1: "liver", 2: "spleen", 3: "tumour"})
    assert [row["status"] for row in rows] == ["present", "truncated", "absent"]
    assert rows[0]["voxels"] == 8 and rows[0]["volume_ml"] == pytest.approx(0.16)
    assert rows[0]["mean"] == pytest.approx(45) and rows[2]["mean"] is None
    image[4, 4, 4] = 41  # figures have three decimals
    row = label_statistics(label, image, (0.75, 0.75, 1), {1: "liver"})[0]
    assert (row["mean"], row["std"], row["volume_ml"]) == (40.125, 0.331, 0.004)
    with pytest.raises(ValueError, match="label map has size"):
        label_statistics(label[1:], image, (1, 1, 1), {1: "liver"})


def test_planes_show_anterior_up_and_the_patient_s_right_on_the_left():
    image = np.zeros((20, 20, 20))
    image[15:, 10:, :] = 100  # right and anterior
    views = Views(image, np.zeros(image.shape, np.uint8), (1, 1, 1), {1: "liver"})
    axial = np.asarray(views.plane(2, 10).convert("L"), dtype=float)
    half = axial.shape[0] // 2
    assert axial[:half, :half].mean() > 50 > axial[half:, half:].mean()


@pytest.fixture
def run(tmp_path, table, demo_weights):
    names = write_phantoms(tmp_path / "scans", table.one("whole_body_tumour"), 2, seed=7)
    options = {"task": "whole_body_tumour", "output_dir": str(tmp_path / "out"), "report": True}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], dataset_dir=str(tmp_path / "scans"), **options)
    return tmp_path / "out", names


def test_a_run_leaves_statistics_previews_and_a_page(run):
    folder, names = run
    rows = list(csv.DictReader((folder / "statistics.csv").open()))
    assert [row["case"] for row in rows] == names
    label = nib.load(folder / f"{names[0]}.nii.gz")
    voxels = int((np.asarray(label.dataobj) == 17).sum())
    assert int(rows[0]["voxels"]) == voxels
    millilitres = voxels * np.prod(label.header.get_zooms()) / 1000
    assert float(rows[0]["volume_ml"]) == pytest.approx(millilitres, rel=1e-3)
    assert json.loads((folder / "statistics.json").read_text())[1]["case"] == names[1]
    colours = np.asarray(Image.open(folder / "report" / f"{names[0]}.png")).reshape(-1, 3).astype(int)
    assert (np.ptp(colours, axis=1) > 40).any()  # the overlay is coloured, scans are grey
    page = (folder / "report.html").read_text()
    assert all(name in page for name in names) and "default-src 'none'" in page


def test_a_page_shows_earlier_cases_in_the_words_of_version_0_8(tmp_path):
    row = {"class": "liver", "value": 1, "voxels": 8, "volume_ml": 1.0, "mean": 40.0}
    rows = {"new": {"status": "present", "std": 2.0}, "old": {"status": "cut", "deviation": 3.0}}
    (tmp_path / "report").mkdir()
    for name, more in rows.items():
        record = {"name": name, "task": "liver", "classes": [row | more], "slices": []}
        (tmp_path / "report" / f"{name}.json").write_text(json.dumps(record))
        beside = {"task": "liver", "label_map": f"{name}.nii.gz", "versions": {"uniseg_nets": "0.8"}}
        (tmp_path / f"{name}.json").write_text(json.dumps(beside))
    write_report(tmp_path)
    new, old = csv.DictReader((tmp_path / "statistics.csv").open())
    assert (new["std"], new["status"]) == ("2.0", "present") and (old["std"], old["status"]) == ("3.0", "truncated")
    assert "truncated" in (tmp_path / "report.html").read_text()


def test_the_report_shows_the_series_that_was_segmented(tmp_path, table):
    folder = tmp_path / "study"
    write_series(folder, "CT", np.full((40, 30, 6), 1100), RescaleIntercept=-1024)
    for file in write_series(tmp_path / "mr", "MR", np.full((20, 16, 9), 7)):  # the larger one
        file.rename(folder / f"mr-{file.name}")
    image = LoadCase(["CT"])(folder)
    label = MetaTensor(torch.full_like(image, 11, dtype=torch.uint8), meta=image.meta)
    saver = SaveLabelMapd("pred", tmp_path / "out", table, "spleen")
    case = {"name": "study", "image": [str(folder)]}
    ReportCased(saver, [case])(saver({**case, "pred": label}))
    (row,) = json.loads((tmp_path / "out" / "report" / "study.json").read_text())["classes"]
    assert row["voxels"] == 40 * 30 * 6 and row["mean"] == 76


def test_the_page_sorts_and_leafs_in_a_browser(without_viewer, run):
    folder, _ = run
    with opened(folder / "report.html") as page:

        def volumes():
            return [float(cell.get_attribute("data-value")) for cell in page.query_selector_all("td:nth-child(5)")]

        def visible():
            images = page.query_selector_all("article:first-of-type input ~ img")
            return [image.get_attribute("alt") for image in images if image.is_visible()]

        page.click("th:nth-child(5) button")
        assert volumes() == sorted(volumes())
        page.click("th:nth-child(5) button")
        assert volumes() == sorted(volumes(), reverse=True)
        before = visible()
        page.focus("article:first-of-type input[type=range]")
        page.keyboard.press("ArrowRight")
        assert len(before) == len(visible()) == 1 and before != visible()


def test_pictures_say_which_side_is_which():
    def drawn(axis):
        """Bright pixels of a black scan, per side of the plane."""
        plane = np.asarray(
            Views(np.zeros((30, 30, 30)), np.zeros((30, 30, 30), np.uint8), (1, 1, 1), {}).plane(axis, 15)
        )
        half = plane.shape[1] // 2
        return (plane[:, :half] > 128).any(axis=-1), (plane[:, half:] > 128).any(axis=-1)

    right, left = drawn(2)
    assert right.any() and left.any() and right.sum() > left.sum()  # R has more strokes than L
    assert all(np.array_equal(one, other) for one, other in zip(drawn(1), drawn(2)))
    assert not np.array_equal(drawn(0)[0], right)


def test_the_demo_s_picture_shows_the_patient_s_right_on_the_left(write_scan, tmp_path):
    image = np.zeros((40, 40, 4), np.float32)
    image[30:, 10:30] = 100  # the patient's right
    label = (image > 0).astype(np.uint8)
    scan, reference = write_scan("scan.nii.gz", image), write_scan("label.nii.gz", label)
    save_preview([PreviewRow("a", str(scan), str(reference), str(reference))], tmp_path / "a.png")
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"), dtype=float)
    first = picture[picture.shape[0] // 3 : -picture.shape[0] // 3, : picture.shape[1] // 3]
    half = first.shape[1] // 2
    assert first[:, :half].mean() > 2 * first[:, half:].mean()


def test_many_tasks_do_not_push_columns_off_the_page_and_its_origin_is_told(tmp_path):
    case = {"name": "a", "task": "+".join(["liver"] * 8), "classes": [], "slices": [], "weights_sha256": "12ab" * 16}
    write_page([case | {"written": "2026-01-02T03:04:05+00:00"}], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "8 tasks" in page and "liver+liver" not in page
    assert "written 2026-01-02T03:04:05+00:00; weights (SHA-256) 12ab12ab12ab..." in page


def test_a_name_with_bytes_that_are_no_text_is_shown_with_their_numbers(tmp_path):
    case = {"name": "M\udcfcller", "task": "liver", "classes": [], "slices": []}
    write_page([case], tmp_path / "report.html")
    assert r"M\udcfcller" in (tmp_path / "report.html").read_text()


def test_names_cannot_put_code_into_the_page(tmp_path):
    case = {"name": "<script>alert(1)</script>", "task": "a&b", "classes": [], "slices": []}
    write_page([case], tmp_path / "report.html")
    assert "<script>alert" not in (tmp_path / "report.html").read_text()
