"""Several processes on one folder: who gets a case, and what becomes of those that a dead process held."""

import errno
import io
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from uniseg_nets.data import Claims
from uniseg_nets.io.errors import ClaimLostError


@pytest.fixture
def saver(tmp_path):
    """Where results lie; a case is finished when its file is there."""

    def target(case):
        return tmp_path / f"{case['name']}.nii.gz"

    return SimpleNamespace(
        output_dir=tmp_path, targets=lambda case: (target(case),), is_finished=lambda case: target(case).exists()
    )


def cases(*names):
    return [{"name": name} for name in names]


def sharing(saver, *names, expiry=180.0):
    claims = Claims(saver, expiry)
    claims.begin(cases(*names))
    return claims


def dies(claims):
    """What a killed process leaves: claims and a heartbeat that grows old."""
    claims._ended.set()
    os.utime(claims._heartbeat, (0, 0))


def test_two_processes_get_different_cases(saver):
    with sharing(saver, "a", "b") as one, sharing(saver, "a", "b") as two:
        assert one.next() == ({"name": "a"}, True)
        assert two.next() == ({"name": "b"}, True)


def test_a_case_that_another_process_finished_meanwhile_is_not_done_again(saver, tmp_path):
    with sharing(saver, "a") as one, sharing(saver, "a") as two:
        one.next()
        (tmp_path / "a.nii.gz").touch()
        one.release("a")
        assert two.next() == ({"name": "a"}, False)


def test_a_process_waits_for_a_case_that_another_one_holds(saver, tmp_path):
    with sharing(saver, "a", expiry=1) as one, sharing(saver, "a", expiry=1) as two:
        one.next()
        assert two._claim({"name": "a"}) is None
        time.sleep(1.5)  # longer than the expiry: the heartbeat keeps the claim
        assert two._claim({"name": "a"}) is None
        (tmp_path / "a.nii.gz").touch()
        one.release("a")
        assert two.next() == ({"name": "a"}, False)


def test_a_failed_case_is_tried_again_only_by_processes_that_start_later(saver):
    with sharing(saver, "a") as one, sharing(saver, "a") as two:
        one.next()
        one.release("a", failed=True)
        assert two.next() == ({"name": "a"}, False)
    time.sleep(0.02)
    with sharing(saver, "a") as later:
        assert later.next() == ({"name": "a"}, True)
        later.release("a")
    assert not (saver.output_dir / ".claims").exists()


def test_one_process_alone_takes_over_what_a_dead_one_held(saver):
    dead = sharing(saver, "a", "b").__enter__()
    dead.next(), dead.next()
    dies(dead)
    with sharing(saver, "a") as one, sharing(saver, "a", "b") as two:
        assert one.next() == ({"name": "a"}, True)
        assert two.next() == ({"name": "b"}, True)


def test_a_case_whose_holders_died_one_after_the_other_is_done_at_last(saver, tmp_path):
    for _ in range(3):
        dead = sharing(saver, "a").__enter__()
        assert dead.next() == ({"name": "a"}, True)
        dies(dead)
    with sharing(saver, "a") as last:
        assert last.next() == ({"name": "a"}, True)
        (tmp_path / "a.nii.gz").touch()
        last.release("a")
    assert not (saver.output_dir / ".claims").exists()


def test_a_claim_whose_process_died_while_it_wrote_it_is_free_after_the_expiry(saver):
    with sharing(saver, "a") as one:
        one.next()
        (claim,) = one._folder.glob("*.claim")
        claim.write_text("")
        with sharing(saver, "a") as two:
            assert two._claim({"name": "a"}) is None
            os.utime(claim, (0, 0))
            assert two.next() == ({"name": "a"}, True)


def test_claims_without_a_name_do_not_hold_up_the_others_for_ever(saver):
    """A disk that was full twice: the claim is empty, and so is the one that took it over."""
    with sharing(saver, "a") as one:
        one.next()
        (claim,) = one._folder.glob("*.claim")
        for file in (claim, claim.with_name(f"{claim.stem}.after-1")):
            file.write_text("")
            os.utime(file, (0, 0))
        with sharing(saver, "a") as two:
            assert two.next() == ({"name": "a"}, True)


def test_a_claim_that_cannot_be_written_leaves_no_file(saver, monkeypatch):
    opened = Path.open

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(path, mode="r", **options):
        file = opened(path, mode, **options)
        return Full() if mode == "x" else file

    with sharing(saver, "a") as one:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left"):
            one.next()
        assert not list(one._folder.glob("*.claim"))


def test_a_process_that_stood_still_learns_that_its_cases_are_taken_over(saver):
    with sharing(saver, "a") as still:
        still.next()
        still.check()
        dies(still)
        with sharing(saver, "a") as other:
            assert other.next() == ({"name": "a"}, True)
            with pytest.raises(ClaimLostError, match=r"stood still for more than 180 s.*run the same command again"):
                still.check()


def test_names_of_any_length_and_alphabet_can_be_claimed(saver):
    with sharing(saver, "x" * 240, "\udcfcber") as claims:
        assert [claims.next()[1] for _ in range(2)] == [True, True]


def test_an_expiry_of_no_time_is_refused(saver):
    with pytest.raises(ValueError, match="expected seconds above 0"):
        Claims(saver, 0)
