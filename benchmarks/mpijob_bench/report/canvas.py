"""Drawings as inline SVG: text stays text, colours become CSS variables, ids are unique.

Layer: imports matplotlib and palette.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mpijob_bench.report.palette import sentinel, with_variables

WIDE, NARROW = 860, 420
"""Widths in CSS pixels: the page's column, and half of it or a telephone."""

FONT_PIXELS = 12
_SMALL_PIXELS = 11
_DOTS_PER_INCH = 72  # a point of SVG is then a pixel

_STYLE: Any = {  # its keys are a literal of hundreds in the library
    "svg.fonttype": "none",
    "svg.hashsalt": "mpijob-bench",
    "text.parse_math": False,  # a host may be called $HOST
    "font.size": FONT_PIXELS,
    "axes.titlesize": FONT_PIXELS,
    "axes.labelsize": FONT_PIXELS,
    "xtick.labelsize": _SMALL_PIXELS,
    "ytick.labelsize": _SMALL_PIXELS,
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 4.0,
    "ytick.major.size": 0.0,
    "grid.linewidth": 1.0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in two widths; CSS shows the one that fits.

    Attributes:
        wide: SVG.
        narrow: SVG.
    """

    wide: Markup
    narrow: Markup


Draw = Callable[[Figure, Axes, int], None]
"""Draws on axes of a figure of so many pixels' width."""


def chart(  # noqa: PLR0913 - two heights and a stamp by keyword
    name: str,
    description: str,
    draw: Draw,
    *,
    height: int,
    narrow_height: int | None = None,
    stamp: str = "",
    half: bool = False,
) -> Chart:
    """Return a chart.

    Args:
        name: unique on the page; the start of all its ids.
        description: what it shows, for those who do not see it.
        draw: what draws it, once for each width.
        height: in pixels.
        narrow_height: of the narrow one, if another.
        stamp: a word behind the data, for what was not measured.
        half: whether it is never wider than half of the column.
    """
    narrow = _svg(f"{name}-n", description, draw, (NARROW, narrow_height or height), stamp)
    if half:
        return Chart(narrow, narrow)
    return Chart(_svg(f"{name}-w", description, draw, (WIDE, height), stamp), narrow)


def _svg(name: str, description: str, draw: Draw, size: tuple[int, int], stamp: str) -> Markup:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(size[0] / _DOTS_PER_INCH, size[1] / _DOTS_PER_INCH))
        FigureCanvasSVG(figure)
        figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        _quiet(axes)
        draw(figure, axes, size[0])
        if stamp:
            _stamp(axes, stamp)
        target = io.StringIO()
        figure.savefig(
            target, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _inline(target.getvalue(), name, description)


def _quiet(axes: Axes) -> None:
    """Let the data speak: a base line, a faint grid, words in muted ink."""
    axes.patch.set_alpha(0)
    axes.grid(axis="y", color=sentinel("grid"))
    axes.spines["bottom"].set_color(sentinel("rule"))
    axes.tick_params(color=sentinel("rule"), labelcolor=sentinel("muted"), pad=5)


def _stamp(axes: Axes, word: str) -> None:
    axes.text(
        0.5,
        0.5,
        word,
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=44,
        fontweight="bold",
        rotation=14,
        color=sentinel("muted"),
        alpha=0.13,
        zorder=0,
    )


def name_axes(axes: Axes, *, x: str, y: str = "") -> None:
    """Name the axes: x below at the right end, y above at the left end, where it can be read."""
    axes.set_xlabel(x, color=sentinel("muted"), loc="right", labelpad=6)
    if y:
        axes.set_title(y, color=sentinel("muted"), loc="left", pad=10)


_HEAD = re.compile(r".*?<svg [^>]*viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_NOT_WANTED = re.compile(
    r"<metadata>.*?</metadata>|<!--.*?-->|<defs>\s*<style[^>]*>.*?</style>\s*</defs>"
    r"|font-family: [^;\"]*;? ?|(?<=<g) id=\"[^\"]*\"",
    re.DOTALL,
)
_ID = re.compile(r"(\bid=\"|href=\"#|url\(#)")
_BREAKS = re.compile(r"\s*\n\s*")


def _inline(svg: str, name: str, description: str) -> Markup:
    head = _HEAD.match(svg)
    if head is None:  # pragma: no cover - the library's own output
        raise AssertionError(svg[:200])
    body = _NOT_WANTED.sub("", svg[head.end() :])
    body = _ID.sub(rf"\g<1>{name}-", body).replace("xlink:href", "href")
    body = _BREAKS.sub("\n", body)
    start = (
        f'<svg viewBox="{head.group(1)}" role="img" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{escape(description)}</title>'
    )
    return Markup(start + with_variables(body))  # the library escapes its texts
