"""Findings as a table for people.

Layer: pure; imports documents for its type, and rich.
"""

from rich.table import Table

from mpijob_bench.documents import Document
from mpijob_runtime.outcome import count


def findings_table(document: Document) -> Table:
    """Return the findings, a row for each."""
    title = f"{count(len(document['hosts']), 'host')}, {document['backend']}"
    if document["fidelity"] != "measured":
        title += f" ({document['fidelity']})"
    table = Table(title=title)
    for name in ("", "finding", "found", "wanted", "next"):
        table.add_column(name, overflow="fold")
    for finding in document["findings"]:
        limit = finding["limit"]
        table.add_row(
            "ok" if finding["ok"] else "[red]FAIL" if finding["required"] else "[yellow]warn",
            finding["name"],
            "?" if finding["value"] is None else str(finding["value"]),
            "" if limit is None else f"at least {limit}" if _is_number(limit) else str(limit),
            finding["remedy"],
        )
    return table


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
