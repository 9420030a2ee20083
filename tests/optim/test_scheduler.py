"""Learning-rate schedules."""

import pytest

from tinygrad_bn import nn, optim


def optimizer(*rates):
    return optim.SGD([{"params": nn.Parameter([1.0]), "lr": r} for r in rates or (0.8,)])


def rates(scheduler, n):
    """The first group's rates, n steps long."""
    found = []
    for _ in range(n):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.step()
    return pytest.approx(found)


def test_formulas():
    assert rates(optim.StepLR(optimizer(), 2, gamma=0.5), 5) == [0.8, 0.8, 0.4, 0.4, 0.2]
    assert rates(optim.ExponentialLR(optimizer(), 0.5), 3) == [0.8, 0.4, 0.2]
    assert rates(optim.CosineAnnealingLR(optimizer(), 2, eta_min=0.2), 3) == [0.8, 0.5, 0.2]
    assert rates(optim.LambdaLR(optimizer(), lambda t: 1 / (1 + t)), 2) == [0.8, 0.4]


def test_groups():
    scheduler = optim.LambdaLR(optimizer(1.0, 2.0), [lambda t: 1, lambda t: 0.5**t])
    scheduler.step()
    assert scheduler.get_last_lr() == [1, 1]


def test_state():
    one = optim.StepLR(optimizer(), 2)
    for _ in range(5):
        one.step()
    other = optim.StepLR(optimizer(3.0), 2)
    other.load_state_dict(one.state_dict())
    assert other.get_last_lr() == one.get_last_lr()
    one.step()
    other.step()
    assert other.get_last_lr() == one.get_last_lr() == [pytest.approx(0.0008)]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: optim.StepLR(optimizer(), 0), ValueError, "step_size must be >= 1, got 0"),
        (lambda: optim.CosineAnnealingLR(optimizer(), 0), ValueError, "T_max must be >= 1, got 0"),
        (lambda: optim.LambdaLR(optimizer(), []), ValueError, "for each of 1 groups, got 0"),
        (lambda: optim.ExponentialLR(None, 1), TypeError, "must be an Optimizer, got NoneType"),
        (
            lambda: optim.StepLR(optimizer(), 1).load_state_dict({}),
            ValueError,
            r"keys must be 'last_epoch' and 'base_lrs', got \[\]",
        ),
        (
            lambda: optim.StepLR(optimizer(), 1).load_state_dict({"last_epoch": 1, "base_lrs": []}),
            ValueError,
            "base_lrs must have 1 numbers, got 0",
        ),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_group_that_came_later():
    one = optimizer()
    scheduler = optim.StepLR(one, 1)
    one.add_param_group({"params": nn.Parameter([1.0])})
    with pytest.raises(ValueError, match="StepLR: made for 1 groups, the optimizer has 2 now"):
        scheduler.step()
