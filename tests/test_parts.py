"""Parts of a run: each case is in exactly one."""

import pytest

from uniseg_nets.data import rank_partition
from uniseg_nets.parts import part_of

CASES = [{"name": str(index)} for index in range(10)]


def test_each_case_is_in_exactly_one_part():
    parts = [rank_partition(CASES, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(case["name"] for part in parts for case in part) == [case["name"] for case in CASES]
    assert rank_partition(CASES, "12/12") == []


def test_a_job_of_an_array_knows_its_part(monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert part_of("8") == part_of(8) == part_of("2/8")
    assert rank_partition(CASES) == CASES  # nobody asked for a part


@pytest.mark.parametrize("word", ["0/3", "4/3", "1/0", "a", "1/", "-1/3", "", "1/2/3"])
def test_what_is_no_part_is_refused(word):
    with pytest.raises(ValueError, match=r"part is .*expected"):
        part_of(word)


def test_a_part_without_its_number_is_refused_outside_of_an_array(monkeypatch):
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_ID is not set: write K/N, such as 1/8"):
        part_of("8")


def test_an_array_numbered_from_zero_is_refused(monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    with pytest.raises(ValueError, match="number the array's jobs from 1"):
        part_of("8")
