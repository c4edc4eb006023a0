"""Gradual warm-up: the rate grows from its base to what was scaled for the batch.

Goyal et al. 2017, arXiv:1706.02677, section 2.2. Their momentum correction is not needed with
torch's SGD, which keeps the rate out of the momentum buffer (section 3, equation 9).

Layer: training; imports torch, errors and training's param_groups.
"""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR

from mpijob_runtime.errors import LearningRateError
from mpijob_runtime.training.param_groups import FACTOR


class Warmup(LinearLR):  # type: ignore[misc] # torch is not installed where types are checked
    """Grow the rate linearly from its base to the scaled one, in optimizer steps.

    Call ``step()`` after each ``optimizer.step()``. It is torch's LinearLR that knows where to
    begin, so it can be saved with ``state_dict``, and be part of SequentialLR (then ``steps`` is
    the milestone) and ChainedScheduler.

    Args:
        optimizer: a plan was applied to it.
        steps: optimizer steps until the scaled rate is reached; 0 for none.
        last_epoch: the last step done, as torch's schedulers take it; -1 for a start.

    Raises:
        LearningRateError: no plan was applied, ``steps`` is no whole number from 0, or the state
            of a checkpoint was loaded into the optimizer before any scheduler was made.
    """

    def __init__(self, optimizer: Optimizer, steps: int, last_epoch: int = -1) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise LearningRateError(f"steps: found {steps!r:.40}, wanted a whole number from 0")
        group = optimizer.param_groups[0]
        if FACTOR not in group:
            message = "parameter group 0: its learning rate was never scaled by a plan"
            raise LearningRateError(message, remedy="scale_learning_rate(…).apply(optimizer) first")
        scheduled = hasattr(optimizer.step, "_wrapped_by_lr_sched")  # by torch's LRScheduler
        if last_epoch == -1 and "initial_lr" in group and not scheduled:
            message = "the optimizer has a loaded state: a warm-up made now would begin anew"
            raise LearningRateError(message, remedy="make all schedulers, then load both states")
        super().__init__(
            optimizer,
            start_factor=_start(group[FACTOR], steps),
            total_iters=steps,
            last_epoch=last_epoch,
        )

    def follow_factor(self, factor: float, *, active: bool) -> None:
        """Begin at the base rate for another factor; `LearningRatePlan.reapply` calls this.

        Args:
            factor: the scaled rate over the base rate.
            active: whether this scheduler decides the rate now, which then changes.
        """
        before = self._share()
        self.start_factor = _start(factor, self.total_iters)
        if active:
            for group in self.optimizer.param_groups:
                group["lr"] = group["lr"] * (self._share() / before)

    def _share(self) -> float:
        """Return the rate over the scaled rate at this step."""
        done = min(self.last_epoch / self.total_iters, 1.0) if self.total_iters else 1.0
        return float(self.start_factor + (self.end_factor - self.start_factor) * done)


def _start(factor: float, steps: int) -> float:
    """Return the first rate over the scaled one; a rate that shrinks needs no warm-up."""
    return 1 / max(factor, 1.0) if steps else 1.0
