"""File names and datalists as people write them: every scan is found once, or the reason is told."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.properties  # noqa: F401  (the profile)
from uniseg_nets.data import find_cases, load_datalist
from uniseg_nets.data.datalist import image_entry, image_files
from uniseg_nets.io.names import SCAN_ENDINGS, scan_name, scan_stem

# What a file system takes, with the pieces that the rules for names look at.
_PIECES = ["a", "B", "7", "0000", "_0000", "_0001", "_", "-", ".", " ", "nii", ".nii", "\u00fc", "\u3000", "=", "sub-1"]
_JOINED = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map("".join)
_WORDS = _JOINED.filter(lambda stem: not stem.startswith(".") and stem.strip())
# Often a few alike, as channels are.
STEMS = st.one_of(st.sampled_from(["ct", "ct_0000", "ct_0001", "ct_0000_0000"]), _WORDS)
ENDINGS = st.sampled_from([*SCAN_ENDINGS, ".NII.GZ", ".Nrrd"])


@given(STEMS, st.integers(0, 9999), ENDINGS)
def test_a_channel_s_number_is_cut_off_and_the_rest_is_the_case_s_name(stem, channel, ending):
    assert scan_name(f"folder/{stem}_{channel:04d}{ending}") == (stem, channel)
    assert scan_stem(f"{stem}_{channel:04d}{ending}") == f"{stem}_{channel:04d}"


FILES = st.tuples(st.sampled_from(["", "p1", "p1_a", "p2/x"]), STEMS, ENDINGS)


@given(st.lists(FILES, min_size=1, max_size=8, unique=True))
def test_of_a_folder_every_scan_belongs_to_one_case_or_the_folder_is_refused(tmp_path, files):
    folder = tmp_path / "scans"
    shutil.rmtree(folder, ignore_errors=True)
    there = {folder / sub / f"{stem}{ending}" for sub, stem, ending in files}
    for path in there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    try:
        cases = find_cases(folder)
    except ValueError as error:
        assert "belongs to several scans" in str(error)
        return
    assert sorted(Path(file) for case in cases for file in case["image"]) == sorted(there)
    assert len({case["name"] for case in cases}) == len(cases)
    for case in cases:
        numbers = [scan_name(file)[1] for file in case["image"]]
        assert numbers == sorted(set(numbers)) if len(numbers) > 1 else True  # channels, each once, in their order
        assert len({(Path(file).parent, scan_name(file)[0]) for file in case["image"]}) == 1
    assert find_cases(folder) == cases


texts = st.text(min_size=1, max_size=8)
_KEYS = st.sampled_from(["image", "label", "name", "task", "x"])
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {"image": st.lists(STEMS, min_size=1, max_size=3).map(image_entry)},
    optional={"label": STEMS, "name": STEMS, "task": texts, "fold": st.integers(), "note": jsons},
)


@given(st.lists(entries, max_size=5))
def test_a_datalist_s_entries_come_in_their_order_with_all_they_say(tmp_path, listed):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"training": listed}))
    cases = load_datalist(path, "training")
    assert len(cases) == len(listed)
    for case, entry in zip(cases, listed):
        assert image_files(case) == [str(tmp_path / file) for file in image_files(entry)]
        assert isinstance(case["image"], list) is isinstance(entry["image"], list)
        assert case["name"] == entry.get("name", scan_name(image_files(entry)[0])[0])
        assert case.get("label") == (str(tmp_path / entry["label"]) if "label" in entry else None)
        rest = {key: value for key, value in entry.items() if key not in ("image", "label", "name")}
        assert rest.items() <= case.items()


@given(st.dictionaries(st.sampled_from(["training", "testing"]), jsons, min_size=1))
def test_what_is_no_datalist_is_refused_by_name_and_never_half_read(tmp_path, content):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content))
    for section in content:
        try:
            cases = load_datalist(path, section)
        except ValueError as error:
            assert "datalist.json" in str(error)
        else:
            assert all(case["name"] and all(Path(file).is_absolute() for file in image_files(case)) for case in cases)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4))
def test_two_cases_of_one_name_are_refused(tmp_path, drawn):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"testing": [{"image": f"{n}/x.nii", "name": name} for n, name in enumerate(drawn)]}))
    if len(set(drawn)) == len(drawn):
        assert [case["name"] for case in find_cases(path)] == sorted(drawn)
    else:
        with pytest.raises(ValueError, match="belongs to several scans"):
            find_cases(path)
