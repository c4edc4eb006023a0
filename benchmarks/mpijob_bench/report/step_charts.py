"""Step times: their distribution by number of nodes, and rank x step maps.

Layer: imports matplotlib, canvas, palette, step_stream, words.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from mpijob_bench.report.canvas import WIDE, Chart, chart, name_axes
from mpijob_bench.report.palette import HEAT_LEVELS, sentinel
from mpijob_bench.report.step_stream import Map
from mpijob_bench.report.words import seconds

Floats = NDArray[np.float64]
HEAT_EDGES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Slower than the map's median by this share: the borders of its levels."""

_MOST_ROWS = 32
_CURVE_POINTS = 200
_STYLES = ((1.4, "ideal", "--"), (1.6, "muted", "-."), (1.8, "muted", ":"), (2.4, "measured", "-"))
_LONGEST_LABEL = 26


def distribution(times: Mapping[int, Floats], *, stamp: str) -> Chart:
    """Draw the share of steps that took no longer; a curve for each number of nodes.

    Args:
        times: number of nodes -> step times of the job, ascending; not empty.
        stamp: a word behind the data.
    """

    def draw(figure: Figure, axes: Axes, _: int) -> None:
        name_axes(axes, x="step time, ms", y="share of steps, %")
        for nodes, style in _shown_curves(list(times)):
            _curve(axes, nodes, times[nodes], style)
        highest = max(float(np.quantile(values, 0.999)) for values in times.values())
        lowest = min(float(values[0]) for values in times.values())
        margin = 0.04 * (highest - lowest) or 0.05 * highest
        axes.set_xlim((lowest - margin) * 1e3, (highest + margin) * 1e3)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
        grey = sentinel("muted")
        figure.legend(loc="outside lower left", frameon=False, labelcolor=grey, ncols=2)

    middle = "; ".join(
        f"{nodes} nodes: median {seconds(float(np.median(values)))},"
        f" 99 % within {seconds(float(np.quantile(values, 0.99)))}"
        for nodes, values in times.items()
    )
    text = f"Distribution of step times. {middle}."
    return chart("distribution", text, draw, height=330, stamp=stamp, half=True)


def _shown_curves(nodes: list[int]) -> list[tuple[int, tuple[float, str, str]]]:
    """Return the smallest and the largest numbers, and as many between as there are styles."""
    if len(nodes) > len(_STYLES):
        places = np.linspace(0, len(nodes) - 1, len(_STYLES)).round().astype(int)
        nodes = [nodes[place] for place in places]
    return list(zip(nodes, _STYLES[-len(nodes) :], strict=True))


def _curve(axes: Axes, nodes: int, values: Floats, style: tuple[float, str, str]) -> None:
    width, colour, dashes = style
    shares = np.linspace(0, 1, min(_CURVE_POINTS, len(values)))
    label = f"{nodes} nodes" if nodes > 1 else "one node alone"
    axes.plot(
        np.quantile(values, shares) * 1e3,
        shares,
        dashes,
        color=sentinel(colour),
        lw=width,
        label=label,
    )


def heat_map(found: Map, title: str, name: str, *, stamp: str) -> Chart:
    """Draw how much slower than the median each rank was, over the steps.

    Args:
        found: with at least one rank.
        title: for those who do not see it.
        name: of the chart, for ids.
        stamp: a word behind the data.
    """
    means, labels = _rows(found)
    levels = heat_levels(means)

    def draw(_: Figure, axes: Axes, width: int) -> None:
        for level in range(HEAT_LEVELS):
            path = _cells(levels == level)
            if path is not None:
                axes.add_patch(PathPatch(path, fc=sentinel(f"heat{level}"), lw=0))
        axes.set_xlim(0, means.shape[1])
        axes.set_ylim(len(labels), 0)
        names = [_label(*one, named=width >= WIDE) for one in labels]
        axes.set_yticks(np.arange(len(labels)) + 0.5, names)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.xaxis.set_major_formatter(
            lambda value, _: f"{(value + found.first) * found.width:.0f}"
        )
        axes.locator_params(axis="x", nbins=6)
        name_axes(axes, x="step", y="rank")

    height = 84 + 17 * len(labels)
    return chart(name, title, draw, height=height, stamp=stamp)


def heat_levels(means: Floats) -> NDArray[np.int64]:
    """Return the level of each cell, -1 where nothing is known."""
    middle = float(np.nanmedian(means))
    with np.errstate(invalid="ignore"):
        levels = np.digitize(means / middle - 1, HEAT_EDGES)
    levels[np.isnan(means)] = -1
    return levels


def _label(rank: str, host: str, *, named: bool) -> str:
    """Return a row's name: of a host the name without its domain, of a long one its end."""
    if not named or not host:
        return rank
    short = host.split(".", maxsplit=1)[0]
    if len(short) > _LONGEST_LABEL:
        short = f"…{short[1 - _LONGEST_LABEL :]}"
    return f"{short}  {rank}"


def _rows(found: Map) -> tuple[Floats, list[tuple[str, str]]]:
    """Return the map with few enough rows: the slowest of neighbours where they are too many."""
    means, ranks = found.means(), sorted(found.rows)
    labels = [(str(rank), found.hosts[rank]) for rank in ranks]
    if len(ranks) <= _MOST_ROWS:
        return means, labels
    together = -(-len(ranks) // _MOST_ROWS)
    starts = range(0, len(ranks), together)
    with np.errstate(invalid="ignore"):
        rows = [np.fmax.reduce(means[start : start + together], axis=0) for start in starts]
    ends = [min(start + together, len(ranks)) - 1 for start in starts]
    labels = [
        (f"{ranks[start]} to {ranks[end]}", "") for start, end in zip(starts, ends, strict=True)
    ]
    return np.array(rows), labels


def _cells(mask: NDArray[np.bool_]) -> Path | None:
    """Return one path of rectangles, neighbours in a row joined."""
    corners: list[tuple[float, float]] = []
    for row, flags in enumerate(mask):
        for start, end in _runs(flags):
            top, bottom = row + 0.06, row + 0.94
            corners += [(start, top), (end, top), (end, bottom), (start, bottom), (start, top)]
    if not corners:
        return None
    one = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(corners, one * (len(corners) // len(one)))


def _runs(flags: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
