"""What ranks told of a sweep, summed up in the form ``comm/1``.

The time of an iteration is that of its slowest rank. Bandwidths and fits are from iterations in a
row, as nccl-tests and a training step have them: what ranks meet in before single ones, a barrier,
lets them go one after the other, and the slowest rank's time then has the others' lateness in it.

Layer: pure; imports bandwidth, fit, options, and launches for a line's type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpijob_bench.comm.bandwidth import busbw_factor
from mpijob_bench.comm.fit import NotFittedError, fit
from mpijob_bench.launches import Line

SCHEMA = "comm/1"

Comm = dict[str, Any]
"""A document of the schema comm/1."""


@dataclass(slots=True)
class _Measured:
    """A collective at one size: the slowest rank of each iteration, and each rank's median."""

    slowest_seconds: list[float]
    in_a_row_seconds: float = 0.0
    rank_p50_seconds: dict[int, float] = field(default_factory=dict)
    wrong_elements: int = 0

    def add(self, rank: int, data: Mapping[str, Any]) -> None:
        seconds = data["seconds"]
        pairs = zip(self.slowest_seconds, seconds, strict=True)
        self.slowest_seconds = [max(pair) for pair in pairs]
        self.rank_p50_seconds[rank] = float(np.median(seconds))
        self.in_a_row_seconds = max(self.in_a_row_seconds, data["in_a_row_seconds"])
        self.wrong_elements += data["wrong_elements"]


class Summary:
    """Takes ranks' lines one by one; what it holds grows with sizes, not with ranks' iterations."""

    def __init__(self) -> None:
        self._hosts: dict[int, str] = {}
        self._measured: dict[tuple[str, int], _Measured] = {}
        self.sizes: list[int] = []
        self.ranks = 0
        self.memory_bytes: int | None = None
        self.device: str | None = None
        self._unsupported: dict[str, str] = {}

    def take(self, line: Line) -> None:
        """Take a line; others than those of a sweep are left alone."""
        data = line.data
        match data["bench"]:
            case "sweep":
                self.sizes, self.ranks = list(data["sizes"]), data["ranks"]
                self.memory_bytes, self.device = data["memory_bytes"], data["device"]
            case "unsupported":
                self._unsupported[data["collective"]] = data["reason"]
            case "collective":
                self._hosts[line.rank] = line.host
                self._add(line.rank, data)

    @property
    def done(self) -> list[tuple[str, int]]:
        """What all ranks have told of: collectives with sizes."""
        told = self._measured.items()
        return [pair for pair, of in told if len(of.rank_p50_seconds) == self.ranks]

    def is_elsewhere(self, line: Line) -> bool:
        """Return whether a line is of other ranks, or of a rank on another host, than before."""
        moved = self._hosts.get(line.rank, line.host) != line.host
        ranks = line.data.get("ranks", self.ranks)
        return moved or self.ranks not in (0, ranks)

    def document(self, *, backend: str, fidelity: str, max_bytes: int) -> Comm:
        """Return what was taken.

        Args:
            backend: gloo, nccl or mpi.
            fidelity: measured or emulated.
            max_bytes: what was asked for; what memory allowed is known from the ranks.
        """
        ranks = self.ranks
        hosts = list(dict.fromkeys(self._hosts[rank] for rank in sorted(self._hosts)))
        results = [
            _result(name, size, self._measured[name, size], ranks) for name, size in self.done
        ]
        fits, refused = fit_all(results, ranks)
        return {
            "schema": SCHEMA,
            "fidelity": fidelity,
            "backend": backend,
            "nodes": len(hosts),
            "ranks": ranks,
            "hosts": hosts,
            "device": self.device,
            "source": {"tool": "mpijob-bench"},
            "limits": {"wanted_bytes": max_bytes, "memory_bytes_per_rank": self.memory_bytes},
            "unsupported": self._unsupported,
            "results": results,
            "fits": fits,
            "not_fitted": refused,
        }

    def _add(self, rank: int, data: Mapping[str, Any]) -> None:
        key = (data["collective"], data["bytes"])
        measured = self._measured.setdefault(key, _Measured([0.0] * len(data["seconds"])))
        measured.add(rank, data)


def fit_all(
    results: Sequence[Mapping[str, Any]], ranks: int
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return the fit of each collective, and why there is none for the others."""
    fits, refused = {}, {}
    for name in dict.fromkeys(result["collective"] for result in results):
        own = [result for result in results if result["collective"] == name]
        sizes = [result["bytes"] for result in own]
        seconds = [typical_seconds(result) for result in own]
        try:
            fits[name] = fit(name, ranks, sizes, seconds).to_json()
        except NotFittedError as error:
            refused[name] = str(error)
    return fits, refused


def typical_seconds(result: Mapping[str, Any]) -> float:
    """Return what an iteration takes in a row with others.

    Where that was not measured the median stands for it, and the mean where only that is known
    (nccl-tests, whose mean is of iterations in a row).
    """
    seconds = result["seconds"]
    known = (result.get("in_a_row_seconds"), seconds["p50"], seconds["mean"])
    return float(next(value for value in known if value is not None))


def bandwidths(collective: str, ranks: int, size_bytes: int, seconds: float) -> dict[str, float]:
    """Return algbw and busbw under their keys."""
    algbw = size_bytes / seconds
    return {
        "algbw_bytes_per_second": algbw,
        "busbw_bytes_per_second": algbw * busbw_factor(collective, ranks),
    }


def distribution(seconds: Sequence[float]) -> dict[str, float]:
    """Return the distribution of iterations under its keys."""
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99])
    return {
        "min": min(seconds),
        "mean": float(np.mean(seconds)),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": max(seconds),
    }


def _result(collective: str, size_bytes: int, measured: _Measured, ranks: int) -> dict[str, Any]:
    in_a_row = measured.in_a_row_seconds
    return {
        "collective": collective,
        "bytes": size_bytes,
        "iterations": len(measured.slowest_seconds),
        "iteration_seconds": measured.slowest_seconds,
        "wrong_elements": measured.wrong_elements,
        "seconds": distribution(measured.slowest_seconds),
        "in_a_row_seconds": in_a_row,
        **bandwidths(collective, ranks, size_bytes, in_a_row),
        "rank_p50_seconds": [measured.rank_p50_seconds[rank] for rank in range(ranks)],
    }
