"""One fault, done once to one job.

Layer: effects; puts the other modules together.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired

from jobs import RunningJob

from faults import evidence
from faults.judge import fill, judge, judge_bare
from faults.layout import make_job
from faults.live import LiveJob, TrialError
from faults.model import Aim, Fault, Moment, Observed, Result
from mpijob_local.podman import Engine
from mpijob_local.removal import remove_job

BARE_LIMIT_SECONDS = 45
"""Plain mpirun that has not ended by then counts as hung."""

_LIMIT_BEYOND_SECONDS = 15
_START_SECONDS = 2.5
_RUN_SECONDS = 2.5
_CONCLUDE_SECONDS = 30
_LONGEST_PRINTED = 4000


@dataclass(frozen=True, slots=True)
class Case:
    """One trial to be made.

    Attributes:
        run: number of the repetition, counted from 0.
    """

    fault: Fault
    open_mpi: str
    bare: bool
    run: int

    @property
    def key(self) -> tuple[str, str, bool, int]:
        """What tells trials apart; also the seed of all that is random in one."""
        return (self.fault.name, self.open_mpi, self.bare, self.run)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials share.

    Attributes:
        home: state directory of mpijob-local.
        scratch: directory for manifests and logs.
        images: name of the image that pods run, by Open MPI generation.
        image_ids: id of each, by its name.
    """

    podman: Engine
    home: Path
    scratch: Path
    images: Mapping[str, str]
    image_ids: Mapping[str, str] = field(default_factory=dict)


class Trial:
    """One fault, done once.

    Args:
        case: which.
        bench: where.
    """

    def __init__(self, case: Case, bench: Bench) -> None:
        self._case = case
        self._fault = case.fault
        self._bench = bench
        self._image = bench.images[case.open_mpi]
        self._name = f"fault-{case.fault.name}-{os.getpid()}"
        chance = Random(repr(case.key))
        self._aim = Aim(chance.randrange(case.fault.shape.workers), chance)
        self._delay = _delay(case.fault, chance)
        self._names = _names(self._name, self._aim, case.fault.shape.workers)
        self._struck = 0.0

    def run(self) -> Result:
        """Do it, remove the job, and tell what came of it."""
        load = os.getloadavg()[0]
        name, shown = self._name, ""
        job = make_job(self._fault, name=name, image=self._image, bare=self._case.bare)
        try:
            with RunningJob(job, self._bench.scratch, "--keep", "--backoff-seconds=1") as running:
                seen = self._run(running)
                shown = running.text
        finally:
            remove_job(self._bench.podman, f"default/{name}", home=self._bench.home)
        left = evidence.things_left(self._bench.podman, name)
        seen = replace(seen, left=(*seen.left, *left))
        compare = judge_bare if self._case.bare else judge
        wrong = compare(seen, self._fault.expected, self._names)
        return self._result(seen, wrong, load=load, shown=shown)

    def _run(self, running: RunningJob) -> Observed:
        job = LiveJob(
            self._bench.podman,
            self._name,
            home=self._bench.home,
            is_over=lambda: running.process.poll() is not None,
        )
        try:
            job.wait_for_pods(self._fault.shape.workers)
            self._strike(job)
        except TrialError as error:
            return Observed(None, problem=f"not done: {error}")
        return self._observe(job, running)

    def _strike(self, job: LiveJob) -> None:
        """Let the job go and do the fault, in the order that its moment asks for."""
        later = None
        if self._fault.moment is Moment.BEFORE:
            later = self._fault.strike(job, self._aim)
            self._struck = time.time()
        job.begin(when_listening=self._case.bare)
        if self._fault.moment is not Moment.BEFORE:
            if self._fault.moment is Moment.RUN:
                job.wait_for_ranks()
            time.sleep(self._delay)
            self._struck = time.time()
            later = self._fault.strike(job, self._aim)
        if later is not None:
            later()

    def _observe(self, job: LiveJob, running: RunningJob) -> Observed:
        """Wait for the end, and gather what there is to see of it."""
        over = self._wait_for_launcher(job, running)
        left = evidence.wait_until_clean(job) if over else []
        clean = time.time()
        code = _exit_code(running) if over else None
        ended = evidence.finished_at(self._bench.podman, job.launcher.container)
        report = {} if self._case.bare else evidence.read_report(job)
        lines = evidence.read_lines(job.launcher_log, since=self._struck)
        wanted = fill(self._fault.expected.says, self._names)
        printed = "\n".join(line.text for line in lines)
        return Observed(
            exit_code=code,
            outcome=str(report.get("outcome", "")),
            # before its settings are read a launcher knows of no report: its last words count
            verdict=evidence.verdict_of(report) if report and not self._case.bare else printed,
            noticed_seconds=evidence.noticed(lines, wanted, since=self._struck),
            ended_seconds=None if ended is None else ended - self._struck,
            clean_seconds=None if ended is None else max(0.0, clean - ended),
            left=tuple(left),
        )

    def _wait_for_launcher(self, job: LiveJob, running: RunningJob) -> bool:
        """Wait for the launcher's last end, and tell whether it came in time.

        mpijob-local sees that end a moment later than we do, but alone knows whether it is the
        last.
        """
        deadline = time.monotonic() + self._limit()
        only = self._fault.shape.attempts == 1
        while running.process.poll() is None:
            if only and not job.launcher.is_alive:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _limit(self) -> float:
        if self._case.bare:
            return BARE_LIMIT_SECONDS
        return self._fault.expected.within_seconds + _LIMIT_BEYOND_SECONDS

    def _result(self, seen: Observed, wrong: tuple[str, ...], *, load: float, shown: str) -> Result:
        return Result(
            fault=self._fault.name,
            open_mpi=self._case.open_mpi,
            bare=self._case.bare,
            run=self._case.run,
            hit=self._aim.index,
            moment_seconds=round(self._delay, 3),
            exit_code=seen.exit_code,
            outcome=seen.outcome,
            verdict=seen.verdict[-_LONGEST_PRINTED:],
            noticed_seconds=_rounded(seen.noticed_seconds),
            ended_seconds=_rounded(seen.ended_seconds),
            clean_seconds=_rounded(seen.clean_seconds),
            wrong=wrong,
            load=round(load, 2),
            image=self._bench.image_ids.get(self._image, ""),
            printed=_without_steps(shown)[-_LONGEST_PRINTED:] if wrong else "",
        )


def _exit_code(running: RunningJob) -> int | None:
    """Return how mpijob-local ended, which is how the launcher did."""
    try:
        return running.process.wait(_CONCLUDE_SECONDS)
    except TimeoutExpired:
        return None


def _delay(fault: Fault, chance: Random) -> float:
    match fault.moment:
        case Moment.BEFORE:
            return 0.0
        case Moment.START:
            return chance.uniform(0, _START_SECONDS)
        case Moment.RUN:
            return chance.uniform(0, _RUN_SECONDS)


def _names(job: str, aim: Aim, workers: int) -> Mapping[str, str]:
    other = aim.other(workers)
    return {
        "host": f"{job}-worker-{aim.index}",
        "rank": str(aim.index),
        "other": f"{job}-worker-{other}",
        "other_rank": str(other),
    }


def _without_steps(shown: str) -> str:
    """Return what was printed without the ranks' own lines."""
    return "\n".join(line for line in shown.splitlines() if " step " not in line)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
