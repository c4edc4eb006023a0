"""The loss waterfall: from all nodes' rates alone to the rate together.

The bars float, so their length is what they say although the axis does not begin at nothing.

Layer: imports matplotlib, canvas, palette, attribution, words.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpijob_bench.attribution import Attribution, Term
from mpijob_bench.explanation import TITLES
from mpijob_bench.report.canvas import WIDE, Chart, chart, name_axes
from mpijob_bench.report.palette import sentinel
from mpijob_bench.report.words import percent, points

_THICK = 0.52
_ROUND = 0.05


def waterfall(found: Attribution, *, target: float, stamp: str) -> Chart:
    """Draw points lost by each term.

    Args:
        found: with terms and an efficiency.
        target: drawn as a line.
        stamp: a word behind the data.
    """
    efficiency = found.efficiency or 0.0

    def draw(_: Figure, axes: Axes, width: int) -> None:
        labels, level = ["nodes alone"], 1.0
        axes.plot([1.0], [0], "o", color=sentinel("ideal"), ms=9)
        _value(axes, 1.0, 0, percent(1.0, 0))
        for row, term in enumerate(found.terms, 1):
            labels.append(TITLES[term.name])
            axes.plot([level, level], [row - 1, row], color=sentinel("rule"), lw=1, zorder=1)
            _step(axes, row, level, term)
            level -= term.points
        row = len(labels)
        labels.append("together")
        axes.plot([level, level], [row - 1, row], color=sentinel("rule"), lw=1, zorder=1)
        axes.plot([level], [row], "o", color=sentinel("measured"), ms=9)
        _value(axes, level, row, percent(efficiency), bold=True)
        axes.axvline(target, color=sentinel("target"), lw=1.5, zorder=1)
        axes.text(
            target,
            -0.72,
            f"  target {percent(target, 0)}",
            color=sentinel("target"),
            fontweight="bold",
            ha="left",
            va="center",
        )
        _axes(axes, labels, (_left(found, target), _right(found, target)), width)

    losses = "; ".join(f"{TITLES[one.name]} {points(one.points)} points" for one in found.terms)
    text = f"Loss waterfall from 100 % to {percent(efficiency)}: {losses}."
    return chart("waterfall", text, draw, height=310, narrow_height=330, stamp=stamp)


def _axes(axes: Axes, labels: list[str], limits: tuple[float, float], width: int) -> None:
    name_axes(axes, x="% of the nodes' rates alone")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=sentinel("ink"), labelsize=12)
    axes.set_ylim(len(labels) - 0.5, -1.0)
    axes.set_xlim(*limits)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=sentinel("grid"))
    axes.locator_params(axis="x", nbins=10 if width >= WIDE else 5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")


def _left(found: Attribution, target: float) -> float:
    level, lowest = 1.0, min(target, 1.0)
    for term in found.terms:
        level -= term.points
        lowest = min(lowest, level - max(0.0, _reach(term)))
    span = 1.0 - lowest
    return lowest - 0.05 * span


def _right(found: Attribution, target: float) -> float:
    level, highest = 1.0, 1.0
    for term in found.terms:
        level -= term.points
        highest = max(highest, level)
    return highest + 0.16 * (highest - min(level, target))


def _reach(term: Term) -> float:
    """Return how far the upper bound of a loss goes beyond it."""
    return term.points_high - term.points if term.low > 0 else 0.0


def _step(axes: Axes, row: int, level: float, term: Term) -> None:
    right = max(level, level - term.points)
    colour = sentinel("loss" if term.points >= 0 else "gain")
    axes.barh(row, -term.points, left=level, height=_THICK, color=colour, zorder=2)
    if term.low > 0:
        low, high = level - term.points_high, level - term.points_low
        axes.plot([low, high], [row, row], "|-", color=sentinel("ink"), lw=1.5, ms=8, zorder=3)
        right = max(right, high)
    _value(axes, right, row, points(-term.points, signed=True))


def _value(axes: Axes, x: float, row: int, text: str, *, bold: bool = False) -> None:
    """Write a number right of a mark, where a waterfall that goes down is empty."""
    axes.annotate(
        text,
        (x, row),
        xytext=(10, 0),
        textcoords="offset points",
        ha="left",
        va="center",
        color=sentinel("ink"),
        fontweight="bold" if bold else "normal",
    )
