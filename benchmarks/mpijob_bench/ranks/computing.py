"""What a rank computes in a step: a real network, or waits at the times of a profile."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mpijob_bench.models import create
from mpijob_bench.plan import Emulation, Inject
from mpijob_bench.profiles.profile import Profile
from mpijob_bench.ranks.clock_waits import be_punctual, wait_until

Gradient = Callable[[nn.Parameter], Tensor]
"""Gives a parameter's gradient."""

_LONGEST_GROUP = 0.02  # of the backward pass
_SKEW = 0.01  # of the backward pass, over all ranks


class Computing(Protocol):
    """The part of a step that is done without other ranks.

    Attributes:
        module: what DDP wraps, or whose parameters Horovod reduces.
        samples: of one step.
    """

    module: nn.Module
    samples: int

    def backward(self, wrapped: nn.Module) -> None:
        """Do forward and backward pass through the module, wrapped or not."""

    def update(self) -> None:
        """Do the optimizer's step and forget the gradients."""

    def lateness(self) -> list[float]:
        """Return how late each wait since the last call ended, as shares of its phase."""

    def known_gradients(self, gradient: Gradient) -> AbstractContextManager[None]:
        """Give parameters these gradients in the backward passes within."""


class NetworkComputing:
    """A real network on a synthetic batch.

    Args:
        name: of the network.
        size: changes of its size.
        batch: samples of a step.
        device: where.
    """

    def __init__(
        self, name: str, size: dict[str, Any], *, batch: int, device: torch.device
    ) -> None:
        torch.manual_seed(0)
        self.module = create(name, **size).to(device)
        inputs, targets = self.module.example(batch)
        self._batch = inputs.to(device), targets.to(device)
        self._optimizer = torch.optim.SGD(self.module.parameters(), lr=1e-3, momentum=0.9)
        self.samples = batch

    def backward(self, wrapped: nn.Module) -> None:
        """Do forward and backward pass; 16 bits on a GPU, as training there does."""
        inputs, targets = self._batch
        gpu = inputs.device.type == "cuda"
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=gpu):
            loss = self.module.loss(wrapped(inputs), targets)
        loss.backward()

    def update(self) -> None:
        """Do SGD's step."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def lateness(self) -> list[float]:
        """Return nothing: a network computes as long as it does."""
        return []

    @contextmanager
    def known_gradients(self, gradient: Gradient) -> Iterator[None]:
        """Replace gradients when they are ready, before anybody sends them."""
        hooks = [
            parameter.register_hook(lambda _, parameter=parameter: gradient(parameter))
            for parameter in self.module.parameters()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


class ProfileComputing:
    """Waits until the moments of a gradient-ready profile; parameters are smaller by a factor.

    Moments are absolute, from the start of the step: what the host is late in one of them does
    not delay the next, as on a device that runs behind its host.

    Args:
        profile: the moments and the sizes.
        emulation: the scales, jitter and faults.
        rank: whose jitter, faults and place in time they are.
        ranks: of the launch, whether they reduce together or not: they share this machine.
        seed: of jitter and stalls.
    """

    def __init__(
        self, profile: Profile, emulation: Emulation, *, rank: int, ranks: int, seed: int
    ) -> None:
        be_punctual()
        self._emulation, self._profile, self._rank = emulation, profile, rank
        self._random = random.Random(f"{seed}-{rank}")
        self._late: list[float] = []
        self.module = _Waiting(profile, emulation.byte_scale, skew=_SKEW * rank / ranks)
        self.samples = profile.batch_size

    def backward(self, wrapped: nn.Module) -> None:
        """Wait for the forward pass, then for each gradient."""
        scale = self._emulation.time_scale * self._pace()
        start = time.monotonic() + self._stall()
        forward = self._profile.forward_seconds * scale
        self._late.append(wait_until(start + forward) / forward)
        self.module.begin(start + forward, scale)
        wrapped(self.module.start).backward()
        backward = self._profile.backward_seconds * scale
        self._late += [late / backward for late in self.module.late]
        if self._emulation.inject.wrong_elements and self._rank == 0:
            _spoil(self.module.tensors[0], self._emulation.inject.wrong_elements)

    def update(self) -> None:
        """Wait as long as the optimizer works."""
        wait_until(time.monotonic() + self._profile.optimizer_seconds * self._emulation.time_scale)
        for tensor in self.module.tensors:
            tensor.grad = None

    def lateness(self) -> list[float]:
        """Return how late the forward pass and each gradient were, as shares of their pass."""
        late, self._late = self._late, []
        return late

    @contextmanager
    def known_gradients(self, gradient: Gradient) -> Iterator[None]:
        """Give gradients other values than 0."""
        self.module.fill(gradient)
        try:
            yield
        finally:
            self.module.fill(torch.zeros_like)

    def _pace(self) -> float:
        inject, spread = self._emulation.inject, self._emulation.jitter_cv
        slow = 1 + inject.slow_share if self._rank == inject.slow_rank else 1.0
        return slow * (self._random.lognormvariate(-(spread**2) / 2, spread) if spread else 1.0)

    def _stall(self) -> float:
        inject: Inject = self._emulation.inject
        if not inject.stall_seconds or self._random.random() >= inject.stall_share:
            return 0.0
        return inject.stall_seconds * self._emulation.time_scale


class _Waiting(nn.Module):
    """Parameters of a profile's sizes, whose gradients come at its times."""

    def __init__(self, profile: Profile, byte_scale: float, *, skew: float) -> None:
        super().__init__()
        self.skew = skew
        sizes = [max(1, round(gradient.elements / byte_scale)) for gradient in profile.gradients]
        # registered in the order of the forward pass, as a network's are
        self.tensors = [nn.Parameter(torch.zeros(size)) for size in sizes]
        for index, tensor in reversed(list(enumerate(self.tensors))):
            self.register_parameter(f"gradient_{index}", tensor)
        self.start = torch.zeros(1, requires_grad=True)
        self.ready = [gradient.ready_seconds for gradient in profile.gradients]
        self.groups = group_ready(self.ready, profile.backward_seconds * _LONGEST_GROUP)
        self.gradients = [torch.zeros_like(tensor) for tensor in self.tensors]
        self.late: list[float] = []

    def begin(self, moment: float, scale: float) -> None:
        """Take note of when the backward pass begins and how long it lasts."""
        self.moment, self.scale = moment, scale
        self.late = []

    def fill(self, gradient: Gradient) -> None:
        """Give all gradients other values."""
        for tensor, own in zip(self.tensors, self.gradients, strict=True):
            own.copy_(gradient(tensor))

    def forward(self, start: Tensor) -> Tensor:
        """Chain the waits; the gradients that are ready first are the last ones here."""
        for group in reversed(self.groups):
            start = _Wait.apply(start, self, group, *(self.tensors[index] for index in group))
        return start

    def wait(self, group: range) -> list[Tensor]:
        """Wait until the last gradient of a group is ready and return all.

        Ranks are up to 1 % of the backward pass apart in it, so that not all nodes want the
        processors of this machine at the same moment; its end is the same for all.
        """
        end = self.ready[-1]
        ready = min(self.ready[group[-1]] + self.skew * end, end)
        self.late.append(wait_until(self.moment + ready * self.scale))
        return [self.gradients[index] for index in group]


class _Wait(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        start: Tensor,
        module: _Waiting,
        group: range,
        *_tensors: Tensor,
    ) -> Tensor:
        ctx.module, ctx.group = module, group
        return start.clone()

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        gradient: Tensor,
    ) -> tuple[Tensor | None, ...]:
        return gradient, None, None, *ctx.module.wait(ctx.group)


def group_ready(ready: Sequence[float], longest: float) -> list[range]:
    """Return runs of gradients that are waited for at once, up to the last one of each.

    A wait costs a host some 100 µs, and eight nodes share it; gradients that come within 2 % of
    the backward pass come together.

    Args:
        ready: moments, ascending.
        longest: time from a run's first moment to its last.
    """
    groups: list[range] = []
    for index, moment in enumerate(ready):
        if groups and moment - ready[groups[-1].start] <= longest:
            groups[-1] = range(groups[-1].start, index + 1)
        else:
            groups.append(range(index, index + 1))
    return groups


def _spoil(tensor: nn.Parameter, count: int) -> None:
    if tensor.grad is not None:
        tensor.grad.view(-1)[:count] += 1
