"""From records and exit codes to an outcome: who failed first, and why.

Layer: pure; imports mpirun_words, outcome, records.
"""

import re
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mpijob_runtime.hosts import short_name
from mpijob_runtime.last_words import explain_last_words, lost_a_peer
from mpijob_runtime.mpirun_words import (
    CONFIGURATION_CODE,
    FAILED_CODE,
    TIME_LIMIT_CODE,
    USAGE_CODE,
    MpirunFailure,
    asks_for_no_launch,
    explain_failure,
    own_code,
    time_limit,
)
from mpijob_runtime.outcome import FirstFailure, Outcome, Result, count, describe_exit, format_ranks
from mpijob_runtime.records import RankRecord

TRY_AGAIN_CODE = 75
INTERRUPTED_CODE = 130
SPREAD_CODE = 76
_NOT_FOUND_CODE = 127
_NO_ANSWER_CODE = 255
"""Of ssh, and of ours in its place: the host did not answer."""

_SIGNALLED = 128
_NO_PROGRAM_CODES = frozenset({132, 134, 183})
"""How Open MPI 4.1 (132, 134) and 5.0 (183) end before any rank if the program is missing."""

_NO_PROGRAM_OR_FLAG_CODE = 66
"""The same of 5.0 for a name without a slash; its own word for a wrong flag, too."""

_NO_EXECUTABLE = re.compile(
    r"Executable: (?P<program>\S+)\s+Node: (?P<host>\S+)"
    r"|Node: +(?P<on>\S+)\s+Executable: (?P<named>\S+)"
)
"""How both Open MPIs say that a program is not there, when they look before they start it."""

_LOST_DAEMON = re.compile(
    r"lost communication with a remote daemon.*?Remote daemon: \S+ on node (?P<host>\S+)", re.DOTALL
)
"""How both Open MPIs say that a daemon is gone."""

_CRASHES = frozenset(
    {signals.SIGSEGV, signals.SIGABRT, signals.SIGBUS, signals.SIGILL, signals.SIGFPE}
)
"""How a daemon ends by its own mistake; by SIGKILL and SIGTERM others have ended it."""

_ENDING_SIGNALS = frozenset({signals.SIGTERM, signals.SIGKILL})

_LOST_PEER_SECONDS = 1.0
"""How much later a process that died can be noticed than a peer that it took along."""


StopKind = Literal[
    "misplaced", "missing program", "lost host", "host ending", "hung", "stalled", "slow end"
]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why we ended a job.

    Attributes:
        kind: the reason.
        detail: what was found, for people; the host for one that was lost or is ending.
        rank: the rank that it is about, or None.
    """

    kind: StopKind
    detail: str
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a launch that started mpirun.

    Attributes:
        mpirun_code: mpirun's exit code as a shell gives it.
        mpirun_signal: number of the signal that ended mpirun itself, or None.
        signals: ending signals that the launcher was sent, in order.
        records: what the ranks' wrappers wrote.
        hosts: host -> the ranks that started there.
        world_size: ranks asked for, or None where mpirun's own arguments say it.
        recorded: whether each rank was to leave records.
        proof: ``proved`` or ``unproved: why``, about where the ranks are; None if not known.
        stop: why we ended the job, or None if we did not.
        lost_hosts: hosts whose connection broke while the job ran.
        last_words: rank -> the last it wrote, for ranks that failed.
        mpirun_said: the last that mpirun itself wrote.
        major: the generation of Open MPI.
        arguments: a user's own mpirun line; empty where ``launch`` wrote it.
        daemons_ended: host -> exit code of Open MPI's daemon there, as far as one has ended.
        phases_seconds: ``wait`` and ``run`` so far.
        opened_seconds: from mpirun's start until all ranks were let through the gate, or None.
    """

    mpirun_code: int
    mpirun_signal: int | None
    signals: Sequence[signals.Signals]
    records: Sequence[RankRecord]
    hosts: Mapping[str, Sequence[int]]
    world_size: int | None
    recorded: bool
    proof: str | None
    stop: Stop | None
    lost_hosts: Sequence[str]
    last_words: Mapping[int, str]
    mpirun_said: str
    major: int
    arguments: Sequence[str]
    daemons_ended: Mapping[str, int]
    phases_seconds: Mapping[str, float]
    opened_seconds: float | None


def diagnose(seen: Observation) -> Outcome:
    """Return the outcome that the observation supports."""
    starts = {record.rank: record for record in seen.records if record.event == "start"}
    failure = _first_failure(seen)
    result, code, reason = _verdict(seen, failure)
    return Outcome(
        outcome=result,
        exit_code=code,
        reason=reason,
        first_failure=failure if result == "failed" and reason == _reason_of(failure) else None,
        ranks_started=len(starts),
        world_size=_expected(seen),
        hosts=seen.hosts,
        spread=_spread(seen),
        phases_seconds=_phases(seen),
    )


def _reason_of(failure: FirstFailure | None) -> str | None:
    return None if failure is None else failure.cause


def _spread(seen: Observation) -> str:
    if seen.stop is not None and seen.stop.kind == "misplaced":
        return "disproved"
    return seen.proof or "unproved: not all ranks were seen"


def _verdict(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if seen.signals and not (seen.stop and seen.stop.kind in ("misplaced", "missing program")):
        return _ended_from_outside(seen.signals[0])
    stopped = _stopped(seen.stop) if seen.stop is not None else None
    if stopped is not None:
        return stopped
    by_open_mpi = _by_open_mpi(seen, failure)
    if by_open_mpi is not None:
        return by_open_mpi
    slow = seen.stop is not None and seen.stop.kind == "slow end"
    if failure is None and (slow or seen.mpirun_code == 0):
        return _believe(seen)
    return _failed(seen, failure)


def _by_open_mpi(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str] | None:
    """Return the verdict where Open MPI itself has ended the job, or has not started it."""
    if seen.mpirun_signal is not None and _is_victim(failure):
        ended = describe_exit(None, seen.mpirun_signal)
        return "failed", seen.mpirun_code, f"mpirun itself was ended by {ended}, not by us"
    if seen.recorded and (seen.opened_seconds is None or _none_started(seen)):
        return _never_started(seen)
    limit = time_limit(seen.mpirun_said)
    if limit is not None and seen.stop is None:
        return "failed", TIME_LIMIT_CODE, limit
    return _ended_daemon(seen) if _is_victim(failure) else None


def _is_victim(failure: FirstFailure | None) -> bool:
    """Tell whether a rank may have been ended because mpirun was: by a signal, or with a host."""
    return failure is None or (
        failure.exit_code is None and (failure.signal is None or failure.signal in _ENDING_SIGNALS)
    )


def _never_started(seen: Observation) -> tuple[Result, int, str]:
    """Return the verdict where mpirun ended before all ranks were at the gate: no program ran."""
    wrong = explain_failure(seen.mpirun_code, "", seen.arguments, major=seen.major)
    missing = _NO_EXECUTABLE.search(seen.mpirun_said)
    if missing is not None and (wrong is None or wrong.exit_code != USAGE_CODE):
        program, host = missing["program"] or missing["named"], missing["host"] or missing["on"]
        where = f"{program} on {short_name(host)}"
        return "not_started", _NOT_FOUND_CODE, f"program not found: {where}"
    if _program_is_missing(seen):
        return "not_started", _NOT_FOUND_CODE, "program not found: see mpirun's own words above"
    if seen.lost_hosts:
        lost = ", ".join(map(short_name, seen.lost_hosts))
        return "failed", TRY_AGAIN_CODE, f"host {lost} was lost while the job started"
    if seen.mpirun_code == 0:
        return _nothing_launched(seen)
    said, arguments = seen.mpirun_said, seen.arguments
    why = explain_failure(seen.mpirun_code, said, arguments, major=seen.major) or _no_daemon(seen)
    if why is not None:
        return "not_started", why.exit_code, str(why)
    return "not_started", own_code(seen.mpirun_code), _so_far(seen)


def _so_far(seen: Observation) -> str:
    ranks, expected = _started(seen), _expected(seen)
    so_far = f"{ranks} of {count(expected, 'rank')}" if expected else "none of the ranks"
    return f"mpirun ended with {seen.mpirun_code} when {so_far} had come; its own words are above"


def _nothing_launched(seen: Observation) -> tuple[Result, int, str]:
    if asks_for_no_launch(seen.arguments, major=seen.major):
        return "succeeded", 0, "mpirun was asked to launch nothing"
    return "not_started", TRY_AGAIN_CODE, _so_far(seen)


def _no_daemon(seen: Observation) -> MpirunFailure | None:
    """Return where Open MPI's daemon could not start, as far as we have started it."""
    for host, code in seen.daemons_ended.items():
        if code not in (0, _NO_ANSWER_CODE):
            reason = f"Open MPI's daemon on {short_name(host)} ended with {code} before any rank"
            remedy = "leave out what changes how daemons start (--prefix, --launch-agent, plm_…)"
            return MpirunFailure(CONFIGURATION_CODE, reason, remedy)
    outside = seen.proof or ""
    if seen.mpirun_code == _NO_ANSWER_CODE and "outside of the plan" in outside:
        reason = f"mpirun could not start its daemon: {outside.removeprefix('unproved: ')}"
        return MpirunFailure(CONFIGURATION_CODE, reason, "name hosts of the job, or leave -H out")
    return None


def _ended_daemon(seen: Observation) -> tuple[Result, int, str] | None:
    """Return the verdict where Open MPI's own daemon ended, and took its host's ranks along.

    What a program made it do it will make it do again: that is not worth a retry. A kill from
    outside is, and so is what nobody can tell: 4.1's daemons have left who started them.
    """
    host = _host_of_lost_daemon(seen)
    if host is None or host in seen.lost_hosts:
        return None
    name, code = f"Open MPI's daemon on {short_name(host)}", seen.daemons_ended.get(host, 0)
    number = code - _SIGNALLED
    if number in _CRASHES:
        return "failed", code, f"{name} crashed: {describe_exit(None, number)}"
    if number in _ENDING_SIGNALS:
        return "failed", TRY_AGAIN_CODE, f"{name} was killed: {describe_exit(None, number)}"
    if code:
        return "failed", FAILED_CODE, f"{name} crashed, and its ranks with it; the host is there"
    return "failed", TRY_AGAIN_CODE, f"{name} ended, and its ranks with it; the host is there"


def _host_of_lost_daemon(seen: Observation) -> str | None:
    """Return the host whose daemon has ended: by mpirun's word or by a crash."""
    said = _LOST_DAEMON.search(seen.mpirun_said)
    for host, code in seen.daemons_ended.items():
        if said is not None and short_name(host) == short_name(said["host"]):
            return host
        if code - _SIGNALLED in _CRASHES:
            return host
    return None


def _stopped(stop: Stop) -> tuple[Result, int, str] | None:
    """Return the verdict where we ended the job for a reason that needs no other evidence."""
    match stop.kind:
        case "misplaced":
            reason = f"ranks are not where the plan put them:\n    {stop.detail}"
            return "failed", SPREAD_CODE, reason
        case "missing program":
            return "not_started", _NOT_FOUND_CODE, f"program not found: {stop.detail}"
        case "host ending":
            reason = f"{short_name(stop.detail)} was told to end (SIGTERM to its pod)"
            return "preempted", TRY_AGAIN_CODE, reason
        case "hung":
            return "failed", TRY_AGAIN_CODE, f"mpirun hung: {stop.detail}"
        case "stalled":
            return "failed", TRY_AGAIN_CODE, stop.detail
    return None


def _ended_from_outside(number: signals.Signals) -> tuple[Result, int, str]:
    if number == signals.SIGINT:
        return "failed", INTERRUPTED_CODE, "interrupted (SIGINT)"
    reason = f"the launcher got {number.name}: the job was ended from outside"
    return "preempted", TRY_AGAIN_CODE, reason


def _failed(seen: Observation, failure: FirstFailure | None) -> tuple[Result, int, str]:
    if failure is not None and failure.exit_code is None and failure.signal is None:
        return "failed", TRY_AGAIN_CODE, failure.cause
    if failure is not None:
        not_found = failure.exit_code == _NOT_FOUND_CODE
        told = seen.mpirun_code if _ended_by_itself(seen) else 0
        ours = told in {record.shell_code for record in seen.records if record.failed}
        code = told if ours or 0 < told == own_code(told) else _shell_code(failure)
        return "failed", _NOT_FOUND_CODE if not_found else code, failure.cause
    if _program_is_missing(seen):
        return "not_started", _NOT_FOUND_CODE, "program not found: see mpirun's own words above"
    reason = f"mpirun ended with {seen.mpirun_code}, and no rank recorded a failure"
    return "failed", own_code(seen.mpirun_code) if seen.recorded else seen.mpirun_code, reason


def _none_started(seen: Observation) -> bool:
    return bool(seen.mpirun_code) and not _started(seen) and seen.stop is None


def _ended_by_itself(seen: Observation) -> bool:
    """Tell whether mpirun's code is its word about the ranks, not about its own end."""
    return seen.stop is None and seen.mpirun_signal is None


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

    Open MPI 5.0.11 ends with 0 when it loses a daemon in the middle of a job (measured). If all
    have ended well and mpirun alone did not end, the program has succeeded all the same.
    """
    said = "mpirun ended with 0" if seen.stop is None else "mpirun had to be ended"
    unfinished = _unfinished(seen)
    if unfinished:
        missing = format_ranks(sorted(unfinished))
        return "failed", TRY_AGAIN_CODE, f"{said}, but {missing} left no end"
    ranks, expected = _started(seen), _expected(seen)
    if seen.recorded and expected is not None and ranks < expected:
        reason = f"{said}, but only {ranks} of {count(expected, 'rank')} left a record"
        lost = f"; lost {', '.join(seen.lost_hosts)}" if seen.lost_hosts else ""
        return "failed", TRY_AGAIN_CODE, reason + lost
    if seen.lost_hosts and not ranks:
        return "failed", TRY_AGAIN_CODE, f"{said}, but {', '.join(seen.lost_hosts)} was lost"
    return "succeeded", 0, _proof(seen) + ("" if seen.stop is None else f"; {said}")


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
    """Return who failed first: the earliest rank that nobody ended, or a lost host before it.

    Ranks that Open MPI or we ended afterwards, by SIGTERM or SIGKILL, are victims; clocks of
    different hosts may differ by more than the gap between two ends, so of several candidates the
    one that mpirun's code agrees with comes first.
    """
    if seen.stop is not None and seen.stop.kind == "lost host":
        return _lost_host(seen)
    failed = sorted((r for r in seen.records if r.failed), key=lambda r: r.time_seconds)
    agreeing = [r for r in failed if r.shell_code == seen.mpirun_code]
    if not agreeing and _lost(seen):
        return _lost_host(seen)
    own = [r for r in failed if r.oom_kills or r.signal not in _ENDING_SIGNALS]
    victims = agreeing if _ended_by_itself(seen) else []
    candidates = [r for r in agreeing if r in own] or victims or own or failed
    if not candidates:
        return None
    first = _who_left_first(candidates[0], failed, seen.last_words)
    words = explain_last_words(seen.last_words.get(first.rank, ""), seen.mpirun_said, first.rank)
    return FirstFailure(
        rank=first.rank,
        host=first.host,
        exit_code=first.exit_code,
        signal=first.signal,
        cause=_cause(first) + (f": {words.cause}" if words.cause else ""),
        evidence=(*words.evidence, *_evidence(first, failed)),
    )


def _who_left_first(
    found: RankRecord, failed: Sequence[RankRecord], last_words: Mapping[int, str]
) -> RankRecord:
    """Return the rank that another one has lost, if that ended a moment earlier by the clock.

    A process that dies takes its connections along before it is gone itself; a peer that waits in
    a collective can be dead by then.
    """
    if not lost_a_peer(last_words.get(found.rank, "")):
        return found
    for other in failed:
        soon = other.time_seconds - found.time_seconds <= _LOST_PEER_SECONDS
        ended_itself = other.signal not in _ENDING_SIGNALS
        if soon and ended_itself and not lost_a_peer(last_words.get(other.rank, "")):
            return other
    return found


def _lost(seen: Observation) -> list[str]:
    """Return the hosts that were lost before their ranks were known to have ended."""
    if seen.mpirun_code:
        return list(seen.lost_hosts)
    unfinished = _unfinished(seen)
    return [host for host in seen.lost_hosts if unfinished & set(seen.hosts.get(host, ()))]


def _unfinished(seen: Observation) -> set[int]:
    ended = {record.rank for record in seen.records if record.ended}
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
        cause=f"host {short_name(host)}{had} was lost while the job ran{others}",
        evidence=(f"our ssh connection to {host} broke; mpirun ended with {seen.mpirun_code}",),
    )


def _cause(record: RankRecord) -> str:
    who = f"rank {record.rank} on {short_name(record.host)}"
    if record.event == "vanished":
        return f"{who} vanished: its wrapper was killed with it"
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


def _phases(seen: Observation) -> dict[str, float]:
    """Split the time: waiting for hosts, until all ranks were there, and their run."""
    phases = dict(seen.phases_seconds)
    run = phases.pop("run", 0.0)
    start = run if seen.opened_seconds is None else min(seen.opened_seconds, run)
    return {**phases, "start": start} | (
        {} if seen.opened_seconds is None else {"run": run - start}
    )
