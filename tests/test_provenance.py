"""Which result is whose: what tells a scan from others, and what is a result."""

import json
import os

import pytest

from uniseg_nets.io.provenance import is_result, read_record, scan_identity


def write(path, content=b"voxels", time_ns=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if time_ns is not None:
        os.utime(path, ns=(time_ns, time_ns))
    return path


def test_files_of_one_name_size_and_time_in_two_folders_are_two_scans(tmp_path):
    first, second = (write(tmp_path / site / "case1.nii", time_ns=10**18) for site in ("a", "b"))
    assert scan_identity(first) == scan_identity(str(first)) == scan_identity([first])
    assert scan_identity(first) != scan_identity(second)


@pytest.mark.parametrize("time_ns", [10**18 - 1, 10**18 + 1])
def test_a_scan_replaced_by_one_of_the_same_size_is_noticed_to_the_nanosecond(tmp_path, time_ns):
    scan = write(tmp_path / "case1.nii", time_ns=10**18)
    before = scan_identity(scan)
    write(scan, b"others", time_ns)
    assert scan_identity(scan) != before


@pytest.mark.parametrize(
    ("header", "voxels"),
    [
        ("ObjectType = Image\nElementDataFile = a.raw\n", ["a.raw"]),
        ("ObjectType = Image\nElementDataFile = LIST\na.raw\nb.raw\n", ["a.raw", "b.raw"]),
        ("ObjectType = Image\nElementDataFile = s%02d.raw 1 2 1\n", ["s01.raw", "s02.raw"]),
        ("ObjectType = Image\nElementDataFile = LIST\r\na slice.raw\r\n b.raw\r\n", ["a slice.raw", "b.raw"]),
        ("ObjectType = Image\nElementDataFile = my [1] s%02d.raw 1 2 1\n", ["my [1] s01.raw", "my [1] s02.raw"]),
        ("ElementDataFile = LIST\n" + "".join(f"{z:0200d}\n" for z in range(400)), [f"{399:0200d}"]),
    ],
)
def test_the_voxels_beside_a_header_belong_to_the_scan(tmp_path, header, voxels):
    scan = write(tmp_path / "a.mhd", header.encode())
    files = [write(tmp_path / name) for name in voxels]
    before = scan_identity(scan)
    assert before[0]["files"] == 1 + len(files)
    for file in files:
        os.utime(file, ns=(1, 1))
        assert scan_identity(scan) != before
        before = scan_identity(scan)


def test_a_detached_nrrd_header_has_its_voxels_and_a_whole_file_none(tmp_path):
    write(tmp_path / "a.raw")
    detached = write(tmp_path / "a.nrrd", b"NRRD0004\ntype: short\ndata file: a.raw\n")
    whole = write(tmp_path / "b.nrrd", b"NRRD0004\ntype: short\n\ndata file: a.raw\n")
    assert [scan_identity(scan)[0]["files"] for scan in (detached, whole)] == [2, 1]


def test_a_slice_overwritten_in_place_is_noticed_and_a_hidden_file_is_no_slice(tmp_path):
    files = [write(tmp_path / "study" / f"{i}.dcm") for i in range(3)]
    before = scan_identity(tmp_path / "study")
    write(tmp_path / "study" / ".DS_Store")
    assert scan_identity(tmp_path / "study") == before and before[0]["files"] == 3
    os.utime(files[1], ns=(1, 1))
    assert scan_identity(tmp_path / "study") != before


def test_a_disc_s_slices_lie_in_folders_below(tmp_path):
    write(tmp_path / "DICOMDIR")
    write(tmp_path / "IMAGES" / "1")
    assert scan_identity(tmp_path)[0]["files"] == 2


def test_the_first_channel_alone_stands_for_all(tmp_path):
    channels = [write(tmp_path / f"c_{i:04d}.nii.gz") for i in range(3)]
    assert scan_identity(channels[0])[0]["files"] == 3
    assert [entry["files"] for entry in scan_identity(channels)] == [1, 1, 1]


def test_a_missing_file_is_no_scan_of_a_result(tmp_path):
    assert scan_identity(tmp_path / "none.nii")[0]["files"] == 0


def test_a_sidecar_of_others_makes_no_result(tmp_path):
    scan = write(tmp_path / "a.nii.gz")
    write(tmp_path / "a.json", b'{"RepetitionTime": 2}')
    assert not is_result(scan) and read_record(tmp_path / "a.json") is None
    for content in (b"no JSON", b"[1]", b"\xff"):
        write(tmp_path / "a.json", content)
        assert read_record(tmp_path / "a.json") is None
    write(tmp_path / "a.json", json.dumps({"versions": {"uniseg_nets": "1"}, "label_map": "a.nii.gz"}).encode())
    assert is_result(scan) and is_result(tmp_path / "a.dcm") and not is_result(tmp_path / "a.png")
