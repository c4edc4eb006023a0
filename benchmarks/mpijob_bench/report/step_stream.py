"""``steps.jsonl``, read as a stream: gigabytes become some thousand numbers.

Of the job's steps (the slowest rank of each, mode ``full``, no warm-up) an even sample is kept: if
there are too many, every second is dropped, and of those to come as well. The rank x step maps are
of one launch, in columns that double their width when the steps do not fit.

Layer: reads a file; imports documents.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpijob_bench.documents import check_regular

MOST_STEPS = 40_000
MOST_RANKS = 1_024
MOST_COLUMNS = 100
_LONGEST_LINE_BYTES = 1 << 16
_LARGEST_STEP = 1 << 40
_LONGEST_STEP_SECONDS = 1e9
_REPORT_EVERY_LINES = 20_000


@dataclass(slots=True)
class Sample:
    """Step times of jobs: of each launch, job and step the slowest rank.

    Attributes:
        stride: every so many steps are kept.
        seconds: of (launch, job, step); nodes alone are a job each, named by their host.
    """

    stride: int = 1
    seconds: dict[tuple[int, str, int], float] = field(default_factory=dict)

    def add(self, launch: int, job: str, step: int, seconds: float) -> None:
        """Take one rank's step."""
        if step % self.stride:
            return
        key = (launch, job, step)
        if key not in self.seconds and len(self.seconds) >= MOST_STEPS:
            if self.stride > _LARGEST_STEP:
                return  # more jobs than steps are kept
            self._thin()
            if step % self.stride or len(self.seconds) >= MOST_STEPS:
                return
        self.seconds[key] = max(seconds, self.seconds.get(key, 0.0))

    def _thin(self) -> None:
        self.stride *= 2
        kept = {key: value for key, value in self.seconds.items() if not key[2] % self.stride}
        self.seconds = kept


@dataclass(slots=True)
class Map:
    """Mean step time of each rank in columns of some steps each.

    Attributes:
        width: steps of a column.
        rows: rank -> sums and counts of its columns.
        hosts: rank -> its host.
    """

    width: int = 1
    rows: dict[int, list[list[float]]] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)

    def add(self, rank: int, host: str, step: int, seconds: float) -> None:
        """Take one rank's step."""
        while step // self.width >= MOST_COLUMNS:
            self._fold()
        if rank not in self.rows:
            if len(self.rows) >= MOST_RANKS:
                return
            self.rows[rank] = [[0.0, 0.0] for _ in range(MOST_COLUMNS)]
            self.hosts[rank] = host
        cell = self.rows[rank][step // self.width]
        cell[0] += seconds
        cell[1] += 1

    def _fold(self) -> None:
        self.width *= 2
        for rank, row in self.rows.items():
            pairs = zip(row[::2], row[1::2], strict=True)
            folded = [[a[0] + b[0], a[1] + b[1]] for a, b in pairs]
            self.rows[rank] = folded + [[0.0, 0.0] for _ in range(MOST_COLUMNS - len(folded))]

    def means(self) -> NDArray[np.float64]:
        """Return seconds of (rank, column), NaN where no step is, from `first` to the last."""
        if not self.rows:
            return np.empty((0, 0))
        cells = np.array([self.rows[rank] for rank in sorted(self.rows)])
        with np.errstate(invalid="ignore"):
            means = cells[..., 0] / np.where(cells[..., 1] > 0, cells[..., 1], np.nan)
        used = np.flatnonzero(np.isfinite(means).any(axis=0))
        kept: NDArray[np.float64] = means[:, self.first : used[-1] + 1]
        return kept

    @property
    def first(self) -> int:
        """The first column with a step: those of the warm-up are empty."""
        return min(
            (n for row in self.rows.values() for n, cell in enumerate(row) if cell[1]), default=0
        )


@dataclass(slots=True)
class Steps:
    """What is kept of a file.

    Attributes:
        lines: that were read.
        wrong: lines that are no step.
        sample: of the job's steps.
        maps: mode -> of the launch that was asked for.
    """

    lines: int = 0
    wrong: int = 0
    sample: Sample = field(default_factory=Sample)
    maps: dict[str, Map] = field(default_factory=lambda: {"local": Map(), "full": Map()})

    def by_launch(self) -> Mapping[int, NDArray[np.float64]]:
        """Return launch -> step times of the job, ascending."""
        found: dict[int, list[float]] = {}
        for (launch, _, _), seconds in self.sample.seconds.items():
            found.setdefault(launch, []).append(seconds)
        return {launch: np.sort(np.array(values)) for launch, values in sorted(found.items())}


def read_steps(
    path: str,
    *,
    alone: Collection[int] = (),
    mapped_launch: int | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Steps:
    """Read a file of steps in bounded memory.

    Args:
        path: of ``steps.jsonl``.
        alone: launches whose nodes are a job each.
        mapped_launch: whose ranks are mapped.
        tell: called now and then with the bytes read so far.

    Raises:
        OSError: if it cannot be read.
    """
    steps = Steps()
    check_regular(path)
    with open(path, "rb") as file:
        while raw := _line(file):
            steps.lines += 1
            if not _take(raw, steps, alone, mapped_launch):
                steps.wrong += 1
            if steps.lines % _REPORT_EVERY_LINES == 0:
                tell(file.tell())
        tell(file.tell())
    return steps


def file_bytes(path: str) -> int:
    """Return a file's size, 0 if there is none."""
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _line(file: BinaryIO) -> bytes:
    """Return the next line; of one that is too long its first bytes, and skip the rest."""
    raw = file.readline(_LONGEST_LINE_BYTES)
    rest = raw
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(_LONGEST_LINE_BYTES)
    return raw


def _take(raw: bytes, steps: Steps, alone: Collection[int], mapped_launch: int | None) -> bool:
    """Take a line and tell whether it is a step."""
    try:
        told: dict[str, Any] = json.loads(raw)
        launch, rank, step = int(told["launch"]), int(told["rank"]), int(told["step"])
        seconds, mode = float(told["step_seconds"]), str(told["mode"])
        host = str(told.get("host", ""))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return False
    if not (0 < seconds < _LONGEST_STEP_SECONDS and min(launch, rank, step) >= 0):
        return False
    if max(launch, rank, step) > _LARGEST_STEP:
        return False
    if told.get("warmup"):
        return True
    if mode == "full":
        steps.sample.add(launch, host if launch in alone else "", step, seconds)
    if launch == mapped_launch and mode in steps.maps:
        steps.maps[mode].add(rank, host, step, seconds)
    return True
