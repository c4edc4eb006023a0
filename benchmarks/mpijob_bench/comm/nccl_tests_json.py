"""nccl-tests' JSON, versions 1 to 3.

Version 1 has the mean of each size, 2 and 3 with -I also each iteration. ``config.devices`` has an
entry for each process, and for its first GPU only: there are nthreads * ngpus ranks in each.

Layer: pure; imports documents, nccl_tests_run.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mpijob_bench.comm.nccl_tests_run import (
    LARGEST_BYTES,
    REMEDY,
    NcclRow,
    NcclRun,
    check_rows,
    collective_of,
    wrong,
)
from mpijob_bench.documents import parse_json
from mpijob_runtime.errors import Problem

_VERSIONS = (1, 2, 3)
_MICROSECOND = 1e-6
_LEAST, _MOST = 1e-6, 1e15  # microseconds, and counts of wrong elements


class _BadValueError(Exception):
    """A value that cannot be."""

    def __init__(self, where: str, found: object, wanted: str) -> None:
        super().__init__(where)
        self.problem = Problem(0, f"{found!r:.60}", wanted, where)


def parse_nccl_json(data: bytes, *, path: str) -> NcclRun:
    """Return the run in a JSON file.

    Raises:
        ResultError: if it is none, or not of versions 1 to 3.
    """
    found = parse_json(data, path=path, remedy=REMEDY)
    try:
        return _run(_Node(found), path)
    except _BadValueError as error:
        raise wrong(path, [error.problem]) from error


def _run(root: "_Node", path: str) -> NcclRun:
    version = root.get("version").integer()
    if version not in _VERSIONS:
        raise _BadValueError("version", version, "1, 2 or 3")
    program = root.get("args").item(0).text()
    config = root.get("config")
    devices = [*config.get("devices").items()]
    # NCCL_TESTS_SPLIT: each group is a communicator; what is printed is of rank 0's
    group = devices[0].optional("group") if devices else None
    own = [device for device in devices if device.optional("group") == group]
    per_process = config.get("nthreads").integer() * config.get("ngpus").integer()
    if not own or per_process < 1:
        raise _BadValueError("config.devices", len(own) * per_process, "at least one rank")
    hosts = dict.fromkeys(device.get("hostname").text() for device in own)
    rows = [row for result in root.get("results").items() for row in _rows(result)]
    check_rows(rows, path)
    bounds = root.optional("out_of_bounds")
    if _Node(bounds).optional("okay") == "false" and not any(row.wrong_elements for row in rows):
        raise _BadValueError("out_of_bounds.okay", "false", "wrong elements in some result")
    return NcclRun(
        collective=collective_of(program, path=path, where="args[0]"),
        ranks=len(own) * per_process,
        hosts=tuple(hosts),
        device=str(own[0].optional("device_info") or "") or None,
        form=f"json {version}",
        rows=rows,
    )


def _rows(result: "_Node") -> Iterator[NcclRow]:
    size = result.get("size").integer()
    placement = "out_of_place" if result.optional("out_of_place") else "in_place"
    times = result.get(placement)
    if size == 0:
        return
    if times.optional("time") is None and times.optional("cpu_time") is not None:
        raise _BadValueError(f"{times.where}.cpu_time", "CPU time", "times without -C 1")
    per_iteration = result.optional(f"{placement}_per_iter")
    more = _iterations(result.get(f"{placement}_per_iter")) if per_iteration else {}
    yield NcclRow(
        bytes=size,
        type=f"{result.get('type').text()} {result.get('redop').text()}".strip(),
        placement=placement,
        seconds=times.get("time").positive() * _MICROSECOND,
        algbw=times.get("alg_bw").number(),
        busbw=times.get("bus_bw").number(),
        wrong_elements=_wrong(result),
        iterations=result.get("actual_iterations").integer()
        if result.optional("actual_iterations")
        else None,
        **more,
    )


def _wrong(result: "_Node") -> int | None:
    """Return the wrong elements of both placements; None if neither was checked."""
    checked = [
        int(result.get(placement).get("nwrong").positive(zero=True))
        for placement in ("out_of_place", "in_place")
        if _Node(result.optional(placement)).optional("nwrong") is not None
    ]
    return sum(checked) if checked else None


def _iterations(node: "_Node") -> dict[str, Any]:
    seconds = [time.positive() * _MICROSECOND for time in node.get("times_us").items()]
    skipped = node.optional("skipped_iterations")
    rows = (
        node.get("per_process_max_times_us") if node.optional("per_process_max_times_us") else None
    )
    first = skipped if isinstance(skipped, int) else 0
    per_process = [
        float(np.median([time.positive() for time in row.items()][first:] or [math.nan]))
        * _MICROSECOND
        for row in (rows.items() if rows else ())
    ]
    known = per_process if all(map(math.isfinite, per_process)) else []
    return {"iteration_seconds": seconds[first:], "rank_p50_seconds": known}


class _Node:
    """A value and its path in the file; whatever is not as it should be is refused with both."""

    def __init__(self, value: object, where: str = "") -> None:
        self.value, self.where = value, where

    def optional(self, key: str) -> object:
        """Return what stands under a key, or None."""
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def get(self, key: str) -> "_Node":
        where = f"{self.where}.{key}".removeprefix(".")
        if not isinstance(self.value, Mapping) or key not in self.value:
            raise _BadValueError(where, "nothing" if self._is_object() else self.value, "a value")
        return _Node(self.value[key], where)

    def _is_object(self) -> bool:
        return isinstance(self.value, Mapping)

    def items(self) -> Iterator["_Node"]:
        if not isinstance(self.value, list):
            raise _BadValueError(self.where, self.value, "a list")
        for number, value in enumerate(self.value):
            yield _Node(value, f"{self.where}[{number}]")

    def item(self, number: int) -> "_Node":
        for at, node in enumerate(self.items()):
            if at == number:
                return node
        raise _BadValueError(f"{self.where}[{number}]", "nothing", "a value")

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise _BadValueError(self.where, self.value, "a text")
        return self.value

    def integer(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise _BadValueError(self.where, self.value, "a whole number from 0")
        if self.value > LARGEST_BYTES:
            raise _BadValueError(self.where, self.value, f"at most {LARGEST_BYTES}")
        return self.value

    def number(self) -> float | None:
        """Return a number, or None for the string "nan"."""
        if self.value == "nan":
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise _BadValueError(self.where, self.value, 'a number or "nan"')
        return float(self.value)

    def positive(self, *, zero: bool = False) -> float:
        """Return a finite number above 0, or from 0."""
        found = self.number()
        least = 0.0 if zero else _LEAST
        if found is None or not least <= found <= _MOST:
            wanted = "a number " + ("from" if zero else "above") + " 0"
            raise _BadValueError(self.where, self.value, wanted)
        return found
