"""The matrix as a table, on the terminal and in the documentation."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.table import Table

from operator_matrix.cells import Cell, Verdict

MARKS = ("<!-- matrix: written by make matrix -->", "<!-- end of matrix -->")
_HEADS = ("operator", "user:group", "key at", "fsGroup", "the key is")


def make_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the table for a terminal."""
    table = Table(*_HEADS, *_versions(verdicts))
    for cell, row in _rows(verdicts):
        table.add_row(*_axes(cell), *(it.wrong or _end(it) for it in row))
    return table


def format_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the table for the documentation, with the remedies below it."""
    versions = _versions(verdicts)
    heads = (*_HEADS, *(f"Open MPI {version}" for version in versions))
    lines = [_line(heads), "|" + "---|" * len(heads)]
    lines += [
        _line((*_axes(cell), *(it.wrong or _end(it) for it in row)))
        for cell, row in _rows(verdicts)
    ]
    remedies = dict.fromkeys(it.remedy for it in verdicts if it.exit_code)
    lines += ["", "What the ends with 78 say next:", ""]
    lines += [f"- {remedy}" for remedy in remedies]
    return "\n".join(lines) + "\n"


def _versions(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(it.cell.open_mpi for it in verdicts))


def _rows(verdicts: Sequence[Verdict]) -> Iterable[tuple[Cell, list[Verdict]]]:
    """Yield the cells that differ in Open MPI alone as one row."""
    for _, group in groupby(verdicts, key=lambda it: _axes(it.cell)):
        row = list(group)
        yield row[0].cell, row


def _axes(cell: Cell) -> tuple[str, ...]:
    key = f"{cell.key_mode:04o} root:{cell.fs_group or 'root'}"
    group = str(cell.fs_group or "none")
    return (cell.operator, cell.user.label, cell.ssh_path, group, key)


def _end(verdict: Verdict) -> str:
    return "passes" if verdict.exit_code == 0 else f"{verdict.exit_code} and a remedy"


def _line(items: Iterable[str]) -> str:
    return f"| {' | '.join(items)} |"
