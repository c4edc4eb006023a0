"""What efficiency to expect, from a profile and the cost of an allreduce alone.

No training of several nodes enters, so it can be held against the measured efficiency. One serial
channel sends the buckets in the order in which they get ready; with forward pass f, backward pass
b, optimizer o, ready times r_k and costs c_k

    t_1 = a (f + b) + o
    t_N = t_1 - b + max(b, max over k of (r_k + sum of c_j for j >= k))
    E = t_1 / (t_N + e_N sigma sqrt(a))

where a is the number of accumulated passes, sigma the standard deviation of a rank's compute from
step to step, and e_N the expectation of the largest of N standard normals: all wait for the last.
The serial channel that starts each bucket as soon as it can is this maximum (max-plus algebra).
Horovod's channel also waits for its cycles, each of which costs an allreduce of a few bytes; where
in a cycle a step begins is chance, so its loss is the mean over phases.
Compression divides what is sent; its own time is not in the model, nor is what communication
takes from compute, so the prediction is an upper bound.

Layer: pure; imports numpy, scipy, plan, profiles, buckets and allreduce.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

import numpy as np
from scipy import stats

from mpijob_bench.allreduce import Allreduce
from mpijob_bench.buckets import MIB, Cycle, Transfer, ddp_buckets, horovod_transfers, serial
from mpijob_bench.plan import CYCLE_MS, FUSION_MB, Framework
from mpijob_bench.profiles import Profile

COMPRESSION_RATIO: Mapping[str, float] = {"none": 1.0, "fp16": 2.0, "bf16": 2.0}
"""Bytes of a gradient in fp32 / bytes that are sent."""

_PHASES = tuple(number / 10 for number in range(1, 10))
_MIDDLE = 0.5
_STATUS_BITS, _WORD_BITS = 3, 64  # horovod/common/response_cache.h
_WIDEST = 9.0  # standard deviations; beyond is less than 1e-18
_POINTS = 20_001


@dataclass(frozen=True, slots=True)
class Setup:
    """What is predicted.

    Attributes:
        profile: of one step on one device.
        allreduce: its cost.
        ranks: of the job.
        framework: whose rules make buckets.
        bucket_mb: DDP's cap in MiB; None is its default: 25, and 1 for the first bucket.
        fusion_mb: Horovod's threshold in MiB, of what is sent.
        cycle_seconds: Horovod's cycle.
        compression: bytes of a gradient / bytes that are sent.
        accumulation: passes before gradients are exchanged.
        batch_scale: what forward and backward pass are multiplied by.
        time_scale: of an emulation: what all compute is multiplied by; also fits a profile to a
            device.
        byte_scale: of an emulation: what all sizes are divided by.
        jitter_seconds: standard deviation of a rank's compute from step to step, as it runs.
    """

    profile: Profile
    allreduce: Allreduce
    ranks: int
    framework: Framework = "ddp"
    bucket_mb: float | None = None
    fusion_mb: float = FUSION_MB
    cycle_seconds: float = CYCLE_MS / 1e3
    compression: float = 1.0
    accumulation: int = 1
    batch_scale: float = 1.0
    time_scale: float = 1.0
    byte_scale: float = 1.0
    jitter_seconds: float = 0.0

    def with_ranks(self, ranks: int) -> "Setup":
        """Return the same for another number of ranks."""
        return replace(self, ranks=ranks)

    def cost_seconds(self, size_bytes: int) -> float:
        """Return what a bucket costs, as it is sent."""
        sent = size_bytes / self.compression / self.byte_scale
        return self.allreduce.cost_seconds(sent, ranks=self.ranks)

    @property
    def negotiation_seconds(self) -> float:
        """What Horovod's ranks take to agree on what is ready: a bit for each tensor, in words."""
        words = math.ceil((len(self.profile.gradients) + _STATUS_BITS) / _WORD_BITS)
        return self.allreduce.cost_seconds(words * _WORD_BITS / 8, ranks=self.ranks)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says.

    Attributes:
        efficiency: expected, from 0 to 1.
        alone_seconds: a step of a node by itself, all accumulated passes of it.
        exposed_seconds: of communication that compute does not cover, a step.
        straggler_seconds: waited for the last rank, a step.
        timeline: the buckets, from the start of the last backward pass; Horovod's where that falls
            into the middle of a cycle.
    """

    efficiency: float
    alone_seconds: float
    exposed_seconds: float
    straggler_seconds: float
    timeline: tuple[Transfer, ...]

    @property
    def together_seconds(self) -> float:
        """A step of the job."""
        return self.alone_seconds + self.exposed_seconds + self.straggler_seconds


def predict(setup: Setup) -> Prediction:
    """Return the efficiency to be expected."""
    profile = setup.profile
    backward = profile.backward_seconds * setup.time_scale * setup.batch_scale
    phases = _PHASES if setup.framework == "horovod" else (_MIDDLE,)
    timelines = {phase: transfers(setup, phase) if setup.ranks > 1 else () for phase in phases}
    exposed = fmean(_beyond(backward, timeline) for timeline in timelines.values())
    wait = expected_largest(setup.ranks) * setup.jitter_seconds * math.sqrt(setup.accumulation)
    passes = setup.accumulation * setup.batch_scale
    alone = setup.time_scale * profile.accumulated_seconds(passes)
    efficiency = alone / (alone + exposed + wait)
    return Prediction(efficiency, alone, exposed, wait, timelines[_MIDDLE])


def _beyond(backward_seconds: float, timeline: Sequence[Transfer]) -> float:
    """Return for how long buckets are still being sent after the backward pass."""
    return max([sent.end_seconds - backward_seconds for sent in timeline] + [0.0])


def transfers(setup: Setup, phase: float = _MIDDLE) -> tuple[Transfer, ...]:
    """Return when each bucket is sent, with Horovod's cycle in that phase."""
    scale = setup.time_scale * setup.batch_scale
    gradients = setup.profile.gradients
    if setup.framework == "horovod":
        return horovod_transfers(
            gradients,
            setup.cost_seconds,
            threshold_bytes=int(setup.fusion_mb * MIB * setup.compression),
            cycle=Cycle(setup.cycle_seconds, setup.negotiation_seconds, phase),
            scale=scale,
        )
    buckets = ddp_buckets(gradients, None if setup.bucket_mb is None else setup.bucket_mb * MIB)
    return serial(buckets, setup.cost_seconds, scale=scale)


@cache
def expected_largest(count: int) -> float:
    """Return the expectation of the largest of so many standard normals: e_8 = 1.42."""
    if count == 1:
        return 0.0
    grid = np.linspace(-_WIDEST, _WIDEST, _POINTS)
    density = count * stats.norm.pdf(grid) * stats.norm.cdf(grid) ** (count - 1)
    return float(np.trapezoid(grid * density, grid))
