"""From records and exit codes to an outcome: who failed first, and why.

Layer: pure; imports observation, open_mpi_end, outcome, records.
"""

import signal as signals
from collections.abc import Mapping, Sequence

from mpijob_runtime.errors import MpiJobError
from mpijob_runtime.hosts import short_name
from mpijob_runtime.last_words import explain_last_words, lost_a_peer
from mpijob_runtime.lists import format_list
from mpijob_runtime.mpirun_words import own_code
from mpijob_runtime.observation import Observation, Stop
from mpijob_runtime.open_mpi_end import (
    ENDING_SIGNALS,
    NOT_FOUND_CODE,
    how_open_mpi_ended,
    program_is_missing,
)
from mpijob_runtime.outcome import (
    TRY_AGAIN_CODE,
    FirstFailure,
    Outcome,
    Result,
    count,
    describe_exit,
    format_ranks,
)
from mpijob_runtime.records import RankRecord

INTERRUPTED_CODE = 130
SPREAD_CODE = 76
_LOST_PEER_SECONDS = 1.0
"""How much later a process that died can be noticed than a peer that it took along."""


_BEFORE_SIGNALS = ("misplaced", "missing program", "bug")
"""Reasons that hold even if the launcher is told to end afterwards: a retry meets them again."""


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
        world_size=seen.ranks_expected,
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
    if seen.signals and not (seen.stop and seen.stop.kind in _BEFORE_SIGNALS):
        return _ended_from_outside(seen.signals[0])
    stopped = _stopped(seen.stop) if seen.stop is not None else None
    if stopped is not None:
        return stopped
    by_open_mpi = how_open_mpi_ended(seen, with_victims=_is_victim(seen, failure))
    if by_open_mpi is not None:
        return by_open_mpi
    slow = seen.stop is not None and seen.stop.kind == "slow end"
    if failure is None and (slow or seen.mpirun_code == 0):
        return _believe(seen)
    return _failed(seen, failure)


def _is_victim(seen: Observation, failure: FirstFailure | None) -> bool:
    """Tell whether a rank may have been ended because mpirun was: by a signal, or with a host."""
    if failure is None:
        return True
    if any(record.oom_kills for record in seen.records if record.rank == failure.rank):
        return False
    return failure.exit_code is None and (
        failure.signal is None or failure.signal in ENDING_SIGNALS
    )


def _stopped(stop: Stop) -> tuple[Result, int, str] | None:
    """Return the verdict where we ended the job for a reason that needs no other evidence."""
    match stop.kind:
        case "misplaced":
            reason = f"ranks are not where the plan put them:\n    {stop.detail}"
            return "failed", SPREAD_CODE, reason
        case "missing program":
            return "not_started", NOT_FOUND_CODE, f"program not found: {stop.detail}"
        case "host ending":
            reason = f"{short_name(stop.detail)} was told to end (SIGTERM to its pod)"
            return "preempted", TRY_AGAIN_CODE, reason
        case "hung":
            return "failed", TRY_AGAIN_CODE, f"mpirun hung: {stop.detail}"
        case "stalled" | "bug":
            code = TRY_AGAIN_CODE if stop.kind == "stalled" else MpiJobError.exit_code
            return "failed", code, stop.detail
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
        not_found = failure.exit_code == NOT_FOUND_CODE
        told = seen.mpirun_code if _ended_by_itself(seen) else 0
        ours = told in {record.shell_code for record in seen.records if record.failed}
        code = told if ours or 0 < told == own_code(told) else _shell_code(failure)
        return "failed", NOT_FOUND_CODE if not_found else code, failure.cause
    if program_is_missing(seen):
        return "not_started", NOT_FOUND_CODE, "program not found: see mpirun's own words above"
    reason = f"mpirun ended with {seen.mpirun_code}, and no rank recorded a failure"
    return "failed", own_code(seen.mpirun_code) if seen.recorded else seen.mpirun_code, reason


def _ended_by_itself(seen: Observation) -> bool:
    """Tell whether mpirun's code is its word about the ranks, not about its own end."""
    return seen.stop is None and seen.mpirun_signal is None


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
    ranks, expected = seen.ranks_started, seen.ranks_expected
    if seen.recorded and expected is not None and ranks < expected:
        reason = f"{said}, but only {ranks} of {count(expected, 'rank')} left a record"
        lost = f"; lost {_names(seen.lost_hosts)}" if seen.lost_hosts else ""
        return "failed", TRY_AGAIN_CODE, reason + lost
    if seen.lost_hosts and not ranks:
        return "failed", TRY_AGAIN_CODE, f"{said}, but {_names(seen.lost_hosts)} was lost"
    return "succeeded", 0, _proof(seen) + ("" if seen.stop is None else f"; {said}")


def _shell_code(failure: FirstFailure) -> int:
    return failure.exit_code or (128 + failure.signal if failure.signal else 1)


def _proof(seen: Observation) -> str:
    """Return how far a success is proved by the ranks' records."""
    ranks = seen.ranks_started
    used = sum(1 for placed in seen.hosts.values() if placed)
    if not ranks:
        return "mpirun ended with 0, but where its ranks ran is unproved: they left no records"
    placed = f"{count(ranks, 'rank')} on {count(used, 'host')}"
    if not seen.own_ranks:
        return placed
    return seen.own_ranks if used == 1 else f"{placed}; {seen.own_ranks}"


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
    own = [r for r in failed if r.oom_kills or r.signal not in ENDING_SIGNALS]
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
        ended_itself = other.signal not in ENDING_SIGNALS
        if soon and ended_itself and not lost_a_peer(last_words.get(other.rank, "")):
            return other
    return found


def _lost(seen: Observation) -> list[str]:
    """Return the hosts that were lost before their ranks were known to have ended."""
    if seen.mpirun_code:  # the launcher's own host, outside of the plan, has no rank to lose
        return [host for host in seen.lost_hosts if host in seen.hosts]
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
    others = f"; {_names(lost[1:])} as well" if lost[1:] else ""
    return FirstFailure(
        rank=min(ranks, default=None),
        host=host,
        exit_code=None,
        signal=None,
        cause=f"host {short_name(host)}{had} was lost while the job ran{others}",
        evidence=(f"our ssh connection to {host} broke; mpirun ended with {seen.mpirun_code}",),
    )


def _names(hosts: Sequence[str]) -> str:
    return format_list([short_name(host) for host in hosts])


def _cause(record: RankRecord) -> str:
    who = f"rank {record.rank} on {short_name(record.host)}"
    if record.event == "vanished":
        return f"{who} vanished: its wrapper was killed with it"
    if record.oom_kills:
        return f"{who} was killed for memory (OOM): the container's memory limit was reached"
    if record.exit_code == NOT_FOUND_CODE:
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
