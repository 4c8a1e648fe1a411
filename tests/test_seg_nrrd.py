import itk
import numpy as np
import pytest

from uniseg_nets.label_map import LabelMap
from uniseg_nets.transforms import LoadCase

OBLIQUE = np.array([[0.9, -0.3, 0.1, 5], [0.4, 1.4, 0, -7], [0, 0.2, 2.5, 11], [0, 0, 0, 1]])
SHEARED = np.array([[1, 0, 0.5, 5], [0, 1, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    "affine", [np.diag([-1.0, -2.0, 3.0, 1.0]), OBLIQUE, SHEARED], ids=["LPS", "oblique", "sheared"]
)
def test_a_segmentation_for_slicer_has_names_colours_and_the_scan_s_place(tmp_path, affine):
    label = np.zeros((5, 4, 3), np.uint8)
    label[1, 2, 0] = 11
    label[4, 3, 2] = 13
    labels = {0: "background", 11: "spleen", 13: "prostate", 2: "not found"}
    path = LabelMap(label, affine, labels).save(tmp_path / "a.seg.nrrd")
    read = LoadCase()(path)
    assert np.array_equal(read[0].numpy(), label)
    np.testing.assert_allclose(read.affine.numpy(), affine, atol=1e-5)
    written = itk.imread(str(path))  # owns its dictionary
    fields = written.GetMetaDataDictionary()
    segments = [{key: fields[f"Segment{i}_{key}"] for key in ("Name", "LabelValue", "Layer")} for i in range(3)]
    assert segments[0] == {"Name": "spleen", "LabelValue": "11", "Layer": "0"}
    assert [segment["LabelValue"] for segment in segments] == ["11", "13", "2"]
    colours = {fields[f"Segment{i}_Color"] for i in range(3)}
    assert len(colours) == 3 and all(0 <= float(part) <= 1 for colour in colours for part in colour.split())
    assert not fields.HasKey("Segment3_ID")
