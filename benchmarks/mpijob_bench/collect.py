"""What the ranks of one launch tell, as it comes: steps to a file, the rest to a summary.

Memory grows by 16 bytes for each step of the job, not with ranks times steps.
"""

import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mpijob_bench.launches import Line
from mpijob_bench.plan import Steps
from mpijob_bench.steadiness import count_spikes, neighbour_correlation, summarise_seconds

StepWriter = Callable[[Iterable[Mapping[str, Any]]], None]


@dataclass
class _Mode:
    """One mode of the launch."""

    slowest: "array[float]" = field(default_factory=lambda: array("d"))
    fastest: "array[float]" = field(default_factory=lambda: array("d"))
    counted: dict[int, int] = field(default_factory=dict)
    rank_seconds: dict[int, float] = field(default_factory=dict)
    blocks: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, rank: int, seconds: list[float], *, first: int) -> None:
        """Take steps of a rank, from a number on; of each step two ranks are kept."""
        missing = max(first + len(seconds) - len(self.slowest), 0)
        self.slowest.extend([0.0] * missing)
        self.fastest.extend([math.inf] * missing)
        for index, took in enumerate(seconds, start=first):
            self.slowest[index] = max(self.slowest[index], took)
            self.fastest[index] = min(self.fastest[index], took)
        self.counted[rank] = self.counted.get(rank, 0) + len(seconds)
        self.rank_seconds[rank] = self.rank_seconds.get(rank, 0.0) + math.fsum(seconds)

    def steps(self) -> tuple[list[float], list[float]]:
        """Return slowest and fastest rank of the steps that some rank has counted."""
        both = zip(self.slowest, self.fastest, strict=True)
        counted = [(high, low) for high, low in both if high > 0]
        return [high for high, _ in counted], [low for _, low in counted]


class Collector:
    """Takes the lines of a launch.

    Args:
        launch: its number.
        hosts: of the launch, in order.
        write_steps: takes raw steps.
        alone: each node is a job of its own.
        warmup: how many of a user program's steps are not counted.
        fidelity: of the launch, a word in each step.
    """

    def __init__(
        self,
        launch: int,
        hosts: list[str],
        write_steps: StepWriter,
        *,
        alone: bool,
        warmup: Steps,
        fidelity: str = "measured",
    ) -> None:
        self._fidelity = fidelity
        self._launch, self._hosts, self._write, self._alone = launch, hosts, write_steps, alone
        self._warmup = warmup
        self._spent: dict[int, tuple[float, int]] = {}
        self._modes: dict[str, _Mode] = {}
        self._rank_hosts: dict[int, str] = {}
        self._numbers: dict[tuple[int, str], int] = {}
        self.wrong_elements = 0
        self._boot_ids: dict[str, str] = {}
        self.environment: dict[str, str | None] | None = None
        self.others: list[Line] = []

    def take(self, line: Line) -> None:
        """Take one line."""
        self._rank_hosts[line.rank] = line.host
        match line.data["bench"]:
            case "steps":
                self._steps(line)
            case "block":
                self._mode(line.data["mode"]).blocks[line.rank] = line.data
            case "rank":
                self._boot_ids[line.host] = str(line.data["boot_id"])
                self.environment = line.data.get("environment") or self.environment
                self.wrong_elements += int(line.data["wrong_elements"])
            case _:
                self.others.append(line)

    def take_user_step(self, line: Line) -> None:
        """Take a step that a user's program has printed, in the form of Metrics.

        The first steps are warm-up, as many as the plan says; other objects are left out.
        """
        try:
            seconds, samples = float(line.data["step_seconds"]), int(line.data["samples"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if not (0 < seconds < math.inf and samples > 0):
            return
        spent, count = self._spent.get(line.rank, (0.0, 0))
        self._spent[line.rank] = spent + seconds, count + 1
        warmup = count < self._warmup.warmup or spent < self._warmup.warmup_seconds
        self._rank_hosts[line.rank] = line.host
        told = {"mode": "full", "seconds": [seconds], "warmup": warmup}
        self._steps(Line(line.rank, line.host, told))
        if not warmup:
            blocks = self._mode("full").blocks
            old = blocks.get(line.rank, {"seconds": 0.0, "samples": 0, "steps": 0})
            new = {"seconds": seconds, "samples": samples, "steps": 1}
            blocks[line.rank] = {name: old[name] + new[name] for name in new}

    @property
    def ranks(self) -> int:
        """How many ranks have told something."""
        return len(self._rank_hosts)

    def boot_ids(self) -> list[str | None]:
        """Return what tells the machines of the hosts apart; None of those that have not told."""
        return [self._boot_ids.get(host) for host in self._hosts]

    def modes(self) -> dict[str, Any]:
        """Return the summary of each mode: the ``modes`` of a launch in result.json."""
        return {name: self._summary(mode) for name, mode in self._modes.items() if mode.blocks}

    def blocks(self, mode: str) -> list[Mapping[str, Any]]:
        """Return what the ranks told at the end of a mode's block."""
        told = self._mode(mode).blocks
        return [{**block, "host": self._rank_hosts[rank]} for rank, block in told.items()]

    def _mode(self, name: str) -> _Mode:
        return self._modes.setdefault(name, _Mode())

    def _steps(self, line: Line) -> None:
        data = line.data
        mode, warmup = data["mode"], bool(data["warmup"])
        key = (line.rank, mode)
        first = self._numbers.get(key, 0)
        self._numbers[key] = first + len(data["seconds"])
        same = {
            "fidelity": self._fidelity,
            "launch": self._launch,
            "rank": line.rank,
            "host": line.host,
            "mode": mode,
        }
        self._write(
            {**same, "step": step, "step_seconds": seconds, "warmup": warmup}
            for step, seconds in enumerate(data["seconds"], start=first)
        )
        if not warmup:
            self._mode(mode).add(line.rank, data["seconds"], first=first)

    def _summary(self, mode: _Mode) -> dict[str, Any]:
        nodes = [
            [rank for rank in mode.blocks if self._rank_hosts[rank] == host] for host in self._hosts
        ]
        slowest, fastest = mode.steps()
        return {
            "steps": min(block["steps"] for block in mode.blocks.values()),
            "samples_per_second": [_rate(mode, ranks) for ranks in nodes],
            "job_samples_per_second": None if self._alone else _rate(mode, list(mode.blocks)),
            "mean_seconds": [
                max((mode.rank_seconds[rank] / mode.counted[rank] for rank in ranks), default=None)
                for ranks in nodes
            ],
            "step_seconds": summarise_seconds(slowest),
            "spikes": count_spikes(slowest, fastest),
            "neighbour_correlation": neighbour_correlation(slowest),
            "settled": _settled(mode),
        }


def _settled(mode: _Mode) -> bool | None:
    """Return whether warm-up has ended in even steps, as the ranks agreed; None if not known."""
    told = [block.get("settled") for block in mode.blocks.values()]
    return None if None in told else all(told)


def _rate(mode: _Mode, ranks: list[int]) -> float | None:
    """Return samples over the time of the slowest rank; never a mean of rates.

    Both of a step: ranks of a user's program need not have counted as many.
    """
    blocks = [mode.blocks[rank] for rank in ranks]
    if not blocks:
        return None
    samples = math.fsum(block["samples"] / block["steps"] for block in blocks)
    seconds = max(float(block["seconds"] / block["steps"]) for block in blocks)
    return samples / seconds
