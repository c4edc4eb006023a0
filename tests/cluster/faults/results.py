"""Results of trials: kept as lines of JSON, put together by fault.

Layer: effects on one file; imports model.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from faults.model import Result


@dataclass(frozen=True, slots=True)
class Summary:
    """All trials of one fault under one Open MPI, ours or plain mpirun's."""

    results: tuple[Result, ...]

    @property
    def wrong(self) -> int:
        """How many were not as expected."""
        return sum(bool(result.wrong) for result in self.results)

    @property
    def codes(self) -> str:
        """The exit codes that came, ``hung`` for none."""
        numbers = sorted({r.exit_code for r in self.results if r.exit_code is not None})
        hung = ["hung"] if any(r.hung for r in self.results) else []
        return ", ".join([*map(str, numbers), *hung])

    @property
    def named(self) -> str:
        """How many of the jobs that failed named what was expected; one that hung did not."""
        failed = [r for r in self.results if r.exit_code != 0 or r.wrong]
        silent = [r for r in failed if not r.exit_code or _is_silent(r)]
        return f"{len(failed) - len(silent)} of {len(failed)}" if failed else "-"

    def seconds(self, field: str) -> str:
        """Return median and worst of a time; a hyphen if it was never seen."""
        found = [value for r in self.results if (value := getattr(r, field)) is not None]
        if not found:
            return "-"
        if len(found) == 1:
            return f"{found[0]:.1f}"
        return f"{median(found):.1f} / {max(found):.1f}"


class ResultsFile:
    """A file of results, one a line, so that a broken run can go on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Result]:
        """Return all results; the last of those with one key. A line cut short is no result."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        found = (_parse(line) for line in lines if line.endswith("\n"))
        return list({result.key: result for result in found}.values())

    def add(self, result: Result) -> None:
        """Append a result."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(result), ensure_ascii=False) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def summarize(results: Iterable[Result], fault: str, open_mpi: str, *, bare: bool) -> Summary:
    """Return the trials of one fault."""
    return Summary(
        tuple(
            it
            for it in results
            if it.fault == fault and it.open_mpi == open_mpi and it.bare == bare
        )
    )


def _is_silent(result: Result) -> bool:
    return any("does not say" in words for words in result.wrong)


def _parse(line: str) -> Result:
    fields = json.loads(line)
    return Result(**{**fields, "wrong": tuple(fields["wrong"])})


def versions(results: Sequence[Result]) -> list[str]:
    """Return the Open MPI generations that were tried."""
    return sorted({result.open_mpi for result in results})
