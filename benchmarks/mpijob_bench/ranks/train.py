"""A rank of a launch: blocks of steps, one for each mode, and what came of them.

    python -m mpijob_bench.ranks.train --plan PLAN-AS-JSON --launch 3 --alone

Told to the launcher: ``steps`` (a run of durations), ``block`` (the end of one), ``rank``.
"""

import argparse
import gc
import itertools
import json
import math
import os
import random
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from mpijob_bench.buckets import BUCKET_BYTES
from mpijob_bench.environment import shown_environment
from mpijob_bench.plan import Plan, checked_plan
from mpijob_bench.profiles.profile import Profile, read_profile, shipped
from mpijob_bench.ranks.checking import check_all_reduce, check_gradients, horovod_sum
from mpijob_bench.ranks.computing import Computing, NetworkComputing, ProfileComputing
from mpijob_bench.ranks.counters import data_interface, read_counters
from mpijob_bench.ranks.reducing import (
    MODES,
    DdpReducing,
    HorovodReducing,
    Mode,
    Reducing,
)
from mpijob_bench.ranks.tell import tell
from mpijob_bench.steadiness import WINDOW, is_drifting
from mpijob_runtime.errors import WorldError
from mpijob_runtime.training import init_process_group, world

_TELL_SECONDS = 5.0
_MOST_STEPS_TOLD = 4096
_BYTES = 4  # of a number in a gradient
_MOST_FURTHER = 4  # times the plan's steps of warm-up, while they drift
_DRIFTING_SHARE = 0.25  # of the ranks: with many, some look like it by chance


@dataclass(frozen=True)
class Place:
    """This rank among those that it reduces with.

    Attributes:
        rank: in the launch.
        ranks: of the group: the whole launch, or this node's.
        group: torch's.
        device: where tensors belong.
    """

    rank: int
    ranks: Sequence[int]
    group: dist.ProcessGroup
    device: torch.device


class Blocks:
    """The blocks of one launch on this rank."""

    def __init__(self, plan: Plan, place: Place, *, seed: int) -> None:
        self._plan, self._place, self._seed = plan, place, seed
        self._interface = data_interface()
        self._profile: Profile | None = None
        if plan.workload.kind == "profile":
            self._profile = read_profile(shipped(plan.workload.name))
        self.wrong_elements = 0

    def run(self, mode: Mode) -> None:
        """Warm up, measure, tell."""
        computing = self._computing()
        reducing = self._reducing(computing, mode)
        steps = self._plan.steps.full if mode == "full" else self._plan.steps.ablation
        settled = self._warm_up(reducing, computing, mode)
        dist.barrier()
        before, started = read_counters(self._interface), time.monotonic()
        self._measure(reducing, computing, mode, steps)
        seconds = time.monotonic() - started
        after = read_counters(self._interface)
        if mode == "full":
            options = self._plan.workload.options
            self.wrong_elements += check_gradients(
                computing,
                reducing.step,
                self._place.ranks,
                self._place.rank,
                passes=options.accumulation,
                compression=options.compression,
            )
        dist.barrier()
        tell(
            "block",
            mode=mode,
            steps=steps,
            samples=steps * computing.samples * self._plan.workload.options.accumulation,
            seconds=seconds,
            settled=settled,
            late=_summary(computing.lateness()),
            interface=self._interface,
            before=asdict(before),
            after=asdict(after),
        )
        del reducing, computing
        gc.collect()

    def _computing(self) -> Computing:
        workload, place = self._plan.workload, self._place
        if self._profile is None:
            size = dict(workload.size)
            return NetworkComputing(workload.name, size, batch=workload.batch, device=place.device)
        assert self._plan.emulation is not None
        return ProfileComputing(
            self._profile,
            self._plan.emulation,
            rank=place.rank,
            ranks=dist.get_world_size(),
            seed=self._seed,
        )

    def _reducing(self, computing: Computing, mode: Mode) -> Reducing:
        workload, emulation = self._plan.workload, self._plan.emulation
        if workload.framework == "horovod":
            return HorovodReducing(computing, mode, workload.options)
        delay = emulation.inject.hook_delay_seconds * emulation.time_scale if emulation else 0.0
        return DdpReducing(
            computing,
            mode,
            workload.options,
            group=self._place.group,
            byte_scale=emulation.byte_scale if emulation else 1.0,
            delay_seconds=delay if len(self._place.ranks) > 1 else 0.0,
        )

    def _warm_up(self, reducing: Reducing, computing: Computing, mode: Mode) -> bool | None:
        """Do the plan's number of steps, and go on until its seconds are over and steps settled.

        The first steps are slower, so how many the seconds hold is asked again after each run. All
        ranks decide together and do as many. Steps that never settle end it as well, after some
        times the plan's number.

        Returns:
            Whether steps have settled, equal on all ranks; None of too few to tell.
        """
        wanted = self._plan.steps
        dist.barrier()
        began = time.monotonic()
        settled: bool | None = None
        count, further = wanted.warmup, 0
        last: deque[float] = deque(maxlen=2 * WINDOW)
        while count:
            started = time.monotonic()
            last.extend(self._measure(reducing, computing, mode, count, warmup=True))
            now = time.monotonic()
            left = max(0.0, wanted.warmup_seconds - (now - began)) * count / (now - started)
            count = math.ceil(self._over_ranks(left, dist.ReduceOp.MAX))
            if len(last) == last.maxlen:
                drifting = self._over_ranks(bool(is_drifting(list(last))), dist.ReduceOp.SUM)
                settled = drifting <= _DRIFTING_SHARE * dist.get_world_size()
            if not count and settled is False and further < _MOST_FURTHER * wanted.warmup:
                count = WINDOW
                further += count
        computing.lateness()
        return settled

    def _over_ranks(self, value: float, operation: "dist.ReduceOp.RedOpType") -> float:
        """Return the sum or the largest of a number over all ranks."""
        tensor = torch.tensor(value, dtype=torch.float64, device=self._place.device)
        dist.all_reduce(tensor, op=operation)
        return float(tensor)

    def _measure(
        self,
        reducing: Reducing,
        computing: Computing,
        mode: Mode,
        steps: int,
        *,
        warmup: bool = False,
    ) -> list[float]:
        """Do steps and tell their durations, a run of them at a time; return the last ones."""
        clock = _Marks(self._place.device)
        told = 0
        last: deque[float] = deque(maxlen=2 * WINDOW)
        for step in range(steps):
            reducing.step()
            computing.update()
            clock.mark()
            if clock.is_due() or step == steps - 1:
                seconds = clock.take()
                tell("steps", mode=mode, first=told, seconds=seconds, warmup=warmup)
                told += len(seconds)
                last.extend(seconds)
        return list(last)


class _Marks:
    """When steps ended, on the device; a GPU is waited for once in some seconds."""

    def __init__(self, device: torch.device) -> None:
        from mpijob_bench.profiles.clocks import CudaClock, ProcessClock

        self._clock = CudaClock() if device.type == "cuda" else ProcessClock()
        self._marks = [self._clock.mark()]
        self._due = time.monotonic() + _TELL_SECONDS

    def mark(self) -> None:
        self._marks.append(self._clock.mark())

    def is_due(self) -> bool:
        return time.monotonic() >= self._due or len(self._marks) > _MOST_STEPS_TOLD

    def take(self) -> list[float]:
        """Return the durations since the last call, in seconds."""
        self._clock.settle()
        marks = self._marks
        self._marks = marks[-1:]
        self._due = time.monotonic() + _TELL_SECONDS
        pairs = itertools.pairwise(marks)
        return [round(self._clock.seconds_between(start, end), 7) for start, end in pairs]


def boot_id() -> str:
    """Return what tells this machine from others until it starts anew."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find_place(*, alone: bool, device: torch.device) -> Place:
    """Return this rank's place; ``alone`` makes a group of each node. All ranks call it.

    Raises:
        WorldError: nothing says on which node a rank is, so none can be alone.
    """
    here = world()
    every = list(range(here.size))
    if not alone:
        return Place(here.rank, every, dist.group.WORLD, device)
    if here.node_rank is None:
        message = f"rank {here.rank}: nothing says on which node it is"
        raise WorldError(message, remedy="start it by mpijob-runtime launch")
    nodes: list[object] = [None] * here.size
    dist.all_gather_object(nodes, here.node_rank)
    mine: Place | None = None
    for node in sorted(set(map(str, nodes))):
        ranks = [rank for rank in every if str(nodes[rank]) == node]
        group = dist.new_group(ranks)  # all ranks make all groups
        if here.rank in ranks:
            mine = Place(here.rank, ranks, group, device)
    assert mine is not None
    return mine


def mode_order(*, alone: bool, seed: int) -> list[Mode]:
    """Return the blocks' order: shuffled, equal on all ranks; alone there is only one."""
    modes: list[Mode] = ["full"] if alone else list(MODES)
    random.Random(seed).shuffle(modes)
    return modes


def main() -> None:
    """Run the blocks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", required=True, help="the plan, as JSON")
    parser.add_argument("--launch", type=int, required=True, help="number of the launch")
    parser.add_argument("--alone", action="store_true", help="each node by itself")
    arguments = parser.parse_args()
    plan = checked_plan(json.loads(arguments.plan))
    seed = plan.seed * 1_000_003 + arguments.launch
    with init_process_group() as started:
        place = find_place(alone=arguments.alone, device=started.device)
        with framework(plan, place):
            blocks = Blocks(plan, place, seed=seed)
            wrong = check(plan, place)
            for mode in mode_order(alone=arguments.alone, seed=seed):
                blocks.run(mode)
            wrong += check(plan, place)
        first = {"environment": shown_environment(os.environ)} if place.rank == 0 else {}
        tell("rank", wrong_elements=wrong + blocks.wrong_elements, boot_id=boot_id(), **first)


def check(plan: Plan, place: Place) -> int:
    """Return how many elements are wrong in sums by what reduces gradients here."""
    scale = plan.emulation.byte_scale if plan.emulation else 1.0
    horovod = plan.workload.framework == "horovod"
    return check_all_reduce(
        horovod_sum if horovod else lambda tensor: dist.all_reduce(tensor, group=place.group),
        place.ranks,
        place.rank,
        place.device,
        largest=int(BUCKET_BYTES / _BYTES / scale),
    )


def framework(plan: Plan, place: Place) -> AbstractContextManager[object]:
    """Start Horovod if the plan wants it."""
    from contextlib import ExitStack

    stack = ExitStack()
    if plan.workload.framework == "horovod":
        import horovod.torch as hvd

        from mpijob_bench.ranks.horovod_start import start_horovod

        emulation = plan.emulation
        start_horovod(
            place.group,
            place.ranks,
            options=plan.workload.options,
            byte_scale=emulation.byte_scale if emulation else 1.0,
            time_scale=emulation.time_scale if emulation else 1.0,
        )
        stack.callback(hvd.shutdown)
    return stack


def _summary(late: list[float]) -> dict[str, float] | None:
    """Return the 99th percentile and the largest of shares; None if there are none."""
    if not late:
        return None
    ordered = sorted(late)
    return {"p99": ordered[int(0.99 * (len(ordered) - 1))], "max": ordered[-1], "n": len(ordered)}


if __name__ == "__main__":
    main()
