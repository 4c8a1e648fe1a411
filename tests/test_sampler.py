import pickle
from collections import Counter

import pytest

from uniseg_nets.data import GroupBatchSampler, Sample, TaskBatchSampler, sampler

CASES = [{"task": "liver"}] * 3 + [{"task": "spleen"}] * 10 + [{"task": "whole_body_tumour"}] * 2


def tasks_of(batches):
    return [[CASES[i]["task"] for i in batch] for batch in batches]


@pytest.fixture
def ranks(monkeypatch):
    """Pretends to be one rank of several."""

    def be(rank, count):
        monkeypatch.setattr(sampler, "own_rank", lambda: rank)
        monkeypatch.setattr(sampler, "rank_count", lambda: count)

    return be


def test_every_batch_is_of_one_task_and_every_task_has_its_share(table):
    tasks = tasks_of(TaskBatchSampler(CASES, table, batch_size=2, batches_per_task=5))
    assert all(len(set(batch)) == 1 for batch in tasks)
    assert Counter(batch[0] for batch in tasks) == {"liver": 5, "spleen": 5, "whole_body_tumour": 5}
    assert tasks != sorted(tasks)  # in random order


def test_mixed_batches_hold_tasks_of_one_channel_count_in_equal_shares(table):
    tasks = tasks_of(TaskBatchSampler(CASES, table, batch_size=2, batches_per_task=20, mixed=True))
    assert Counter(task for batch in tasks for task in batch) == dict.fromkeys(
        ("liver", "spleen", "whole_body_tumour"), 40
    )
    kinds = {frozenset(batch) for batch in tasks}
    assert frozenset(("liver", "spleen")) in kinds
    assert not any("whole_body_tumour" in kind and len(kind) > 1 for kind in kinds)


def test_a_task_s_cases_are_all_drawn_before_one_comes_again(table):
    drawn = [i for batch in TaskBatchSampler(CASES, table, 2, 5) for i in batch if 3 <= i < 13]
    assert sorted(drawn) == list(range(3, 13))


def test_seed_and_epoch_decide_the_order(table):
    first, second, other = (TaskBatchSampler(CASES, table, seed=seed) for seed in (0, 0, 1))
    epoch = list(first)
    assert epoch == list(second) and epoch != list(other) and epoch != list(first)
    assert len(epoch) == len(first) == 150


def test_a_resumed_sampler_goes_on_with_the_next_epoch(table):
    first, resumed = TaskBatchSampler(CASES, table), TaskBatchSampler(CASES, table)
    list(first)
    resumed.load_state_dict(first.state_dict())
    assert list(first) == list(resumed)


def test_two_ranks_serve_together_what_one_rank_serves_with_double_batches(table, ranks):
    whole = list(TaskBatchSampler(CASES, table, batch_size=4, batches_per_task=5))
    parts = []
    for rank in (0, 1):
        ranks(rank, 2)
        parts.append(list(TaskBatchSampler(CASES, table, batch_size=2, batches_per_task=5)))
    assert [a + b for a, b in zip(*parts)] == whole


def test_no_training_case_or_an_unknown_task_is_an_error(table):
    with pytest.raises(ValueError, match="no training cases"):
        TaskBatchSampler([], table)
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        TaskBatchSampler([{"task": "livr"}], table)


def of(groups):
    """A case of each group."""
    return [{"group": group} for group in groups]


def test_groups_may_meet_in_a_batch_with_equal_shares():
    groups = ["a"] * 3 + ["b"] * 10
    drawn = list(GroupBatchSampler(of(groups), "group", batch_size=4, batches_per_group=5, mixed=True, seed=0))
    assert len(drawn) == 10 and all(len(batch) == 4 for batch in drawn)
    told = [groups[index] for batch in drawn for index in batch]
    assert told.count("a") == told.count("b") == 20
    assert any(len({groups[index] for index in batch}) == 2 for batch in drawn)
    pure = list(GroupBatchSampler(of(groups), "group", batch_size=4, batches_per_group=5))
    assert all(len({groups[index] for index in batch}) == 1 for batch in pure)


def test_a_small_group_is_drawn_as_often_as_a_large_one():
    drawn = [index for batch in GroupBatchSampler(of("aaab"), "group", 2, 3) for index in batch]
    assert len(drawn) == 12 and drawn.count(3) == 6


def samples(count, share, batch_size=2):
    batches = GroupBatchSampler(of("a" * 10), "group", batch_size, count, foreground_share=share)
    return [[sample.foreground for sample in batch] for batch in batches]


def test_one_of_two_samples_of_every_batch_must_hold_foreground():
    assert samples(20, 0.5) == [[False, True]] * 20


@pytest.mark.parametrize(("share", "batch_size"), [(1 / 3, 2), (0.25, 1), (0.5, 3), (0.0, 2), (1.0, 2)])
def test_the_share_of_forced_samples_is_exact_whatever_the_batch(share, batch_size):
    forced = [one for batch in samples(60, share, batch_size) for one in batch]
    assert sum(forced) == round(share * len(forced))


@pytest.mark.parametrize("share", [1.5, -0.5])
def test_a_share_of_foreground_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=rf"foreground_share is {share}, expected a share from 0 to 1"):
        samples(1, share)


def test_every_sample_has_a_seed_of_its_own_that_a_resumed_training_draws_again():
    def seeds(sampler):
        return [sample.seed for batch in sampler for sample in batch]

    first, resumed = GroupBatchSampler(of("aaaa"), "group"), GroupBatchSampler(of("aaaa"), "group")
    epochs = seeds(first), seeds(first)
    assert len({*epochs[0], *epochs[1]}) == 200
    resumed.load_state_dict({"epoch": 1})
    assert seeds(resumed) == epochs[1]


def test_a_sample_keeps_its_seed_on_the_way_to_a_worker():
    sample = pickle.loads(pickle.dumps(Sample(3, True, 7)))
    assert (sample, sample.foreground, sample.seed) == (3, True, 7)
