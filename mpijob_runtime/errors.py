"""Every error this project raises on purpose, with the exit code it ends in.

    MpiJobError                       70  a bug of ours (the base itself is never raised)
    ├── UsageError                    64  flags or arguments; -n beyond the slots
    │   └── LearningRateError             a learning-rate plan that cannot be (a ValueError, too)
    ├── InputError                    65  a file that we were given is wrong
    │   ├── HostfileError
    │   └── ManifestError
    ├── HostsNotReadyError            69  hosts that did not come within the deadline
    ├── SpreadError                   76  hosts or ranks are not where they should be
    ├── ConfigurationError            78  keys, UID, no mpirun: a retry cannot help
    │   └── WorldError                        variables of ranks contradict (a ValueError, too)
    └── ProgramNotFoundError         127  the program does not exist

The codes follow sysexits(3) where one fits. What only a job that has run can end with is no
error but an outcome: see diagnose.py for 75, 76 and 130.

Layer: bottom; imports lists.
"""

import errno
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.lists import format_rest

_SHOWN_HOSTS = 16


class MpiJobError(Exception):
    """Base of all errors that end a command with a message instead of a traceback.

    Args:
        message: what went wrong, where, what was found and what was wanted.
        remedy: the next step, as a sentence; printed on a line of its own.
    """

    exit_code = 70

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.remedy}" if self.remedy else self.message


class UsageError(MpiJobError):
    """The command line asks for something that cannot be."""

    exit_code = 64


class LearningRateError(UsageError, ValueError):
    """A learning-rate plan that cannot be, or cannot be applied."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in an input file.

    Attributes:
        line: line number, from 1; 0 if the whole file is meant.
        found: what stands there, shortened for display.
        wanted: what should stand there.
        where: a field's path inside the file (``spec.slotsPerWorker``), or empty.
    """

    line: int
    found: str
    wanted: str
    where: str = ""

    def describe(self, path: str) -> str:
        """Return ``path:line: where: found …, wanted …`` for people."""
        place = f"{path}:{self.line}" if self.line else path
        field = f" {self.where}:" if self.where else ""
        return f"{place}:{field} found {self.found}, wanted {self.wanted}"


class InputError(MpiJobError):
    """A file that we were given is wrong; holds every problem in it, not only the first."""

    exit_code = 65
    kind = "input"
    shown: int | None = 10
    """How many problems the message names; None for all of them."""

    def __init__(self, path: str, problems: Sequence[Problem], *, remedy: str = "") -> None:
        lines = [problem.describe(path) for problem in problems[: self.shown]]
        if len(problems) > len(lines):
            lines.append(f"… and {len(problems) - len(lines)} more")
        super().__init__("\n".join(lines), remedy=remedy)
        self.path = path
        self.problems = tuple(problems)


class HostfileError(InputError):
    """A hostfile is missing, empty or wrong."""

    kind = "hostfile"


class ManifestError(InputError):
    """An MPIJob manifest is wrong or asks for what is not supported."""

    kind = "manifest"
    shown = None


class HostsNotReadyError(MpiJobError):
    """Some hosts did not accept an ssh login within the deadline.

    Args:
        reasons: host name -> why it is missing.
        waited_seconds: how long was waited.
        total: how many hosts the job has.
    """

    exit_code = 69

    def __init__(self, reasons: Mapping[str, str], *, waited_seconds: float, total: int) -> None:
        lines = [f"{len(reasons)} of {total} hosts not ready after {waited_seconds:.1f} s:"]
        super().__init__("\n".join([*lines, *describe_reasons(reasons)]))
        self.reasons = dict(reasons)
        self.waited_seconds = waited_seconds


def describe_reasons(reasons: Mapping[str, str]) -> list[str]:
    """Return a line for each host and why it is missing, 16 at most and how many more there are.

    Reasons begin with the step of a login; of each step at least one host is shown, so that the
    one wrong key does not hide behind a thousand workers that are still to start.

    Args:
        reasons: host name -> why it is missing, as ``tcp: connection refused``.
    """
    of_each_step: dict[str, str] = {}
    for host, reason in reasons.items():
        of_each_step.setdefault(reason.partition(":")[0], host)
    chosen = {*list(dict.fromkeys([*of_each_step.values(), *reasons]))[:_SHOWN_HOSTS]}
    lines = [f"  {host}: {reason}" for host, reason in reasons.items() if host in chosen]
    rest = format_rest(len(reasons), _SHOWN_HOSTS)
    return [*lines, f" {rest}"] if rest else lines


class SpreadError(MpiJobError):
    """Hosts are not where they were asked to be."""

    exit_code = 76


class ConfigurationError(MpiJobError):
    """This container cannot do its part, and trying again will not change that."""

    exit_code = 78


class WorldError(ConfigurationError, ValueError):
    """What started this process left variables that contradict each other or do not suffice."""


class ProgramNotFoundError(MpiJobError):
    """The program to run does not exist or is not executable."""

    exit_code = 127


def describe_bug(error: BaseException) -> str:
    """Return what to say of an exception that nobody expected: what, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return f"a bug of ours: {type(error).__name__}: {error}\n  at {where}; please report it"


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def explain_error(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the reason for what ended a program, expected or not."""
    if isinstance(error, MpiJobError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = error.filename or "stdout"
        return ConfigurationError.exit_code, f"{where}: cannot write: {error.strerror}"
    return MpiJobError.exit_code, describe_bug(error)
