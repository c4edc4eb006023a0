"""A sweep as a table for people.

Layer: pure; imports sizes, summary, and rich.
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from mpijob_bench.comm.options import ARRAYS
from mpijob_bench.comm.summary import Comm, typical_seconds
from mpijob_bench.sizes import format_bytes, format_rate, format_time
from mpijob_runtime.outcome import count


def comm_table(comm: Comm) -> Table:
    """Return the results, a row for each collective and size."""
    title = f"{comm['backend']}, {count(comm['ranks'], 'rank')} on {count(comm['nodes'], 'host')}"
    if comm["fidelity"] != "measured":
        title += f" ({comm['fidelity']})"
    table = Table(title=title)
    table.add_column("collective", no_wrap=True)
    for name in ("bytes", "n", "time", "p50", "p99", "algbw", "busbw", "wrong"):
        table.add_column(name, justify="right", no_wrap=True)
    previous = None
    for result in comm["results"]:
        if previous not in (None, result["collective"]):
            table.add_section()
        table.add_row(*_row(result, named=result["collective"] != previous))
        previous = result["collective"]
    return table


def notes(comm: Comm) -> list[str]:
    """Return what the table does not show: fits, limits, what the backend lacks."""
    lines = [
        f"{name}: alpha {format_time(fit['alpha_seconds'])} a step, bandwidth"
        f" {format_rate(fit['bandwidth_bytes_per_second'])}, r2 {fit['r2']:.3f},"
        f" largest error {fit['residual']:.0%}"
        for name, fit in comm["fits"].items()
    ]
    lines += [f"{name}: no fit, {why}" for name, why in comm.get("not_fitted", {}).items()]
    lines += [
        f"{name}: not supported by this backend ({why})"
        for name, why in comm.get("unsupported", {}).items()
    ]
    return lines + _memory_note(comm)


def _memory_note(comm: Comm) -> list[str]:
    limits = comm.get("limits", {})
    memory, wanted = limits.get("memory_bytes_per_rank"), limits.get("wanted_bytes", 0)
    if memory is None or memory // ARRAYS >= wanted:
        return []
    allowed = (
        f"{memory / 2**20:.0f} MiB for a rank allow arrays of {memory / ARRAYS / 2**20:.0f} MiB"
    )
    return [f"memory: {allowed}, not of {format_bytes(wanted)}"]


def _row(result: Mapping[str, Any], *, named: bool) -> tuple[str, ...]:
    p50, p99 = (result["seconds"][name] for name in ("p50", "p99"))
    wrong = result["wrong_elements"]
    return (
        result["collective"] if named else "",
        format_bytes(result["bytes"]),
        str(result["iterations"] or "?"),
        format_time(typical_seconds(result)),
        *("?" if value is None else format_time(value) for value in (p50, p99)),
        format_rate(result["algbw_bytes_per_second"]),
        format_rate(result["busbw_bytes_per_second"]),
        "?" if wrong is None else f"[red]{wrong}[/red]" if wrong else "0",
    )
