"""What it means that mpirun itself has failed: its own words and codes, for people.

mpirun's codes are numbers that it makes up: 4.1 ends with 135 and 5.0 with 181 for a working
directory that is not there, which look like signals and are none. So none of them passes through.

Layer: pure; imports hosts, mpirun_line, mpirun_spelling.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.hosts import short_name
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.mpirun_spelling import NAMES, OTHER, respell

FAILED_CODE, USAGE_CODE, CONFIGURATION_CODE = 1, 64, 78
TIME_LIMIT_CODE = 110
"""Of ``--timeout``, as documented for both generations; 5.0.11 ends with 241 (measured)."""

_LARGEST_OWN_CODE = 125
"""Codes above are a shell's words for a program that it cannot run, and for signals."""


@dataclass(frozen=True, slots=True)
class MpirunFailure:
    """Why mpirun has started no rank.

    Attributes:
        exit_code: what the launcher is to end with.
        reason: what is wrong.
        remedy: the next step, or empty.
    """

    exit_code: int
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}\n  next: {self.remedy}" if self.remedy else self.reason


_SEE = "see mpirun's own words above"
_CORRECT = "correct mpirun's options and start the job again"
_NO_DIRECTORY = "make the directory in the workers' image or mount it there, or name one by --wdir"

_WORDS: tuple[tuple[re.Pattern[str], MpirunFailure], ...] = (
    (
        re.compile(r"not enough slots available"),
        MpirunFailure(
            USAGE_CODE,
            "more ranks were asked for than the hosts have slots: " + _SEE,
            "raise slotsPerWorker or Worker.replicas, or lower -n",
        ),
    ),
    (
        re.compile(
            r'unknown option "(?P<what>[^"]+)"|unrecognized option.*\s+Option: (?P<too>\S+)'
        ),
        MpirunFailure(USAGE_CODE, "mpirun does not know its option {what}", _CORRECT),
    ),
    (
        re.compile(r"Working directory: (?P<what>\S+)\s+Node: (?P<too>\S+)"),
        MpirunFailure(CONFIGURATION_CODE, "no working directory {what} on {too}", _NO_DIRECTORY),
    ),
    (
        re.compile(
            r"did not have enough parameters|does not match the expected format|negative\s+number"
            r"|No executable was specified|is not recognized|variable file|appfile|--app <arg>"
            r"|open the hostfile|rankfile|CANNOT ACCESS FILE (?P<what>\S+)|was set to a path"
            r"|file to printout"
        ),
        MpirunFailure(USAGE_CODE, "mpirun cannot do what its options ask for: " + _SEE, _CORRECT),
    ),
)
"""What mpirun says on stderr, and what it means; the first that fits counts."""

_CODES: Mapping[int, MpirunFailure] = {
    135: MpirunFailure(CONFIGURATION_CODE, "no such working directory on a host", _NO_DIRECTORY),
    181: MpirunFailure(CONFIGURATION_CODE, "no such working directory on a host", _NO_DIRECTORY),
    213: MpirunFailure(USAGE_CODE, "mpirun does not take its options: " + _SEE, _CORRECT),
}
"""What mpirun ends with where it says nothing: 135 is 4.1's, 181 and 213 are 5.0's (measured)."""

_NOT_LAUNCHED = frozenset({"do-not-launch", "donotlaunch"})
_TIME_LIMIT = re.compile(r"time limit for job execution has been reached:\s+Timeout: (\d+)")


def own_code(code: int) -> int:
    """Return a code of mpirun itself as one that looks like nothing else."""
    return code if 0 < code <= _LARGEST_OWN_CODE else FAILED_CODE


def time_limit(said: str) -> str | None:
    """Return which time limit of the user mpirun has ended the job for, if it has."""
    found = _TIME_LIMIT.search(said)
    return None if found is None else f"the time limit of {found[1]} s was reached (--timeout)"


def asks_for_no_launch(arguments: Sequence[str], *, major: int) -> bool:
    """Tell whether a line asks mpirun to start nothing."""
    options = read_options(arguments, major=major)
    words = {word for option in options for word in ",".join(option.values).split(",")}
    return not words.union(option.name for option in options).isdisjoint(_NOT_LAUNCHED)


def explain_failure(
    code: int, said: str, arguments: Sequence[str], *, major: int
) -> MpirunFailure | None:
    """Return why mpirun has started no rank, or None if nobody can tell.

    Args:
        code: what it ended with.
        said: the last that it wrote to stderr.
        arguments: a user's own line; empty where ``launch`` wrote it.
        major: the generation of Open MPI.
    """
    respelled = respell(arguments, major=major)
    if respelled:
        found = ", ".join(wrong for wrong, _ in respelled)
        here, there = NAMES[major], NAMES[OTHER[major]]
        reason = f"{found}: Open MPI {here} does not take this spelling of {there}"
        remedies = (
            f"write {right} for {wrong}" if right else f"leave out {wrong}"
            for wrong, right in respelled
        )
        return MpirunFailure(USAGE_CODE, reason, "; ".join(remedies))
    for pattern, failure in _WORDS:
        found_words = pattern.search(said)
        if found_words is not None:
            return _filled(failure, found_words.groupdict())
    return _CODES.get(code)


def _filled(failure: MpirunFailure, words: Mapping[str, str | None]) -> MpirunFailure:
    what = words.get("what") or words.get("too") or ""
    reason = failure.reason.format(what=what, too=short_name(words.get("too") or ""))
    return MpirunFailure(failure.exit_code, reason, failure.remedy)
