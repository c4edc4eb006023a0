"""Launches in their order, each against the mean of its kind: does anything drift?

Layer: imports matplotlib, canvas, palette, series.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mpijob_bench.report.canvas import Chart, chart, name_axes
from mpijob_bench.report.palette import sentinel
from mpijob_bench.report.series import Drift

_KINDS = (("alone", "s", "ideal", "nodes alone"), ("together", "o", "measured", "together"))
_LEAST_SHARE = 0.01


def drift_chart(found: Sequence[Drift], *, stamp: str) -> Chart:
    """Draw it; launches that failed are crosses on the lower edge."""
    widest = max([abs(one.deviation) for one in found if one.deviation is not None] or [0.0])
    limit = 1.3 * max(widest, _LEAST_SHARE)

    def draw(_: Figure, axes: Axes, __: int) -> None:
        name_axes(axes, x="launch, in the order of time", y="rate against the mean of its kind, %")
        axes.axhline(0, color=sentinel("rule"), lw=1.5)
        for kind, mark, colour, label in _KINDS:
            some = [(one.order, one.deviation) for one in found if one.kind == kind]
            known = [(order, value) for order, value in some if value is not None]
            x, y = [order for order, _ in known], [value for _, value in known]
            axes.plot(x, y, mark, color=sentinel(colour), ms=7, label=label)
        lost = [one.order for one in found if one.status == "failed"]
        if lost:
            bottom = [-0.93 * limit] * len(lost)
            axes.plot(lost, bottom, "x", color=sentinel("fail"), ms=8, mew=2.5, label="failed")
        axes.set_ylim(-limit, 1.5 * limit)
        axes.set_xlim(0, len(found) + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:+.1f}" if value else "0")
        axes.legend(loc="upper left", frameon=False, ncols=3, labelcolor=sentinel("muted"))

    text = (
        f"{len(found)} launches in the order of time; the widest deviation from the mean of its"
        f" kind is {100 * widest:.1f} %."
    )
    return chart("drift", text, draw, height=330, stamp=stamp, half=True)
