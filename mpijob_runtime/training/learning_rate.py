"""The learning rate for a larger batch: a plan that explains itself.

    rule     learning rate                    source
    linear   base x batch / base batch        Goyal et al. 2017, arXiv:1706.02677 (SGD)
    sqrt     base x sqrt(batch / base batch)  Krizhevsky 2014, arXiv:1404.5997;
                                              Malladi et al. 2022, arXiv:2205.10287 (Adam)
    none     base                             for comparison
    adasum   base x averaged ranks            Maleki et al. 2021, arXiv:2006.02924, and the
                                              AdaSum guide of Horovod

Layer: pure; imports errors and training's param_groups.
"""

import math
import warnings
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Literal, get_args

from mpijob_runtime.errors import LearningRateError
from mpijob_runtime.training.param_groups import (
    Optimizer,
    Scheduler,
    is_adaptive,
    rescale_groups,
    scale_groups,
)

Rule = Literal["linear", "sqrt", "none"]
RULES: tuple[Rule, ...] = get_args(Rule)
SAFE_FACTOR = 8
"""Beyond it a rate without warm-up is warned of. Goyal et al. took base rates for a batch of 256
and saw early divergence at 8,192; the limit between is this project's choice.
"""

_MOST = 10**12
_ADASUM = "adasum"
_FORMULAS = {
    "linear": "base x batch / base batch",
    "sqrt": "base x sqrt(batch / base batch)",
    "none": "base",
    _ADASUM: "base x averaged ranks x accumulation (base alone on CPU)",
}
_SOURCES = {
    "linear": "Goyal et al. 2017, arXiv:1706.02677",
    "sqrt": "Krizhevsky 2014, arXiv:1404.5997",
    "none": "the base rate as it is",
    _ADASUM: "AdaSum guide of Horovod; Maleki et al. 2021, arXiv:2006.02924",
}


@dataclass(frozen=True, slots=True)
class LearningRatePlan:
    """A learning rate for a batch, and how it came about.

    Attributes:
        base_lr: the rate that is right for ``base_global_batch``.
        base_global_batch: samples per optimizer step over all ranks that ``base_lr`` is for.
        micro_batch: samples of one rank per backward pass.
        world_size: how many ranks take part.
        accumulation: backward passes per optimizer step.
        rule: ``linear``, ``sqrt`` or ``none``; ``adasum`` where that reduces the gradients.
        warmup_steps: optimizer steps over which the rate will grow; 0 for none.
        factor: what the base rate is multiplied with.
        warnings: what may go wrong with this rate, in sentences.
    """

    base_lr: float
    base_global_batch: int
    micro_batch: int
    world_size: int
    accumulation: int
    rule: str
    warmup_steps: int
    factor: float
    warnings: tuple[str, ...]

    @property
    def effective_batch(self) -> int:
        """Samples per optimizer step, over all ranks."""
        return self.micro_batch * self.accumulation * self.world_size

    @property
    def learning_rate(self) -> float:
        """The rate for the effective batch, once it is warm."""
        return self.base_lr * self.factor

    @property
    def formula(self) -> str:
        """How the rate is computed from the base rate."""
        return _FORMULAS[self.rule]

    @property
    def source(self) -> str:
        """Where the formula is from."""
        return _SOURCES[self.rule]

    def explain(self) -> str:
        """Return the arithmetic, its source and all warnings, in some lines for people."""
        batch = f"{self.micro_batch} x {self.accumulation} passes x {self.world_size} ranks"
        lines = [
            f"learning rate {self.learning_rate:g} = {self.base_lr:g} x {self.factor:g}",
            f"  rule {self.rule}: {self.formula} ({self.source})",
            f"  batch {self.effective_batch} = {batch}; base batch {self.base_global_batch}",
        ]
        if self.warmup_steps:
            lines.append(f"  warm-up: from {self.base_lr:g} over {self.warmup_steps} steps")
        return "\n".join([*lines, *(f"  warning: {text}" for text in self.warnings)])

    def to_json(self) -> dict[str, object]:
        """Return all of the plan as JSON types."""
        computed = ("effective_batch", "learning_rate", "formula", "source")
        return {
            **asdict(self),
            **{name: getattr(self, name) for name in computed},
            "warnings": list(self.warnings),
        }

    def warnings_for(self, optimizer: Optimizer) -> tuple[str, ...]:
        """Return the plan's warnings and those about this optimizer."""
        found = list(self.warnings)
        if self.rule == "linear" and self.factor != 1 and is_adaptive(optimizer):
            found.append(
                f"the linear rule is for SGD; {type(optimizer).__name__} is better served by 'sqrt'"
                " (arXiv:2205.10287)"
            )
        passes = getattr(optimizer, "backward_passes_per_step", self.accumulation)
        if passes != self.accumulation:
            found.append(
                f"the optimizer has backward_passes_per_step={passes}, the plan"
                f" accumulation={self.accumulation}"
            )
        return tuple(found)

    def apply(self, optimizer: Optimizer) -> None:
        """Multiply the rate of each parameter group with the factor; once only.

        The optimizer is one made with the base rate; groups with other rates keep their ratio.
        Call it before schedulers are made. Warnings are given as Python warnings.

        Raises:
            LearningRateError: it was done already, here or in the run that a loaded checkpoint is
                from; a scheduler exists; or no group has the base rate.
        """
        scale_groups(optimizer, base=self.base_lr, factor=self.factor)
        for text in self.warnings_for(optimizer):
            warnings.warn(text, stacklevel=2)

    def reapply(self, optimizer: Optimizer, *schedulers: Scheduler) -> None:
        """Take the factor of this plan in place of the one that was applied.

        For a job that goes on with another world size or batch: after its checkpoint was loaded.
        Rates are derived from the groups' base rates again; where schedulers have changed them,
        the share is kept. Floors such as CosineAnnealingLR's ``eta_min`` are left alone.

        Args:
            optimizer: its groups were scaled by `apply`.
            schedulers: all that act on it; those inside of others need not be named.

        Raises:
            LearningRateError: nothing was applied before, or from another base rate.
        """
        rescale_groups(optimizer, schedulers, base=self.base_lr, factor=self.factor)
        for text in self.warnings_for(optimizer):
            warnings.warn(text, stacklevel=2)


def scale_learning_rate(  # noqa: PLR0913 - what a rate depends on
    base_lr: float,
    base_global_batch: int,
    micro_batch: int,
    world_size: int,
    accumulation: int = 1,
    rule: Rule = "linear",
    *,
    adasum: int | None = None,
    warmup_steps: int = 0,
) -> LearningRatePlan:
    """Return the plan for a batch, from a rate that is right for another one.

    Args:
        base_lr: the learning rate that was found with ``base_global_batch``.
        base_global_batch: samples per optimizer step, over all ranks.
        micro_batch: samples of one rank per backward pass.
        world_size: how many ranks take part.
        accumulation: backward passes per optimizer step.
        rule: how the rate grows with the batch; see the module.
        adasum: where Horovod's AdaSum reduces gradients, how many ranks are averaged before it:
            the local size where Horovod was built with NCCL, else 1. It takes the rule's place,
            and the base batch is then one rank's.
        warmup_steps: optimizer steps of the `Warmup` that will be used.

    Raises:
        LearningRateError: a number below 1, no whole number, NaN, infinite, a rate that is not
            positive, or an unknown rule. It is a ValueError, too.
    """
    base_lr = _rate(base_lr)
    batch = _whole("base_global_batch", base_global_batch)
    micro = _whole("micro_batch", micro_batch)
    world = _whole("world_size", world_size)
    passes = _whole("accumulation", accumulation)
    warmup = _whole("warmup_steps", warmup_steps, least=0)
    if rule not in RULES:
        raise LearningRateError(f"rule: found {rule!r}, wanted one of {', '.join(RULES)}")
    ratio = micro * passes * world / batch
    notes: tuple[str, ...] = ()
    if adasum is None:
        factor = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[rule]
    else:
        averaged = _adasum(adasum, rule, world)
        factor = float(averaged * passes) if averaged > 1 else 1.0
        notes = _adasum_warnings(averaged, world=world, base_batch=batch, micro=micro)
    if not math.isfinite(base_lr * factor):
        raise LearningRateError(f"found {base_lr:g} x {factor:g}, wanted a finite learning rate")
    notes += _warnings(factor, passes, warmup)
    named = rule if adasum is None else _ADASUM
    return LearningRatePlan(base_lr, batch, micro, world, passes, named, warmup, factor, notes)


def _warnings(factor: float, passes: int, warmup_steps: int) -> tuple[str, ...]:
    found = []
    if factor > SAFE_FACTOR and not warmup_steps:
        found.append(
            f"the rate grows to {factor:g} times its base without warm-up, which often diverges:"
            " use Warmup (arXiv:1706.02677, section 2.2)"
        )
    if passes > 1:
        found.append(
            f"gradients of {passes} backward passes add up, in torch as with Horovod's"
            f" backward_passes_per_step: divide the loss by {passes}"
        )
    return tuple(found)


def _adasum(averaged: object, rule: str, world: int) -> int:
    """Return how many ranks are averaged before AdaSum."""
    if rule != "linear":
        message = f"found rule {rule!r} and adasum, wanted one: AdaSum has a factor of its own"
        raise LearningRateError(message)
    found = _whole("adasum", averaged)
    if world % found:
        message = f"adasum: found {found}, wanted a divisor of the world size {world}"
        raise LearningRateError(message, remedy="give the local size with NCCL, 1 on CPU")
    return found


def _adasum_warnings(averaged: int, *, world: int, base_batch: int, micro: int) -> tuple[str, ...]:
    found = []
    combined = world // averaged
    if combined & (combined - 1):
        found.append(f"AdaSum combines {combined} gradients here; Horovod needs a power of two")
    if combined == 1 < world:
        found.append("all ranks are averaged: on one host with NCCL no AdaSum takes place")
    if base_batch != micro:
        found.append(
            f"with AdaSum the base rate is one rank's, for {micro} samples; the base batch of"
            f" {base_batch} is not looked at"
        )
    return tuple(found)


def _whole(name: str, value: object, *, least: int = 1) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    number = int(value) if whole else least - 1  # type: ignore[call-overload] # an Integral
    if not least <= number <= _MOST:
        wanted = f"a whole number from {least} to {_MOST:.0e}"
        raise LearningRateError(f"{name}: found {_shown(value)}, wanted {wanted}")
    return int(number)


def _rate(value: object) -> float:
    real = isinstance(value, Real) and not isinstance(value, bool)
    try:
        rate = float(value) if real else math.nan  # type: ignore[arg-type] # a Real
    except OverflowError:
        rate = math.inf
    if not 0 < rate < math.inf:
        raise LearningRateError(f"base_lr: found {_shown(value)}, wanted a positive number")
    return rate


def _shown(value: object) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:  # Python prints no number of more than 4,300 digits
        return "a huge number"
