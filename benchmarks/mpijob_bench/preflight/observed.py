"""What ranks told of their hosts (ranks/machine.py), put together by host.

Layer: pure; imports launches for a line's type.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mpijob_bench.launches import Line

Pair = tuple[str, str]


@dataclass(slots=True)
class Observed:
    """The hosts of a job.

    Attributes:
        machines: host -> its facts, in the order of hosts; see ranks/machine.py.
        clocks: host -> seconds that its clock is ahead of the first host's, and the round trip.
        network: the data network that the launch found; None if it found none.
        nccl: what the launch learnt of NCCL; None without NCCL.
    """

    machines: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    clocks: dict[str, tuple[float, float]] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None
    nccl: Mapping[str, Any] | None = None
    _speeds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _pairs: dict[tuple[str, int], list[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def take(self, line: Line) -> None:
        """Take a line; others than those of ranks/machine.py are left alone."""
        data = line.data
        match data["bench"]:
            case "machine":
                self.machines[line.host] = {k: v for k, v in data.items() if k != "bench"}
            case "clock":
                self.clocks[line.host] = (data["offset_seconds"], data["round_trip_seconds"])
            case "speed":
                rate = data["flop"] / statistics.median(data["seconds"])
                self._speeds[line.host].append(rate)
            case "pair":
                seconds = statistics.median(data["seconds"])
                self._pairs[line.host, data["other"]].append((data["bytes"], seconds))

    @property
    def hosts(self) -> list[str]:
        """Their names, in the order of the job's hosts."""
        return sorted(self.machines, key=lambda host: int(self.machines[host]["index"]))

    @property
    def speeds(self) -> dict[str, float]:
        """Host -> operations per second of all its ranks, the median of some rounds."""
        return {host: sum(self._speeds[host]) for host in self.hosts if host in self._speeds}

    @property
    def pairs(self) -> dict[Pair, float]:
        """Two hosts -> bytes per second in each direction, of all their ranks together."""
        names = self.hosts
        found = {}
        for (host, other), exchanges in self._pairs.items():
            moved = 2 * sum(size for size, _ in exchanges)
            found[host, names[other]] = moved / max(seconds for _, seconds in exchanges)
        return found
