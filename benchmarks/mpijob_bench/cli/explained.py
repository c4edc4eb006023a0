"""How ``mpijob-bench explain`` shows an explanation on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mpijob_bench.attribution import Term
from mpijob_bench.explanation import LEVERS, MEANINGS, TITLES, Explanation
from mpijob_bench.verdict import plain

_EM = "—"
_WORTH_POINTS = 0.005


def show(explanation: Explanation, result: Mapping[str, Any]) -> None:
    """Print it to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    _show_verdict(console, explanation, result)
    _show_points(console, explanation)
    _show_prediction(console, explanation)
    _show_what_if(console, explanation)


def _show_verdict(console: Console, explanation: Explanation, result: Mapping[str, Any]) -> None:
    verdict, nodes = explanation.verdict, result["plan"]["nodes"]
    console.print(f"[bold]{verdict.name}[/bold]: {escape(verdict.clause)}")
    if verdict.interval is not None:
        console.print(f"  E_node({nodes}) = {plain(verdict.interval.efficiency)}")


def _show_points(console: Console, explanation: Explanation) -> None:
    found = explanation.attribution
    if found.missing:
        console.print(f"\nPoints lost: {found.missing}", markup=False)
    if not found.terms:
        return
    table = Table(title="Points lost", title_justify="left", title_style="bold", box=None)
    for name, justify in (("term", "left"), ("points", "right"), ("90 % interval", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("what it is")
    for term in found.terms:
        table.add_row(
            TITLES[term.name],
            f"{100 * term.points:.1f}",
            _interval(100 * term.points_low, 100 * term.points_high, known=term.low > 0),
            MEANINGS[term.name],
        )
    lost = sum(term.points for term in found.terms)
    table.add_row("[bold]together[/bold]", f"[bold]{100 * lost:.1f}[/bold]", "", "1 - E")
    console.print()
    console.print(table)
    _show_levers(console, found.terms)


def _show_levers(console: Console, terms: Sequence[Term]) -> None:
    """Say what acts on the terms that cost most."""
    console.print("\n[bold]What acts on them[/bold]")
    for term in sorted(terms, key=lambda term: -term.points):
        if term.points >= _WORTH_POINTS:
            console.print(f"  {TITLES[term.name]}: {LEVERS[term.name]}", markup=False)


def _interval(low: float, high: float, *, known: bool) -> str:
    return f"{low:.1f} to {high:.1f}" if known else _EM


def _show_prediction(console: Console, explanation: Explanation) -> None:
    console.print("\n[bold]Prediction[/bold]")
    found = explanation.prediction
    if found is None:
        console.print(f"  {explanation.forecast.basis}", markup=False)
        return
    line = f"  E = {found.efficiency:.1%}"
    if explanation.difference is not None:
        line += f", {100 * explanation.difference:+.1f} points from the measured one"
    if explanation.by_line is not None:
        line += f"; by alpha and B alone {explanation.by_line:.1%}"
    console.print(line)
    console.print(
        f"  a step of {found.alone_seconds * 1e3:.1f} ms alone, {found.exposed_seconds * 1e3:.1f}"
        f" ms of communication exposed in {len(found.timeline)} buckets,"
        f" {found.straggler_seconds * 1e3:.1f} ms for stragglers"
    )
    console.print(f"  from the {explanation.forecast.basis}", markup=False)


def _show_what_if(console: Console, explanation: Explanation) -> None:
    if not explanation.outcomes:
        return
    table = Table(title="What if", title_justify="left", title_style="bold", box=None)
    table.add_column("change")
    table.add_column("predicted E", justify="right")
    table.add_column("points", justify="right")
    for one in explanation.outcomes:
        points = f"{100 * one.delta:+.1f}"
        table.add_row(escape(one.name), f"{one.prediction.efficiency:.1%}", points)
    console.print()
    console.print(table)
