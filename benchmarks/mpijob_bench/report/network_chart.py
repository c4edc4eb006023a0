"""Bus bandwidth against message size, with the fitted line and the buckets' sizes.

Layer: imports matplotlib, canvas, palette, allreduce, words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpijob_bench.allreduce import ALL_REDUCE, Allreduce
from mpijob_bench.report.canvas import WIDE, Chart, chart, name_axes
from mpijob_bench.report.palette import sentinel
from mpijob_bench.report.words import bandwidth, size

_MARKERS = ("s", "^", "D", "v", "P")
_GIGA, _MEGA = 1e9, 1e6


def network(
    comm: Mapping[str, Any], fit: Allreduce | None, buckets: Sequence[float], *, stamp: str
) -> Chart:
    """Draw it.

    Args:
        comm: that was checked; with at least one result.
        fit: of allreduce.
        buckets: their sizes in bytes, as they are sent.
        stamp: a word behind the data.
    """
    rows = by_collective(comm)
    fastest = max(row["busbw_bytes_per_second"] for row in comm["results"])
    unit, unit_name = (_GIGA, "GB/s") if fastest >= _GIGA else (_MEGA, "MB/s")

    def draw(_: Figure, axes: Axes, width: int) -> None:
        sizes = [row["bytes"] for some in rows.values() for row in some if row["bytes"]]
        low, high = min(sizes), max(sizes)
        name_axes(axes, x="message size", y=f"bus bandwidth, {unit_name}")
        _others(axes, rows, unit)
        _line(axes, fit, (low, high), unit)
        _points(axes, rows.get(ALL_REDUCE, []), unit)
        _buckets(axes, buckets)
        axes.set_xscale("log", base=2)
        axes.set_xlim(low / 1.5, high * 1.5)
        axes.set_ylim(bottom=0)
        _ticks(axes, low, high, 6 if width >= WIDE else 3)
        if len(rows) > 1 or buckets:
            legend = axes.legend(loc="upper left", frameon=False, labelcolor=sentinel("muted"))
            legend.set_zorder(5)

    text = "Bus bandwidth against message size."
    if fit:
        text += (
            f" Fitted: {bandwidth(fit.bytes_per_second)} and"
            f" {fit.alpha_seconds * 1e6:.0f} microseconds a message."
        )
    return chart("network", text, draw, height=340, stamp=stamp)


def by_collective(comm: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return collective -> its rows, by size; allreduce first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(comm["results"], key=lambda row: row["bytes"]):
        found.setdefault(row["collective"], []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] != ALL_REDUCE, item[0])))


def _points(axes: Axes, rows: Sequence[Mapping[str, Any]], unit: float) -> None:
    x = [row["bytes"] for row in rows]
    y = [row["busbw_bytes_per_second"] / unit for row in rows]
    axes.plot(x, y, "o", color=sentinel("measured"), ms=6, label="allreduce")


def _others(axes: Axes, rows: Mapping[str, Sequence[Mapping[str, Any]]], unit: float) -> None:
    others = [(name, some) for name, some in rows.items() if name != ALL_REDUCE]
    for (name, some), marker in zip(others, _MARKERS, strict=False):
        x = [row["bytes"] for row in some]
        y = [row["busbw_bytes_per_second"] / unit for row in some]
        label = name.replace("_", "-")
        axes.plot(x, y, marker, color=sentinel("ideal"), ms=4.5, mfc="none", label=label)


def _line(axes: Axes, fit: Allreduce | None, sizes: tuple[float, float], unit: float) -> None:
    if fit is None or fit.ranks == 1:
        return
    line = Allreduce(fit.ranks, fit.alpha_seconds, fit.bytes_per_second)
    x = np.geomspace(*sizes, 80)
    factor = 2 * (fit.ranks - 1) / fit.ranks / unit
    y = [factor * one / line.cost_seconds(one) for one in x]
    axes.plot(x, y, color=sentinel("model"), lw=2, label="alpha-beta fit", zorder=1)


def _buckets(axes: Axes, buckets: Sequence[float]) -> None:
    for number, one in enumerate(sorted(set(buckets))):
        axes.axvline(
            one,
            ymax=0.05,
            color=sentinel("target"),
            lw=2.5,
            label="bucket sizes of the workload" if number == 0 else None,
        )


def _ticks(axes: Axes, low: float, high: float, most: int) -> None:
    first, last = int(np.ceil(np.log2(low))), int(np.floor(np.log2(high)))
    step = max((last - first) // most, 1)
    ticks = [2.0**power for power in range(first, last + 1, step)]
    axes.set_xticks(ticks, [size(tick) for tick in ticks])
    axes.minorticks_off()
