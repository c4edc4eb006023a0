"""The rates of an optimizer's parameter groups: scaled once, and again for another world.

What was done is kept in the groups themselves, as numbers: ``state_dict`` saves them with the
rates, so a checkpoint that is loaded brings its own mark.

Layer: pure; imports errors only. Optimizers and schedulers are torch's, known by their attributes.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from mpijob_runtime.errors import LearningRateError

BASE, FACTOR = "mpijob_base_lr", "mpijob_lr_factor"
"""The mark in a group: its rate before it was scaled, and what it was multiplied with."""

_INITIAL = "initial_lr"
_ADAPTIVE = re.compile(r"Ada|RMSprop|LAMB|Lion", re.IGNORECASE)


class Optimizer(Protocol):
    """What is used of a torch.optim.Optimizer."""

    param_groups: list[dict[str, Any]]


class Scheduler(Protocol):
    """What is used of a torch LRScheduler."""

    base_lrs: list[Any]


def is_adaptive(optimizer: Optimizer) -> bool:
    """Return whether each parameter gets a step size of its own (Adam and its relatives)."""
    return any(_ADAPTIVE.search(kind.__name__) for kind in type(optimizer).__mro__)


def scale_groups(optimizer: Optimizer, *, base: float, factor: float) -> None:
    """Multiply the rate of each group and mark it.

    Raises:
        LearningRateError: a group is marked already, a scheduler keeps its first rate, or no group
            has the base rate.
    """
    for index, group in enumerate(optimizer.param_groups):
        if FACTOR in group:
            message = (
                f"parameter group {index}: its learning rate was scaled already,"
                f" {group[BASE]:g} x {group[FACTOR]:g}"
            )
            remedy = "leave apply() out after a checkpoint was loaded; for another world: reapply()"
            raise LearningRateError(message, remedy=remedy)
        if _INITIAL in group:
            message = (
                f"parameter group {index}: a scheduler has taken {float(group[_INITIAL]):g} for"
                " its first learning rate and would bring it back"
            )
            raise LearningRateError(message, remedy="apply() before schedulers are made")
    _check_base([float(group["lr"]) for group in optimizer.param_groups], base)
    for group in optimizer.param_groups:
        group[BASE], group[FACTOR] = float(group["lr"]), factor
        _set(group, "lr", group[BASE] * factor)


def rescale_groups(
    optimizer: Optimizer, schedulers: Iterable[Scheduler], *, base: float, factor: float
) -> None:
    """Give each group the rate for another factor, from its base; schedules keep their place.

    A group that a schedule has brought to a tenth of its scaled rate gets a tenth of the new one.

    Raises:
        LearningRateError: a group has no mark, or no group's base is the base rate.
    """
    groups = optimizer.param_groups
    unmarked = [index for index, group in enumerate(groups) if FACTOR not in group]
    if unmarked:
        message = f"parameter group {unmarked[0]}: its learning rate was never scaled by a plan"
        raise LearningRateError(message, remedy="apply() first; reapply() is for another world")
    _check_base([group[BASE] for group in groups], base)
    scaled = [(group[BASE] * group[FACTOR], group[BASE] * factor) for group in groups]
    for scheduler, active in _flat(schedulers):
        scheduler.base_lrs = [
            float(rate) / old * new
            for rate, (old, new) in zip(scheduler.base_lrs, scaled, strict=True)
        ]
        if hasattr(scheduler, "follow_factor"):  # Warmup's way from the base depends on it
            scheduler.follow_factor(factor, active=active)
    for group, (old, new) in zip(groups, scaled, strict=True):
        for key in {"lr", _INITIAL} & group.keys():
            _set(group, key, float(group[key]) / old * new)
        group[FACTOR] = factor


def _flat(schedulers: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Yield schedulers and those inside of SequentialLR and ChainedScheduler.

    With each comes whether it decides the rate now: of a sequence only one does.
    """
    for scheduler in schedulers:
        inner = getattr(scheduler, "_schedulers", None)
        if inner is None:
            yield scheduler, True
            continue
        milestones = getattr(scheduler, "_milestones", None)
        passed = sum(at <= scheduler.last_epoch for at in milestones or ())
        for index, part in enumerate(inner):
            decides = milestones is None or index == passed
            for found, active in _flat([part]):
                yield found, active and decides


def _check_base(rates: list[float], base: float) -> None:
    if not any(math.isclose(rate, base, rel_tol=1e-6) for rate in rates):
        found = ", ".join(f"{rate:g}" for rate in rates)
        message = f"found learning rates {found} before scaling, wanted the plan's {base:g} in one"
        remedy = "make the optimizer with the base rate, and the plan with the optimizer's"
        raise LearningRateError(message, remedy=remedy)


def _set(group: dict[str, Any], key: str, rate: float) -> None:
    """Set a rate; torch keeps some as tensors, which captured graphs read in place."""
    if hasattr(group[key], "fill_"):
        group[key].fill_(rate)
    else:
        group[key] = rate
