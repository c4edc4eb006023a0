"""From records and exit codes to an outcome: who failed first, and why.

Layer: pure; imports outcome, records.
"""

import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.outcome import FirstFailure, Outcome, Result, describe_exit, format_ranks
from mpijob_runtime.records import RankRecord

PREEMPTED_CODE = 75
INTERRUPTED_CODE = 130
SPREAD_CODE = 76
_NOT_FOUND_CODE = 127
_ENDING_SIGNALS = frozenset({signals.SIGTERM, signals.SIGKILL})


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a launch that started mpirun.

    Attributes:
        mpirun_code: mpirun's exit code as a shell gives it.
        signals: ending signals that the launcher was sent, in order.
        records: what the ranks' wrappers wrote.
        hosts: host -> the ranks that started there.
        world_size: ranks asked for, or None where mpirun's own arguments say it.
        misplaced: what contradicts the plan about where ranks are.
        lost_hosts: hosts whose connection broke while the job ran.
        phases_seconds: ``wait`` and ``run`` so far.
        mpirun_started: seconds since the epoch.
    """

    mpirun_code: int
    signals: Sequence[signals.Signals]
    records: Sequence[RankRecord]
    hosts: Mapping[str, Sequence[int]]
    world_size: int | None
    misplaced: Sequence[str]
    lost_hosts: Sequence[str]
    phases_seconds: Mapping[str, float]
    mpirun_started: float


def diagnose(seen: Observation) -> Outcome:
    """Return the outcome that the observation supports."""
    starts = {record.rank: record for record in seen.records if record.event == "start"}
    failure = _first_failure(seen)
    result, code, reason = _verdict(seen, failure)
    told = [record.world_size for record in starts.values() if record.world_size > 0]
    return Outcome(
        outcome=result,
        exit_code=code,
        reason=reason,
        first_failure=failure if result != "succeeded" else None,
        ranks_started=len(starts),
        world_size=seen.world_size or (told[0] if told else None),
        hosts=seen.hosts,
        phases_seconds=_phases(seen, starts),
    )


def _verdict(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if seen.misplaced:
        lines = ("ranks are not where the plan put them:", *seen.misplaced)
        return "failed", SPREAD_CODE, "\n    ".join(lines)
    if seen.signals:
        return _ended_from_outside(seen.signals[0])
    if seen.mpirun_code == 0:
        return "succeeded", 0, _proof(seen)
    return _failed(seen, failure)


def _ended_from_outside(number: signals.Signals) -> tuple[Result, int, str]:
    if number == signals.SIGINT:
        return "failed", INTERRUPTED_CODE, "interrupted (SIGINT)"
    reason = f"the launcher got {number.name}: the job was ended from outside"
    return "preempted", PREEMPTED_CODE, reason


def _failed(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if failure is not None:
        not_found = failure.exit_code == _NOT_FOUND_CODE
        code = _NOT_FOUND_CODE if not_found else seen.mpirun_code
        return "failed", code, failure.cause
    reason = f"mpirun ended with {seen.mpirun_code}, and no rank recorded a failure"
    if seen.lost_hosts:
        return "failed", PREEMPTED_CODE, f"lost {', '.join(seen.lost_hosts)}; {reason}"
    return "failed", seen.mpirun_code, reason


def _proof(seen: Observation) -> str:
    """Return how far a success is proved by the ranks' records."""
    ranks = sum(len(placed) for placed in seen.hosts.values())
    used = sum(1 for placed in seen.hosts.values() if placed)
    if not ranks:
        return "mpirun ended with 0, but where its ranks ran is unproved: they left no records"
    if seen.world_size is not None and ranks < seen.world_size:
        return f"mpirun ended with 0, but only {ranks} of {seen.world_size} ranks left a record"
    return f"{ranks} ranks on {used} hosts"


def _first_failure(seen: Observation) -> FirstFailure | None:
    """Return the failed rank that mpirun's own exit code agrees with, else the earliest.

    Open MPI passes on the code of the first rank that it saw fail; those that it ends afterwards
    die of SIGTERM or SIGKILL and are victims, unless nobody else failed.
    """
    failed = sorted((r for r in seen.records if r.failed), key=lambda r: r.time_seconds)
    if not failed:
        return None
    victims = {r.rank for r in failed if r.signal in _ENDING_SIGNALS and not r.oom_kills}
    agreeing = [r for r in failed if r.shell_code == seen.mpirun_code]
    own = [r for r in failed if r.rank not in victims]
    first = ([r for r in agreeing if r in own] or agreeing or own or failed)[0]
    return FirstFailure(
        rank=first.rank,
        host=first.host,
        exit_code=first.exit_code,
        signal=first.signal,
        cause=_cause(first),
        evidence=_evidence(first, failed),
    )


def _cause(record: RankRecord) -> str:
    who = f"rank {record.rank} on {record.host}"
    if record.oom_kills:
        return f"{who} was killed for memory (OOM): the container's memory limit was reached"
    if record.exit_code == _NOT_FOUND_CODE:
        return f"{who}: program not found (exit code 127)"
    return f"{who} failed first: {describe_exit(record.exit_code, record.signal)}"


def _evidence(first: RankRecord, failed: Sequence[RankRecord]) -> tuple[str, ...]:
    later = [r for r in failed if r.rank != first.rank]
    if not later:
        return ()
    gap = later[0].time_seconds - first.time_seconds
    ranks = format_ranks([r.rank for r in later])
    return (f"{ranks} ended {gap * 1000:.0f} ms or more later, by their hosts' clocks",)


def _phases(seen: Observation, starts: Mapping[int, RankRecord]) -> dict[str, float]:
    phases = dict(seen.phases_seconds)
    run = phases.pop("run", 0.0)
    if starts:
        last = max(record.time_seconds for record in starts.values())
        phases["start"] = min(max(0.0, last - seen.mpirun_started), run)
        phases["run"] = run - phases["start"]
    else:
        phases["start"] = run
    return phases
