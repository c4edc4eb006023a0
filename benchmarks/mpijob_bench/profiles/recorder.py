"""Times training steps with a mark at each gradient, and takes medians."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mpijob_bench.models import Network
from mpijob_bench.profiles.clocks import Clock
from mpijob_bench.profiles.profile import Gradient

QUARTERS = 4


@dataclass(frozen=True)
class Step:
    """The times of one step in seconds; `ready` is empty for a step without marks."""

    forward: float
    backward: float
    optimizer: float
    ready: dict[str, float]

    @property
    def total(self) -> float:
        """The whole step."""
        return self.forward + self.backward + self.optimizer


class Recorder:
    """Runs steps of one network on one batch."""

    def __init__(
        self, network: Network, optimizer: Optimizer, clock: Clock, cast: torch.autocast
    ) -> None:
        """Put a hook at each parameter.

        Args:
            network: The network, on its device.
            optimizer: The optimizer of its parameters.
            clock: The clock of that device.
            cast: The context of the forward pass.
        """
        self._network = network
        self._optimizer = optimizer
        self._clock = clock
        self._cast = cast
        self._marks: list[tuple[str, Any]] | None = None
        for name, parameter in network.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda _tensor, name=name: self._mark(name)
            )

    def _mark(self, name: str) -> None:
        if self._marks is not None:
            self._marks.append((name, self._clock.mark()))

    def step(self, inputs: Tensor, targets: Tensor, *, marks: bool) -> Step:
        """Run one step and return its times; with a mark at each gradient, or none for contrast."""
        clock = self._clock
        clock.settle()
        self._optimizer.zero_grad(set_to_none=True)
        self._marks = [] if marks else None
        start = clock.mark()
        with self._cast:
            loss = self._network.loss(self._network(inputs), targets)
        forward = clock.mark()
        loss.backward()
        backward = clock.mark()
        self._optimizer.step()
        end = clock.mark()
        clock.settle()
        return Step(
            forward=clock.seconds_between(start, forward),
            backward=clock.seconds_between(forward, backward),
            optimizer=clock.seconds_between(backward, end),
            ready={name: clock.seconds_between(forward, mark) for name, mark in self._marks or ()},
        )


def median_gradients(network: Network, steps: Sequence[Step]) -> tuple[Gradient, ...]:
    """Return each gradient with its median time, in the order of these.

    A median keeps an order that all steps share, so none is later than the median backward pass.
    """
    gradients = (
        Gradient(
            name=name,
            elements=parameter.numel(),
            bytes=parameter.numel() * parameter.itemsize,
            ready_seconds=statistics.median(step.ready[name] for step in steps),
        )
        for name, parameter in network.named_parameters()
    )
    return tuple(sorted(gradients, key=lambda gradient: gradient.ready_seconds))


def spread(seconds: Iterable[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, median, high = statistics.quantiles(seconds, n=QUARTERS)
    return {"low_quartile": low, "median": median, "high_quartile": high}
