"""The table at the end.

Layer: pure; imports catalogue, results.
"""

from collections.abc import Sequence

from rich.table import Table

from faults.catalogue import FAULTS
from faults.model import Result
from faults.results import Summary, summarize, versions


def table(results: Sequence[Result]) -> Table:
    """Return one row for each fault and Open MPI that was tried."""
    shown = Table("fault", "Open MPI", "runs", "wrong", "exit", "noticed s", "ended s", "clean s")
    for fault in FAULTS:
        for version in versions(results):
            for bare in (False, True):
                found = summarize(results, fault.name, version, bare=bare)
                if found.results:
                    mode = f"{version} bare" if bare else version
                    shown.add_row(fault.name, mode, *_cells(found))
    return shown


def _cells(found: Summary) -> tuple[str, ...]:
    wrong = f"[red]{found.wrong}[/]" if found.wrong else "0"
    times = (found.seconds(f) for f in ("noticed_seconds", "ended_seconds", "clean_seconds"))
    return (str(len(found.results)), wrong, found.codes, *times)
