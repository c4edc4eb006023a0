"""Which gradients travel together, and when they may leave: DDP's buckets and Horovod's fusion.

DDP (torch/csrc/distributed/c10d/reducer.cpp, compute_bucket_assignment_by_size): gradients are
taken in the order in which they got ready in the first step; a bucket is closed by the gradient
that brings it to its cap or above, so it may be larger than the cap, and a gradient larger than the
cap shares a bucket with those that wait before it. If no cap is given it is 25 MiB, and 1 MiB for
the first bucket; a cap that is given holds for the first one as well (torch 2.13, distributed.py).

Horovod (horovod/common/operations.cc, RunLoopOnce; controller.cc, FuseResponses): a background
thread wakes once a cycle, takes what is ready, agrees with the other ranks' threads which of it is
ready on all (response_cache.cc: an allreduce of one bit a tensor, even if there is none), and fuses
in order what fits into the threshold (it looks beyond one that does not fit only where number
formats are mixed). A tensor above the threshold travels by itself. The thread is busy while it
agrees and exchanges; the next cycle waits.

Layer: pure; imports profiles.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mpijob_bench.profiles import Gradient

MIB = 1 << 20
FIRST_BUCKET_BYTES = MIB
"""DDP's cap of the first bucket, if bucket_cap_mb is not given."""

BUCKET_BYTES = 25 * MIB
"""DDP's cap of the others then."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Gradients that are reduced in one collective.

    Attributes:
        bytes: without compression.
        ready_seconds: when the last of them is there, from the start of the backward pass.
        gradients: how many.
    """

    bytes: int
    ready_seconds: float
    gradients: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """A bucket on the channel; all times in seconds from the start of the backward pass.

    Attributes:
        bucket: what is sent.
        start_seconds: when the channel takes it.
        end_seconds: when all ranks have the sum.
    """

    bucket: Bucket
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Cycle:
    """How Horovod's thread wakes.

    Attributes:
        seconds: from one waking to the next, above 0.
        negotiation_seconds: what ranks take each time to agree on what is ready.
        phase: where in a cycle the backward pass begins, from 0 to 1: chance in a job.
    """

    seconds: float
    negotiation_seconds: float = 0.0
    phase: float = 0.5


Cost = Callable[[int], float]
"""Seconds of an allreduce of so many bytes."""


def ddp_buckets(
    gradients: Sequence[Gradient], cap_bytes: float | None = None
) -> tuple[Bucket, ...]:
    """Return DDP's buckets, in the order in which they get ready.

    Args:
        gradients: in the order in which they get ready.
        cap_bytes: of each bucket; None is DDP's default, which has a small first one.
    """
    buckets, waiting = [], list[Gradient]()
    cap, cap_bytes = (FIRST_BUCKET_BYTES, BUCKET_BYTES) if cap_bytes is None else (cap_bytes,) * 2
    for gradient in gradients:
        waiting.append(gradient)
        if sum(one.bytes for one in waiting) >= cap:
            buckets.append(_bucket(waiting))
            waiting, cap = [], cap_bytes
    return (*buckets, _bucket(waiting)) if waiting else tuple(buckets)


def serial(buckets: Sequence[Bucket], cost: Cost, *, scale: float = 1.0) -> tuple[Transfer, ...]:
    """Return when one serial channel sends buckets that leave in their order.

    Args:
        buckets: in the order in which they get ready.
        cost: of an allreduce.
        scale: what the times of compute are multiplied by.
    """
    sent, free = list[Transfer](), 0.0
    for bucket in buckets:
        start = max(free, bucket.ready_seconds * scale)
        free = start + cost(bucket.bytes)
        sent.append(Transfer(bucket, start, free))
    return tuple(sent)


def horovod_transfers(
    gradients: Sequence[Gradient],
    cost: Cost,
    *,
    threshold_bytes: int,
    cycle: Cycle,
    scale: float = 1.0,
) -> tuple[Transfer, ...]:
    """Return when Horovod sends gradients.

    Args:
        gradients: in the order in which they get ready.
        cost: of an allreduce.
        threshold_bytes: of the fusion buffer, before compression.
        cycle: of the thread that sends.
        scale: what the times of compute are multiplied by.
    """
    idle = max(cycle.seconds, cycle.negotiation_seconds)
    sent, waiting, wake = list[Transfer](), list(gradients), idle * cycle.phase
    while waiting:
        first = waiting[0].ready_seconds * scale
        wake += max(math.ceil((first - wake) / idle), 0) * idle
        ready = [one for one in waiting if one.ready_seconds * scale <= wake]
        waiting = waiting[len(ready) :]
        free = wake + cycle.negotiation_seconds
        for bucket in _fused(ready, threshold_bytes):
            start, free = free, free + cost(bucket.bytes)
            sent.append(Transfer(bucket, start, free))
        wake = max(wake + cycle.seconds, free)
    return tuple(sent)


def _fused(ready: Sequence[Gradient], threshold: int) -> Iterator[Bucket]:
    taken, size = list[Gradient](), 0
    for gradient in ready:
        if taken and size + gradient.bytes > threshold:
            yield _bucket(taken)
            taken, size = [], 0
        taken.append(gradient)
        size += gradient.bytes
    if taken:
        yield _bucket(taken)


def _bucket(gradients: Sequence[Gradient]) -> Bucket:
    size = sum(one.bytes for one in gradients)
    return Bucket(size, max(one.ready_seconds for one in gradients), len(gradients))
