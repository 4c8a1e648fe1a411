import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.browser import opened
from uniseg_nets.data import find_cases
from uniseg_nets.io.names import REDUCED_ENDINGS
from uniseg_nets.reports import viewer
from uniseg_nets.reports.page import write_page
from uniseg_nets.reports.reduced import reduced
from uniseg_nets.reports.run import ReportCased, report_case, write_report
from uniseg_nets.reports.views import Views
from uniseg_nets.reports.windows import window_presets
from uniseg_nets.transforms import SaveLabelMapd

pytest.importorskip("ipyniivue", reason="the viewer: pip install ipyniivue")


@pytest.fixture
def folder(tmp_path):
    """A folder with one finished case, a cube of 40 mm with the classes left and right, and its report."""
    scan = np.zeros((40, 30, 20), np.float32)
    scan[5:35, 5:25, 4:16] = 100
    label = np.zeros(scan.shape, np.uint8)
    label[8:14, 8:20, 6:14], label[26:32, 8:20, 6:14] = 7, 9
    affine = np.diag([-1.0, 1, 2, 1])  # towards the patient's left
    nib.save(nib.Nifti1Image(scan, affine), tmp_path / "scan.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), tmp_path / "case.nii.gz")
    record = {"task": "kidneys", "labels": {"0": "background", "7": "first", "9": "second"}, "label_map": "case.nii.gz"}
    (tmp_path / "case.json").write_text(json.dumps(record))
    report_case("case", tmp_path / "scan.nii.gz", tmp_path, ["CT"])
    write_report(tmp_path)
    return tmp_path


def test_the_installed_package_has_the_viewer_where_it_is_expected():
    assert viewer.has_viewer()
    assert "Redistribution and use" in viewer.viewer_part()


def test_a_reduced_scan_keeps_place_intensities_and_classes(folder):
    scan, labels = (nib.load(folder / "report" / f"case.{kind}.nii.gz") for kind in ("scan", "labels"))
    assert scan.get_data_dtype() == labels.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
    values = np.asarray(labels.dataobj)
    assert np.unique(values).tolist() == [0, 7, 9]
    assert np.argwhere(values == 7)[:, 0].min() > np.argwhere(values == 9)[:, 0].max()  # 7 is on the right
    assert np.asarray(scan.dataobj)[values > 0] == pytest.approx(100, abs=0.5)


def test_a_report_s_reduced_scans_are_no_scans_of_a_later_run(folder):
    (folder / "case.nii.gz").unlink()
    assert [case["name"] for case in find_cases(folder)] == ["scan"]


def test_a_large_scan_is_cropped_to_its_classes_and_its_finest_axes_become_coarser():
    label = np.zeros((400, 300, 60), np.uint8)
    label[190:210, 140:160, 25:35] = 1
    small = reduced(
        Views(np.random.default_rng(0).normal(size=label.shape), label, (0.5, 0.5, 5), {1: "liver"}), 20_000
    )
    edges = small.scan.header.get_zooms()
    assert np.prod(small.scan.shape) <= 20_000
    assert edges[0] == pytest.approx(edges[1], rel=0.05) and edges[2] == pytest.approx(5)
    assert np.multiply(small.scan.shape, edges) == pytest.approx([90, 90, 130], abs=5)  # 40 mm around the class
    volume = (np.asarray(small.labels.dataobj) > 0).sum() * np.prod(edges)
    assert volume == pytest.approx(label.sum() * 0.5 * 0.5 * 5, rel=0.2)
    assert small.centre == pytest.approx((0.5, 0.5, 0.5), abs=0.2)


def test_windows_of_ct_are_in_hounsfield_units_and_those_of_mr_follow_the_scan():
    ct, mr = (window_presets(np.arange(1001.0), modality) for modality in ("CT", "T1"))
    assert ct[0] == {"name": "soft tissue", "low": -160, "high": 240}
    assert (mr[0]["low"], mr[0]["high"]) == (10, 995)


def test_a_folder_without_classes_has_its_whole_scan():
    image = np.random.default_rng(0).normal(size=(60, 50, 40))
    small = reduced(Views(image, np.zeros(image.shape, np.uint8), (1, 1, 1), {1: "liver"}), 10_000)
    assert np.multiply(small.scan.shape, small.scan.header.get_zooms()) == pytest.approx([60, 50, 40])


def test_without_the_extra_there_are_pictures(folder, without_viewer):
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert "niivue" not in page.lower() and "data:image/jpeg" in page
    report_case("case", folder / "scan.nii.gz", folder, ["CT"])
    write_report(folder)
    assert 'type="range"' in (folder / "report.html").read_text()


def test_a_report_made_before_the_viewer_was_installed_is_made_again(folder, table, monkeypatch):
    saver = SaveLabelMapd("pred", folder, table, "kidney")
    report = ReportCased(saver, [{"name": "case", "image": folder / "scan.nii.gz"}])
    with monkeypatch.context() as without:
        without.setattr("uniseg_nets.reports.viewer._niivue", lambda: None)
        report.make(report.cases["case"], "made of this")
        assert report.made_of("case") == "made of this"
    assert report.made_of("case") is None
    report.make(report.cases["case"], "made of this")
    assert report.made_of("case") == "made of this"


def test_infinite_voxels_are_shown_as_zero(folder):
    image = np.full((4, 4, 4), 5.0)
    image[0, 0, 0], image[1, 1, 1] = np.inf, -np.inf
    views = Views.of(image, np.zeros(image.shape, np.uint8), np.eye(4), {})
    assert sorted(np.unique(views.image)) == [0, 5]


def test_many_cases_are_on_pages_of_50_and_an_index_tells_where(tmp_path):
    row = {"class": "liver", "value": 1, "status": "present", "voxels": 8, "volume_ml": 1.0, "mean": 4.0, "std": 2.0}
    cases = [
        {"name": f"case {i}", "task": "liver", "classes": [row], "slices": [], "verdict": "ok"} for i in range(101)
    ]
    cases[0] |= {"verdict": "refused", "reasons": ["It is no CT."]}
    write_page(cases, tmp_path / "report.html")
    pages = tmp_path / "report" / "pages"
    assert sorted(page.name for page in pages.iterdir()) == ["0001.html", "0002.html", "0003.html"]
    index = (tmp_path / "report.html").read_text()
    assert "101 cases: 1 refused, 100 ok." in index and "It is no CT." in index
    assert 'href="report/pages/0003.html#case%20100"' in index
    last = (pages / "0003.html").read_text()
    assert 'id="case 100"' in last and 'id="case 99"' not in last and 'href="../../report.html"' in last
    write_page(cases[:50], tmp_path / "report.html")
    assert not list(pages.iterdir()) and 'id="case 49"' in (tmp_path / "report.html").read_text()


def test_a_page_of_50_cases_stays_below_25_mb_even_if_all_scans_are_noise(tmp_path):
    random = np.random.default_rng(0)
    label = random.integers(0, 3, (20, 20, 10)).astype(np.uint8).repeat(16, 0).repeat(16, 1).repeat(10, 2)
    scan = random.uniform(0, 1000, label.shape).astype(np.float32)
    record = {"task": "noise", "labels": {"0": "background", "1": "first", "2": "second"}, "label_map": "case.nii.gz"}
    for name, array in (("scan", scan), ("case", label)):
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "case.json").write_text(json.dumps(record))
    report_case("case", tmp_path / "scan.nii.gz", tmp_path, ["MR"])
    for number in range(49):
        for ending in (".png", *REDUCED_ENDINGS):
            (tmp_path / "report" / f"case{number}{ending}").symlink_to(tmp_path / "report" / f"case{ending}")
        made = json.loads((tmp_path / "report" / "case.json").read_text()) | {"name": f"case{number}"}
        (tmp_path / "report" / f"case{number}.json").write_text(json.dumps(made))
    page = write_report(tmp_path)
    assert page.read_text().count("<article") == 50 and 20e6 < page.stat().st_size < 25e6


def test_the_viewer_switches_classes_and_leaves_the_page_for_nothing(folder, tmp_path):
    def coloured():
        """Reddish and greenish pixels of the viewer, the colours of the first and of the second class."""
        page.wait_for_timeout(1000)
        page.locator("#canvas").screenshot(path=tmp_path / "view.png")
        red, green = np.moveaxis(np.asarray(Image.open(tmp_path / "view.png")).astype(int), -1, 0)[:2]
        return int((red > green + 60).sum()), int((green > red + 60).sum())

    with opened(folder / "report.html") as page:
        page.wait_for_selector("#viewer[data-shows=case]")
        both = coloured()
        assert min(both) > 500
        page.locator("input[data-value='7']").uncheck()
        first, second = coloured()
        assert first < both[0] / 10 and second > both[1] / 2
        page.locator("#opacity").fill("0")
        assert max(coloured()) < both[1] / 10
        assert page.locator("#window option").all_inner_texts() == ["soft tissue", "liver", "lung", "bone"]
