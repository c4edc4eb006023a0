"""nccl-tests' table on stdout, of all versions with a header line.

Columns are found by the header ``# size count type …``, whose names differ between versions: early
ones have no ``root``, and ``error`` in place of ``#wrong``; -I adds columns.

Layer: pure; imports nccl_tests_run.
"""

import re
from collections.abc import Iterator, Sequence

from mpijob_bench.comm.nccl_tests_run import (
    LARGEST_BYTES,
    NcclRow,
    NcclRun,
    check_rows,
    collective_of,
    wrong,
)
from mpijob_runtime.errors import Problem

_MICROSECOND = 1e-6
_LEAST_SECONDS = 1e-12
_LAUNCHER = re.compile(r"^\[[^\]\n]{1,200}\](?:<std\w+>:)? ?")
"""What mpirun --tag-output or mpijob-runtime put before a line: [1,0]<stdout>: or [0 host]."""

_STARTING = re.compile(r"#\s*Collective test starting:\s*(\S+)")
_DEVICE = re.compile(
    r"#\s*Rank\s+\d+(?:\s+Group\s+(?P<group>\d+))?\s+Pid\s+\d+\s+on\s+(?P<host>\S+)\s+"
    r"device\s+\d+\s+\[[^\]]*\]\s*(?P<name>.*)"
)
_OUT_OF_BOUNDS = re.compile(r"#\s*Out of bounds values\s*:\s*\d+\s+FAILED")
_END = re.compile(r"#\s*Avg bus bandwidth")
_ROW = re.compile(r"\d+\s+\d+\s+[a-z]\w*\s")


def parse_nccl_text(text: str, *, path: str, collective: str | None) -> NcclRun:
    """Return the run that a text tells of.

    Args:
        text: what a program printed.
        path: of the file, for errors.
        collective: which it was, if the text does not say so.

    Raises:
        ResultError: if it is none.
    """
    lines = [_LAUNCHER.sub("", line).strip() for line in text.splitlines()]
    programs = [match[1] for line in lines if (match := _STARTING.match(line))]
    if len(programs) > 1:
        raise wrong(path, [Problem(0, f"{len(programs)} tests", "one test in a file")])
    if programs:
        collective = collective_of(programs[0], path=path, where="Collective test starting")
    if collective is None:
        wanted = "a line '# Collective test starting:', or the option --collective"
        raise wrong(path, [Problem(0, "no collective's name", wanted)])
    devices = _devices(lines, path)
    rows = [*_rows(lines, path)]
    check_rows(rows, path)
    if not any(_END.match(line) for line in lines):
        raise wrong(path, [Problem(len(lines), "the end", "a line '# Avg bus bandwidth' first")])
    if any(_OUT_OF_BOUNDS.match(line) for line in lines) and not any(
        row.wrong_elements for row in rows
    ):
        wanted = "wrong elements in some row"
        raise wrong(path, [Problem(0, "FAILED", wanted, "Out of bounds values")])
    hosts = dict.fromkeys(match["host"] for match in devices)
    return NcclRun(collective, len(devices), tuple(hosts), devices[0]["name"] or None, "text", rows)


def _devices(lines: Sequence[str], path: str) -> list[re.Match[str]]:
    """Return the ranks of rank 0's communicator."""
    devices = [match for line in lines if (match := _DEVICE.match(line))]
    if not devices:
        raise wrong(path, [Problem(0, "no line '#  Rank  0 …'", "a line for each rank")])
    return [match for match in devices if match["group"] == devices[0]["group"]]


def _rows(lines: Sequence[str], path: str) -> Iterator[NcclRow]:
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        words = line.removeprefix("#").split()
        if words[:3] == ["size", "count", "type"]:
            names = words
        elif names and _ROW.match(line):
            yield from _row(names, words, path, number)


def _named(names: Sequence[str], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the first value of each column: out-of-place stands before in-place."""
    seen = set()
    for name, word in zip(names, words, strict=False):
        if name not in seen:
            seen.add(name)
            yield name, word


def _wrong(names: Sequence[str], words: Sequence[str]) -> int | None:
    """Return the wrong elements of both placements; None if neither was checked.

    Early versions have an error in place of the count.
    """
    columns = zip(names, words, strict=False)
    checked = [word for name, word in columns if name == "#wrong" and word != "N/A"]
    return sum(int(float(word)) for word in checked) if checked else None


def _row(names: Sequence[str], words: Sequence[str], path: str, line: int) -> Iterator[NcclRow]:
    values = dict(_named(names, words))
    if "cputime" in values:
        raise wrong(path, [Problem(line, "CPU time", "times without -C 1", "cputime")])
    try:
        size = int(values["size"])
        seconds = float(values["time"]) * _MICROSECOND
        algbw, busbw = float(values["algbw"]), float(values["busbw"])
        wrong_elements = _wrong(names, words)
    except (KeyError, ValueError, OverflowError) as error:
        raise wrong(path, [Problem(line, str(error)[:60], "a whole row of the table")]) from error
    if size == 0:
        return
    if not _LEAST_SECONDS <= seconds < float("inf"):
        raise wrong(path, [Problem(line, values["time"], "a time above 0", "time")])
    if size > LARGEST_BYTES or (wrong_elements or 0) < 0:
        raise wrong(
            path, [Problem(line, f"{size} bytes, {wrong_elements} wrong", "numbers that can be")]
        )
    kind = f"{values['type']} {values.get('redop', '')}".strip()
    yield NcclRow(size, kind, "out_of_place", seconds, algbw, busbw, wrong_elements)
