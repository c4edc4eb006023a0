"""Throughput and efficiency against the number of nodes.

Layer: imports matplotlib, canvas, palette, series, words.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpijob_bench.report.canvas import Chart, chart, name_axes
from mpijob_bench.report.palette import sentinel
from mpijob_bench.report.series import ModelPoint, Point
from mpijob_bench.report.words import percent, rate

_HEIGHT = 330
_MARK = 8
_LEAST_GAP = 0.07
_FAR_FROM_IDEAL = 0.9


def throughput(found: Sequence[Point], model: Sequence[ModelPoint], *, stamp: str) -> Chart:
    """Draw samples per second: measured points with bounds, the ideal line, the model's."""

    def draw(_: Figure, axes: Axes, __: int) -> None:
        first, last = found[0], found[-1]
        top = max(first.rate * last.nodes, *(one.rate_high or one.rate for one in found))
        name_axes(axes, x="nodes", y="samples per second")
        ideal = [0, first.rate * last.nodes]
        axes.plot([0, last.nodes], ideal, "--", color=sentinel("ideal"), lw=1.5)
        _model(axes, [(one.nodes, one.rate) for one in model])
        for point in found:
            _bar(axes, point.nodes, point.rate_low, point.rate_high)
        rates = [one.rate for one in found]
        axes.plot(_nodes(found), rates, "o", color=sentinel("measured"), ms=_MARK)
        above = last.efficiency < _FAR_FROM_IDEAL and _is_above(
            last.rate, model[-1].rate if model else None
        )
        bound = (last.rate_high if above else last.rate_low) or last.rate
        _name(axes, last.nodes, bound, rate(last.rate), above=above)
        axes.set_xlim(0, last.nodes * 1.08)
        axes.set_ylim(0, top * 1.1)
        axes.yaxis.set_major_formatter(lambda value, _: rate(value) if value else "0")
        _nodes_ticks(axes, found)

    last = found[-1]
    text = (
        f"Throughput against nodes: {rate(found[0].rate)} samples per second on one node,"
        f" {rate(last.rate)} on {last.nodes}; ideal would be {rate(found[0].rate * last.nodes)}."
    )
    return chart("throughput", text, draw, height=_HEIGHT, stamp=stamp, half=True)


def efficiency(
    found: Sequence[Point], model: Sequence[ModelPoint], *, target: float, stamp: str
) -> Chart:
    """Draw efficiency with bounds, the target line, and the model's line."""

    def draw(_: Figure, axes: Axes, __: int) -> None:
        lows = [value for one in found for value in (one.low, one.efficiency) if value]
        lows += [target, *(one.efficiency for one in model)]
        bottom = max(0.0, 0.05 * int(20 * (min(lows) - 0.03)))
        highs = [value for one in found for value in (one.high, one.efficiency) if value]
        nodes = found[-1].nodes
        name_axes(axes, x="nodes", y="efficiency, % of the nodes alone")
        axes.axhline(1.0, color=sentinel("ideal"), ls="--", lw=1.5)
        axes.axhline(target, color=sentinel("target"), lw=1.5)
        axes.text(
            0.02 * nodes,
            target,
            f"target {percent(target, 0)}",
            color=sentinel("target"),
            fontweight="bold",
            ha="left",
            va="bottom",
        )
        _model(axes, [(one.nodes, one.efficiency) for one in model])
        for point in found[1:]:
            _bar(axes, point.nodes, point.low, point.high)
        values = [one.efficiency for one in found]
        axes.plot(_nodes(found), values, "o", color=sentinel("measured"), ms=_MARK)
        above = _is_above(found[-1].efficiency, model[-1].efficiency if model else target)
        bound = (found[-1].high if above else found[-1].low) or found[-1].efficiency
        _name(axes, nodes, bound, percent(found[-1].efficiency), above=above)
        axes.set_xlim(0, nodes * 1.08)
        axes.set_ylim(bottom, max(1.0, *highs) + 0.08 * (max(1.0, *highs) - bottom))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
        _nodes_ticks(axes, found)

    last = found[-1]
    text = (
        f"Efficiency against nodes: {percent(last.efficiency)} on {last.nodes} nodes,"
        f" target {percent(target, 0)}."
    )
    return chart("efficiency", text, draw, height=_HEIGHT, stamp=stamp, half=True)


def _nodes(found: Sequence[Point]) -> list[int]:
    return [one.nodes for one in found]


def _model(axes: Axes, line: Sequence[tuple[int, float]]) -> None:
    if line:
        axes.plot(*zip(*line, strict=True), color=sentinel("model"), lw=2)


def _bar(axes: Axes, nodes: int, low: float | None, high: float | None) -> None:
    """Draw bounds with caps; the mark covers those that are closer than itself."""
    if low is not None and high is not None:
        axes.plot([nodes, nodes], [low, high], "_-", color=sentinel("measured"), lw=2, ms=10, mew=2)


def _is_above(measured: float, line: float | None) -> bool:
    """Return on which side of a point a line leaves room for a word."""
    return line is not None and measured >= line


def _name(axes: Axes, nodes: int, value: float, text: str, *, above: bool) -> None:
    axes.annotate(
        text,
        (nodes, value),
        xytext=(10, 8 if above else -8),
        textcoords="offset points",
        ha="right",
        va="bottom" if above else "top",
        color=sentinel("measured"),
        fontweight="bold",
        bbox={"facecolor": sentinel("surface"), "edgecolor": "none", "pad": 1},
        zorder=5,
    )


def _nodes_ticks(axes: Axes, found: Sequence[Point]) -> None:
    """Name the numbers of nodes that were run, as many as there is room for."""
    ticks, last = list[int](), found[-1].nodes
    for nodes in reversed(_nodes(found)):
        if not ticks or ticks[-1] - nodes >= _LEAST_GAP * last:
            ticks.append(nodes)
    axes.set_xticks(ticks)
