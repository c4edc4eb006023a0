import json
import math

import pytest

from mpijob_runtime.errors import LearningRateError, UsageError
from mpijob_runtime.training import LearningRatePlan, scale_learning_rate

HUGE = 10**5000
"""Python prints no number of so many digits."""


def shown(value):
    """Return a test's name for a value."""
    return "huge" if value in (HUGE, -HUGE) else repr(value)


def plan(**changes):
    """Return the plan of Goyal et al.: 0.1 for 256 samples, 64 ranks of 32; with changes."""
    arguments = {"base_lr": 0.1, "base_global_batch": 256, "micro_batch": 32, "world_size": 64}
    return scale_learning_rate(**{**arguments, **changes})


class Optimizer:
    """Stands in for torch's: groups are all that a plan uses."""

    def __init__(self, *rates):
        self.param_groups = [{"lr": rate} for rate in rates]


@pytest.mark.parametrize(
    ("changes", "factor", "batch"),
    [
        ({}, 8, 2048),
        ({"rule": "sqrt"}, math.sqrt(8), 2048),
        ({"rule": "none"}, 1, 2048),
        ({"accumulation": 4}, 32, 8192),
        ({"world_size": 1}, 1 / 8, 32),
        ({"world_size": 8}, 1, 256),
        ({"world_size": 6, "micro_batch": 100}, 600 / 256, 600),
        ({"base_global_batch": 32, "adasum": 1}, 1, 2048),
        ({"base_global_batch": 32, "adasum": 1, "accumulation": 4}, 1, 8192),
        ({"base_global_batch": 32, "adasum": 8}, 8, 2048),
        ({"base_global_batch": 32, "adasum": 8, "accumulation": 2}, 16, 4096),
    ],
)
def test_the_factor_follows_the_batch(changes, factor, batch):
    """By batch, not by ranks; AdaSum as in Horovod's pytorch_imagenet_resnet50.py."""
    found = plan(**changes)
    assert found.factor == pytest.approx(factor)
    assert found.learning_rate == pytest.approx(0.1 * factor)
    assert found.effective_batch == batch


@pytest.mark.parametrize("name", ["base_global_batch", "micro_batch", "world_size", "accumulation"])
@pytest.mark.parametrize(
    "value", [0, -1, True, 1.0, 2.5, "8", None, math.nan, 10**13, HUGE, -HUGE], ids=shown
)
def test_a_count_below_one_or_of_another_kind_is_refused(name, value):
    """The error has the parameter's name; a float is no count even if it is whole."""
    with pytest.raises(LearningRateError, match=f"{name}: found .*, wanted a whole number from 1"):
        plan(**{name: value})


@pytest.mark.parametrize(
    "value", [0, 0.0, -0.1, math.nan, math.inf, -math.inf, True, "0.1", None, HUGE, 1j], ids=shown
)
def test_a_rate_that_is_not_positive_is_refused(value):
    """Neither NaN, infinity nor zero is a learning rate."""
    with pytest.raises(LearningRateError, match=r"base_lr: found .*, wanted a positive number"):
        plan(base_lr=value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "cubic"}, "rule: found 'cubic', wanted one of linear, sqrt, none"),
        ({"rule": None}, "rule: found None"),
        ({"warmup_steps": -1}, "warmup_steps: found -1, wanted a whole number from 0"),
        ({"base_lr": 1e308}, "finite learning rate"),
        ({"adasum": 0}, "adasum: found 0"),
        ({"adasum": 5}, "found 5, wanted a divisor of the world size 64"),
        ({"adasum": 1, "rule": "sqrt"}, "AdaSum has a factor of its own"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    """With what was found and what was wanted."""
    with pytest.raises(LearningRateError, match=message):
        plan(**changes)


def test_the_error_is_a_value_error_and_ours():
    """User code may catch ValueError; the command line ends with 64."""
    assert issubclass(LearningRateError, ValueError)
    assert issubclass(LearningRateError, UsageError)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, []),
        ({"world_size": 65}, ["without warm-up"]),
        ({"world_size": 65, "warmup_steps": 100}, []),
        ({"accumulation": 2, "rule": "none"}, ["divide the loss by 2"]),
        ({"adasum": 1, "world_size": 6, "base_global_batch": 32}, ["power of two"]),
        ({"adasum": 2, "world_size": 6, "base_global_batch": 32}, ["combines 3"]),
        ({"adasum": 4, "world_size": 4, "base_global_batch": 32}, ["no AdaSum takes place"]),
        ({"adasum": 1}, ["one rank's, for 32 samples"]),
    ],
)
def test_what_may_go_wrong_is_warned_of(changes, parts):
    """Each warning when it applies, and only then."""
    found = plan(**changes).warnings
    assert len(found) == len(parts)
    assert all(part in text for part, text in zip(parts, found, strict=True))


def test_horovods_passes_are_compared():
    """An optimizer that accumulates more passes than the plan knows of has another batch."""
    optimizer = Optimizer(0.1)
    optimizer.backward_passes_per_step = 4
    assert "backward_passes_per_step=4" in plan().warnings_for(optimizer)[0]
    assert len(plan(accumulation=4, warmup_steps=1).warnings_for(optimizer)) == 1


def test_the_plan_explains_itself():
    """Rate, arithmetic, formula, paper, warm-up and warnings are all said."""
    text = plan(world_size=128, warmup_steps=500).explain()
    parts = ["1.6 = 0.1 x 16", "4096 = 32 x 1 passes x 128 ranks", "base batch 256"]
    assert all(part in text for part in [*parts, "arXiv:1706.02677", "over 500 steps"])
    assert "warning: " in plan(world_size=128).explain()


def test_the_plan_as_json_has_all_of_it():
    """It can be kept with a run's other numbers."""
    found = json.loads(json.dumps(plan(rule="sqrt").to_json()))
    assert set(LearningRatePlan.__dataclass_fields__) < found.keys()
    assert (found["effective_batch"], found["warnings"]) == (2048, [])
    assert found["learning_rate"] == pytest.approx(0.1 * math.sqrt(8))
    assert "arXiv:1404.5997" in found["source"]


def test_apply_scales_each_group_once():
    """A second time refuses and changes nothing."""
    optimizer = Optimizer(0.1, 0.02)
    plan().apply(optimizer)
    with pytest.raises(LearningRateError, match="group 0: its learning rate was scaled already"):
        plan().apply(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.8, 0.16])


def test_a_group_that_came_later_is_not_scaled_silently():
    """Some groups marked and some not is for the user to resolve."""
    optimizer = Optimizer(0.1)
    plan().apply(optimizer)
    optimizer.param_groups.append({"lr": 0.1})
    for again in (plan().apply, plan().reapply):
        with pytest.raises(LearningRateError):
            again(optimizer)
    assert optimizer.param_groups[1] == {"lr": 0.1}


@pytest.mark.parametrize("rate", [0.8, 0.2])
def test_an_optimizer_without_the_base_rate_is_refused(rate):
    """Such as one that was made with the plan's rate: it would be scaled twice."""
    optimizer = Optimizer(rate)
    with pytest.raises(LearningRateError, match=r"wanted the plan's 0\.1"):
        plan().apply(optimizer)
    assert optimizer.param_groups == [{"lr": rate}]


def test_another_world_starts_from_the_base_again():
    """64 ranks, then 32: four times the base, not half of what happened to be there."""
    optimizer = Optimizer(0.1)
    plan().apply(optimizer)
    optimizer.param_groups[0]["lr"] *= 0.1  # as a schedule does
    plan(world_size=32).reapply(optimizer)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 4 * 0.1)


def test_warnings_are_pythons():
    """They can be filtered or made errors."""
    with pytest.warns(UserWarning, match="without warm-up"):
        plan(world_size=65).apply(Optimizer(0.1))
