"""``summary.md``: at most 30 lines, for a pull request or $GITHUB_STEP_SUMMARY.

Layer: pure; imports explanation, series, words, masked.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpijob_bench.explanation import TITLES, Explanation
from mpijob_bench.report.series import Point
from mpijob_bench.report.words import percent, points, rate

MOST_LINES = 30
_MOST_POINTS = 6
_MOST_WHAT_IFS = 3
_SPECIAL = re.compile(r"([\\`*_{}\[\]|#~])")


def summary(
    result: Mapping[str, Any], explanation: Explanation, found: Sequence[Point], *, title: str
) -> str:
    """Return it, ending with a line break."""
    lines = [
        f"## {explanation.verdict.name}: {_plain(title)}",
        "",
        f"{_plain(explanation.verdict.clause)}.",
        "",
        *_efficiency(explanation, result),
        *_table(found),
        *_losses(explanation),
        *_help(explanation),
    ]
    return "\n".join(lines[:MOST_LINES]) + "\n"


def _plain(text: str) -> str:
    """Return a text with nothing in it that Markdown or HTML would understand."""
    return html.escape(_SPECIAL.sub(r"\\\1", " ".join(text.split())), quote=False)


def _efficiency(explanation: Explanation, result: Mapping[str, Any]) -> Iterator[str]:
    found = explanation.verdict.interval
    if found is None:
        return
    line = f"Efficiency of {result['plan']['nodes']} nodes: **{percent(found.efficiency)}**"
    if found.low > 0:
        line += f" (95 % bounds {percent(found.low)} and {percent(found.high)})"
    line += f", target {percent(result['plan']['target'], 0)}"
    if explanation.prediction:
        line += f", predicted {percent(explanation.prediction.efficiency)}"
    yield f"{line}. Fidelity: {result['fidelity']}."
    yield ""


def _table(found: Sequence[Point]) -> Iterator[str]:
    if not found:
        return
    yield "| nodes | samples/s | efficiency |"
    yield "|--:|--:|--:|"
    for point in [found[0], *found[1:][-(_MOST_POINTS - 1) :]]:
        yield f"| {point.nodes} | {rate(point.rate)} | {percent(point.efficiency)} |"
    yield ""


def _losses(explanation: Explanation) -> Iterator[str]:
    if not explanation.attribution.terms:
        return
    yield "| term | points lost |"
    yield "|---|--:|"
    for term in explanation.attribution.terms:
        yield f"| {TITLES[term.name]} | {points(term.points)} |"
    yield ""


def _help(explanation: Explanation) -> Iterator[str]:
    best = sorted(explanation.outcomes, key=lambda one: -one.delta)[:_MOST_WHAT_IFS]
    better = [f"{one.name} {points(one.delta, signed=True)}" for one in best if one.delta > 0]
    if better:
        yield f"What the model says would help, in points: {'; '.join(better)}."
