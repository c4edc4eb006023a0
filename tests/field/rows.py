"""The lines that are tried: our words for what published manifests and bug reports do.

A row names its source and does the same with a program that every image has; nothing is copied.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSIONS = ("4.1", "5.0")
BOTH_WORKERS = (r"field-worker-0\b", r"field-worker-1\b")
"""Patterns of a program that prints its host's name, with a rank on each worker."""


@dataclass(frozen=True)
class Row:
    """One thing that users do.

    Attributes:
        name: a word for tests and messages.
        does: what it does, for the table.
        source: who does it.
        script: for bash, in the launcher of a job of two workers with one slot each.
        says: patterns that its output must have where it succeeds.
        never: patterns that its output must not have.
        ends: Open MPI generation -> exit code, where that is not 0.
        next_step: a pattern of what is said where that is not 0.
        remark: what the table adds to that code.
    """

    name: str
    does: str
    source: str
    script: str
    says: tuple[str, ...] = BOTH_WORKERS
    never: tuple[str, ...] = ()
    ends: Mapping[str, int] = field(default_factory=dict)
    next_step: str = ""
    remark: str = ""

    def expected(self, open_mpi: str) -> int:
        """Return the exit code that is right."""
        return self.ends.get(open_mpi, 0)


@dataclass(frozen=True)
class Verdict:
    """What came of a row; ``wrong`` is empty if it is as it must be."""

    row: Row
    open_mpi: str
    code: int | None
    wrong: str = ""


def judge(row: Row, open_mpi: str, code: int | None, output: str) -> Verdict:
    """Hold what a row printed and ended with against what it must."""
    wanted = row.expected(open_mpi)
    if code is None:
        wrong = "did not run"
    elif code != wanted:
        wrong = f"exit code {code}, wanted {wanted}"
    else:
        says = (row.next_step,) if wanted else row.says
        lacking = [it for it in says if not re.search(it, output, re.MULTILINE)]
        found = [it for it in row.never if re.search(it, output, re.MULTILINE)]
        wrong = "; ".join([*(f"lacks {it!r}" for it in lacking), *(f"has {it!r}" for it in found)])
    return Verdict(row, open_mpi, code, wrong)
