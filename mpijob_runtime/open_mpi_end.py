"""How Open MPI itself has ended a job, or not started it: mpirun, and its daemons on the hosts.

Layer: pure; imports hosts, mpirun_words, observation, outcome.
"""

import re
import signal as signals

from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
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
from mpijob_runtime.observation import OUTSIDE, Observation
from mpijob_runtime.outcome import TRY_AGAIN_CODE, Result, count, describe_exit

Verdict = tuple[Result, int, str]
"""A result, what the launcher ends with, and the reason."""

NOT_FOUND_CODE = 127
ENDING_SIGNALS = frozenset({signals.SIGTERM, signals.SIGKILL})

_NO_ANSWER_CODE = 255
"""Of ssh, and of ours in its place: the host did not answer."""

_CANNOT_RUN_CODES = (126, 127)
"""A shell's word for a program that it cannot run; what a daemon that was told to end says is 1."""

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


def how_open_mpi_ended(seen: Observation, *, with_victims: bool) -> Verdict | None:
    """Return the verdict where Open MPI itself has ended the job, or has not started it.

    Args:
        seen: of the launch.
        with_victims: whether the ranks that failed, if any did, may be victims of that.
    """
    if seen.mpirun_signal is not None and with_victims:
        ended = describe_exit(None, seen.mpirun_signal)
        return "failed", seen.mpirun_code, f"mpirun itself was ended by {ended}, not by us"
    if seen.recorded and (seen.opened_seconds is None or _none_started(seen)):
        return _never_started(seen)
    limit = time_limit(seen.mpirun_said)
    if limit is not None and seen.stop is None:
        return "failed", TIME_LIMIT_CODE, limit
    return _ended_daemon(seen) if with_victims else None


def _never_started(seen: Observation) -> Verdict:
    """Return the verdict where mpirun ended before all ranks were at the gate: no program ran."""
    wrong = explain_failure(seen.mpirun_code, "", seen.arguments, major=seen.major)
    missing = _NO_EXECUTABLE.search(seen.mpirun_said)
    if missing is not None and (wrong is None or wrong.exit_code != USAGE_CODE):
        program, host = missing["program"] or missing["named"], missing["host"] or missing["on"]
        where = f"{program} on {short_name(host)}"
        return "not_started", NOT_FOUND_CODE, f"program not found: {where}"
    if program_is_missing(seen):
        return "not_started", NOT_FOUND_CODE, "program not found: see mpirun's own words above"
    if seen.lost_hosts:
        lost = format_list([short_name(host) for host in seen.lost_hosts])
        return "failed", TRY_AGAIN_CODE, f"host {lost} was lost while the job started"
    if seen.mpirun_code == 0:
        return _nothing_launched(seen)
    said, arguments = seen.mpirun_said, seen.arguments
    why = explain_failure(seen.mpirun_code, said, arguments, major=seen.major) or _no_daemon(seen)
    if why is not None:
        return "not_started", why.exit_code, str(why)
    return "not_started", own_code(seen.mpirun_code), _so_far(seen)


def _so_far(seen: Observation) -> str:
    ranks, expected = seen.ranks_started, seen.ranks_expected
    so_far = f"{ranks} of {count(expected, 'rank')}" if expected else "none of the ranks"
    return f"mpirun ended with {seen.mpirun_code} when {so_far} had come; its own words are above"


def _nothing_launched(seen: Observation) -> Verdict:
    if asks_for_no_launch(seen.arguments, major=seen.major):
        return "succeeded", 0, "mpirun was asked to launch nothing"
    return "not_started", TRY_AGAIN_CODE, _so_far(seen)


def _no_daemon(seen: Observation) -> MpirunFailure | None:
    """Return where Open MPI's daemon could not start, as far as we have started it."""
    for host, code in seen.daemons_ended.items():
        if code in _CANNOT_RUN_CODES or code - _SIGNALLED in _CRASHES:
            reason = f"Open MPI's daemon on {short_name(host)} ended with {code} before any rank"
            remedy = "leave out what changes how daemons start (--prefix, --launch-agent, plm_…)"
            return MpirunFailure(CONFIGURATION_CODE, reason, remedy)
    if seen.mpirun_code == _NO_ANSWER_CODE and _went_outside(seen):
        outside = (seen.proof or "").removeprefix("unproved: ")
        reason = f"mpirun could not start its daemon: {outside}"
        return MpirunFailure(CONFIGURATION_CODE, reason, "name hosts of the job, or leave -H out")
    return None


def _ended_daemon(seen: Observation) -> Verdict | None:
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
    if number in ENDING_SIGNALS:
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


def _none_started(seen: Observation) -> bool:
    if _went_outside(seen) and seen.mpirun_code != _NO_ANSWER_CODE:
        return False  # ranks there leave no records
    return bool(seen.mpirun_code) and not seen.ranks_started and seen.stop is None


def _went_outside(seen: Observation) -> bool:
    return OUTSIDE in (seen.proof or "")


def program_is_missing(seen: Observation) -> bool:
    """Tell a missing program by mpirun's code, where no rank has started."""
    if not seen.recorded or _went_outside(seen) or any(seen.hosts.values()):
        return False
    ours = seen.world_size is not None
    return seen.mpirun_code in _NO_PROGRAM_CODES or (
        ours and seen.mpirun_code == _NO_PROGRAM_OR_FLAG_CODE
    )
