"""From records and exit codes to an outcome: who failed first, and why.

Layer: pure; imports outcome, records.
"""

import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.outcome import FirstFailure, Outcome, Result, count, describe_exit, format_ranks
from mpijob_runtime.records import RankRecord

TRY_AGAIN_CODE = 75
INTERRUPTED_CODE = 130
SPREAD_CODE = 76
_NOT_FOUND_CODE = 127
_NO_PROGRAM_CODES = frozenset({132, 134, 183})
"""How Open MPI 4.1 (132, 134) and 5.0 (183) end before any rank if the program is missing."""

_NO_PROGRAM_OR_FLAG_CODE = 66
"""The same of 5.0 for a name without a slash; its own word for a wrong flag, too."""

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
        recorded: whether each rank was to leave records.
        hung: whether mpirun was ended because no rank had started in time.
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
    recorded: bool
    hung: bool
    lost_hosts: Sequence[str]
    phases_seconds: Mapping[str, float]
    mpirun_started: float


def diagnose(seen: Observation) -> Outcome:
    """Return the outcome that the observation supports."""
    starts = {record.rank: record for record in seen.records if record.event == "start"}
    failure = _first_failure(seen)
    result, code, reason = _verdict(seen, failure)
    return Outcome(
        outcome=result,
        exit_code=code,
        reason=reason,
        first_failure=failure if result == "failed" and not seen.signals else None,
        ranks_started=len(starts),
        world_size=_expected(seen),
        hosts=seen.hosts,
        phases_seconds=_phases(seen, starts),
    )


def _verdict(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if seen.misplaced:
        lines = ("ranks are not where the plan put them:", *seen.misplaced)
        return "failed", SPREAD_CODE, "\n    ".join(lines)
    if seen.signals:
        return _ended_from_outside(seen.signals[0])
    if seen.hung:
        return "failed", TRY_AGAIN_CODE, "mpirun hung: no rank started in time"
    if seen.mpirun_code == 0 and failure is None:
        return _believe(seen)
    return _failed(seen, failure)


def _ended_from_outside(number: signals.Signals) -> tuple[Result, int, str]:
    if number == signals.SIGINT:
        return "failed", INTERRUPTED_CODE, "interrupted (SIGINT)"
    reason = f"the launcher got {number.name}: the job was ended from outside"
    return "preempted", TRY_AGAIN_CODE, reason


def _failed(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if failure is not None and failure.host in seen.lost_hosts:
        return "failed", TRY_AGAIN_CODE, failure.cause
    if failure is not None:
        not_found = failure.exit_code == _NOT_FOUND_CODE
        code = seen.mpirun_code or _shell_code(failure)
        return "failed", _NOT_FOUND_CODE if not_found else code, failure.cause
    if _program_is_missing(seen):
        return "not_started", _NOT_FOUND_CODE, "program not found: see mpirun's own words above"
    reason = f"mpirun ended with {seen.mpirun_code}, and no rank recorded a failure"
    return "failed", seen.mpirun_code, reason


def _program_is_missing(seen: Observation) -> bool:
    """Tell a missing program by mpirun's code, where no rank has started."""
    if not seen.recorded or any(seen.hosts.values()):
        return False
    ours = seen.world_size is not None
    return seen.mpirun_code in _NO_PROGRAM_CODES or (
        ours and seen.mpirun_code == _NO_PROGRAM_OR_FLAG_CODE
    )


def _believe(seen: Observation) -> tuple[Result, int, str]:
    """Believe mpirun's 0 only if every rank that started has ended.

    Open MPI 5.0.11 ends with 0 when it loses a daemon in the middle of a job (measured).
    """
    unfinished = _unfinished(seen)
    if unfinished:
        missing = format_ranks(sorted(unfinished))
        return "failed", TRY_AGAIN_CODE, f"mpirun ended with 0, but {missing} left no end"
    ranks, expected = _started(seen), _expected(seen)
    if seen.recorded and expected is not None and ranks < expected:
        reason = f"mpirun ended with 0, but only {ranks} of {count(expected, 'rank')} left a record"
        lost = f"; lost {', '.join(seen.lost_hosts)}" if seen.lost_hosts else ""
        return "failed", TRY_AGAIN_CODE, reason + lost
    if seen.lost_hosts and not ranks:
        reason = f"mpirun ended with 0, but {', '.join(seen.lost_hosts)} was lost"
        return "failed", TRY_AGAIN_CODE, reason
    return "succeeded", 0, _proof(seen)


def _started(seen: Observation) -> int:
    return sum(len(placed) for placed in seen.hosts.values())


def _expected(seen: Observation) -> int | None:
    """Return how many ranks there were to be: as asked, else as the ranks themselves were told."""
    told = (record.world_size for record in seen.records if record.world_size > 0)
    return seen.world_size or max(told, default=None)


def _shell_code(failure: FirstFailure) -> int:
    return failure.exit_code or (128 + failure.signal if failure.signal else 1)


def _proof(seen: Observation) -> str:
    """Return how far a success is proved by the ranks' records."""
    ranks = _started(seen)
    used = sum(1 for placed in seen.hosts.values() if placed)
    if not ranks:
        return "mpirun ended with 0, but where its ranks ran is unproved: they left no records"
    return f"{count(ranks, 'rank')} on {count(used, 'host')}"


def _first_failure(seen: Observation) -> FirstFailure | None:
    """Return who failed first: a rank that mpirun's code agrees with, a lost host, the earliest.

    Open MPI passes on the code of the first rank that it saw fail; those that it ends afterwards
    are victims, whatever they end with. If it saw no rank fail, but a host is gone, the host is
    the cause.
    """
    failed = sorted((r for r in seen.records if r.failed), key=lambda r: r.time_seconds)
    agreeing = [r for r in failed if r.shell_code == seen.mpirun_code]
    if not agreeing and _lost(seen):
        return _lost_host(seen)
    own = [r for r in failed if r.oom_kills or r.signal not in _ENDING_SIGNALS]
    candidates = [r for r in agreeing if r in own] or agreeing or own or failed
    if not candidates:
        return None
    first = candidates[0]
    return FirstFailure(
        rank=first.rank,
        host=first.host,
        exit_code=first.exit_code,
        signal=first.signal,
        cause=_cause(first),
        evidence=_evidence(first, failed),
    )


def _lost(seen: Observation) -> list[str]:
    """Return the hosts that were lost before their ranks were known to have ended."""
    if seen.mpirun_code:
        return list(seen.lost_hosts)
    unfinished = _unfinished(seen)
    return [host for host in seen.lost_hosts if unfinished & set(seen.hosts.get(host, ()))]


def _unfinished(seen: Observation) -> set[int]:
    ended = {record.rank for record in seen.records if record.event == "exit"}
    return {rank for ranks in seen.hosts.values() for rank in ranks} - ended


def _lost_host(seen: Observation) -> FirstFailure:
    lost = _lost(seen)
    host = lost[0]
    ranks = seen.hosts.get(host, ())
    had = f", which had {format_ranks(ranks)}," if ranks else ""
    others = "".join(f"; {other} as well" for other in lost[1:])
    return FirstFailure(
        rank=min(ranks, default=None),
        host=host,
        exit_code=None,
        signal=None,
        cause=f"host {host}{had} was lost while the job ran{others}",
        evidence=(f"our ssh connection to {host} broke; mpirun ended with {seen.mpirun_code}",),
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
    if gap < 0:
        return (f"{ranks} ended badly as well; their hosts' clocks do not tell the order",)
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
