"""The colours of page and charts, light and dark: one name each, two values.

Charts are drawn in sentinels, colours that mean nothing, and each is replaced by a CSS variable in
the SVG, so that one drawing serves both schemes. Series differ in marks and words as well; hues
are chosen to differ for the colour-blind (after Okabe and Ito, https://jfly.uni-koeln.de/color/).
Text has a contrast of 4.5 and marks of 3 at least on the surface (WCAG 2.2 AA), which
tests/unit/bench/test_report_palette.py computes.

Layer: pure; imports nothing of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour in both schemes."""

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = {
    "page": Colour("#f6f6f3", "#121417"),
    "surface": Colour("#ffffff", "#1b1e23"),
    "ink": Colour("#16191d", "#eceef1"),
    "muted": Colour("#59616b", "#a3acb8"),
    "rule": Colour("#dcdcd6", "#343a42"),
    "grid": Colour("#e9e9e4", "#2a2f36"),
    "measured": Colour("#0b5cad", "#6db3f8"),
    "model": Colour("#b45309", "#f0a54a"),
    "ideal": Colour("#767d86", "#88919c"),
    "target": Colour("#a3195b", "#f783b4"),
    "loss": Colour("#c2410c", "#fb8c5a"),
    "gain": Colour("#0f7b53", "#4cc791"),
    "pass": Colour("#0b6b46", "#57d39b"),
    "fail": Colour("#b3231b", "#ff8f87"),
    "open": Colour("#855003", "#f2b84b"),
    "invalid": Colour("#6b3fa0", "#c3a2f5"),
    "heat0": Colour("#eef2f6", "#242a32"),
    "heat1": Colour("#d3e1ef", "#2c3f55"),
    "heat2": Colour("#a9c8e6", "#34587c"),
    "heat3": Colour("#78a9d8", "#3f78ab"),
    "heat4": Colour("#4485c1", "#5b9ad6"),
    "heat5": Colour("#1d5f9f", "#93c3f0"),
    "heat6": Colour("#0a3566", "#dcedff"),
}

HEAT_LEVELS = 7

_SENTINELS: Mapping[str, str] = {name: f"#0f01{number:02x}" for number, name in enumerate(COLOURS)}


def sentinel(name: str) -> str:
    """Return the colour to draw a role in."""
    return _SENTINELS[name]


def with_variables(svg: str) -> str:
    """Return a drawing with its sentinels replaced by CSS variables."""
    for name, colour in _SENTINELS.items():
        svg = svg.replace(f": {colour}", f": var(--{name})")
    return svg


def variables(scheme: str) -> str:
    """Return the CSS declarations of a scheme, ``light`` or ``dark``."""
    return "".join(f"--{name}:{getattr(one, scheme)};" for name, one in COLOURS.items())
