import pytest
import torch
from torch import nn

from uniseg_nets.schedules import ExponentialDecay, PolynomialDecay


def scheduled(kind=PolynomialDecay, rate=0.1, **settings):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), rate)
    return optimizer, kind(optimizer, **settings)


def rates(optimizer, schedule, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_falls_from_step_to_step_and_is_0_after_the_last_one():
    optimizer, schedule = scheduled(epochs=5, steps_per_epoch=2)
    assert rates(optimizer, schedule, 10) == pytest.approx([0.1 * (1 - step / 10) ** 0.9 for step in range(10)])
    assert optimizer.param_groups[0]["lr"] == 0


def test_at_the_official_length_steps_and_epochs_agree():
    _, schedule = scheduled(epochs=1000, steps_per_epoch=550)
    for epoch in (0, 1, 500, 998, 999):
        for step in (0, 549):
            assert schedule.factor(epoch * 550 + step) == pytest.approx((1 - epoch / 1000) ** 0.9, abs=2e-3)


def test_the_rate_rises_linearly_during_the_warm_up_and_then_is_that_of_a_schedule_without():
    _, warm = scheduled(epochs=10, steps_per_epoch=10, warmup_share=0.04)
    _, plain = scheduled(epochs=10, steps_per_epoch=10)
    rises = [warm.factor(step) / plain.factor(step) for step in range(100)]
    assert rises == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 96)


def test_an_exponential_decay_leaves_gamma_of_the_rate_per_epoch():
    optimizer, schedule = scheduled(ExponentialDecay, epochs=3, steps_per_epoch=4, gamma=0.81)
    found = rates(optimizer, schedule, 12)
    assert found[::2] == pytest.approx([0.1 * 0.9**half for half in range(6)])


def test_an_extended_training_goes_on_with_the_rate_of_the_longer_schedule():
    first, short = scheduled(epochs=4, steps_per_epoch=3)
    rates(first, short, 12)
    optimizer, longer = scheduled(epochs=8, steps_per_epoch=3)
    longer.load_state_dict(short.state_dict())
    expected = [0.1 * (1 - step / 24) ** 0.9 for step in range(12, 24)]
    assert rates(optimizer, longer, 12) == pytest.approx(expected)


def test_a_resumed_schedule_takes_the_present_learning_rate_and_epoch_length():
    first, schedule = scheduled(epochs=4, steps_per_epoch=2)
    rates(first, schedule, 4)
    optimizer, resumed = scheduled(rate=0.5, epochs=4, steps_per_epoch=6)
    resumed.load_state_dict(schedule.state_dict())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.5**0.9)
    assert resumed.get_last_lr() == [optimizer.param_groups[0]["lr"]]


def test_every_parameter_group_keeps_its_own_rate():
    layers = nn.Linear(1, 1), nn.Linear(1, 1)
    groups = [{"params": layer.parameters(), "lr": rate} for layer, rate in zip(layers, (0.1, 0.01))]
    optimizer = torch.optim.SGD(groups)
    schedule = PolynomialDecay(optimizer, 2, 1)
    schedule.load_state_dict({"epochs": 1})
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 * 0.5**0.9, 0.01 * 0.5**0.9])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0, "steps_per_epoch": 5}, "max_epochs=0 with 5 batches per epoch"),
        ({"epochs": 3, "steps_per_epoch": 5, "warmup_share": 1.5}, "warmup_share=1.5: expected a share"),
    ],
)
def test_a_schedule_of_no_length_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        scheduled(**settings)
