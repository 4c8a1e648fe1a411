import re
from pathlib import Path

import pytest

from uniseg_nets.io.files import atomic_path, read_csv, read_json, write_csv, write_json


def test_a_missing_json_is_named_by_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"no file {re.escape(str(tmp_path / 'DATA' / 'datalist.json'))}$"):
        read_json(Path("DATA/datalist.json"))


def test_an_error_while_writing_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("half way")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_as_json_leaves_the_older_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": 2, "b": object()})
    assert (tmp_path / "a.json").read_text() == '{\n    "a": 1\n}\n'


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    with atomic_path(tmp_path / "folder" / "a.nii.gz") as temporary:
        assert temporary.name == "a.nii.gz" and not (tmp_path / "folder" / "a.nii.gz").exists()
        temporary.write_text("whole")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.nii.gz"]


def test_a_table_has_four_digits(tmp_path):
    write_csv(tmp_path / "a.csv", [{"case": "a", "dice": 1 / 3, "voxels": 7, "hd95_mm": float("nan")}])
    assert (tmp_path / "a.csv").read_text().splitlines() == ["case,dice,voxels,hd95_mm", "a,0.3333,7,nan"]


def test_a_table_that_a_spreadsheet_saved_is_read_and_a_torn_line_is_named(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_bytes("\ufefftask,case\r\nliver,a\r\n".encode())
    assert read_csv(path) == [{"task": "liver", "case": "a"}]
    path.write_text("task,case\nliver,a\nliver\n")
    with pytest.raises(ValueError, match=r"cases\.csv, line 3: it has another number of cells"):
        read_csv(path)
