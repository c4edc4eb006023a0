"""``launches.csv`` and ``comm.csv``: for spreadsheets and notebooks.

Layer: pure; imports mpijob_runtime.masking.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpijob_runtime.masking import masked_text

_LAUNCH = ("number", "kind", "nodes", "pair", "order", "started", "seconds", "status", "reason")
_MODE = ("mode", "steps", "samples_per_second", "step_mean_seconds", "step_p50_seconds")
_TAIL = ("step_p99_seconds", "step_max_seconds", "step_cv", "step_mad_seconds")
_EVENNESS = ("neighbour_correlation", "spikes_of_all_ranks", "spikes_of_some_ranks")
_COMM = ("collective", "bytes", "iterations", "wrong_elements", "in_a_row_seconds")
_BANDWIDTHS = ("algbw_bytes_per_second", "busbw_bytes_per_second")
_SECONDS = ("min", "mean", "p50", "p90", "p99", "max")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def launches_csv(result: Mapping[str, Any]) -> str:
    """Return a row for each launch and mode; one without modes has a row as well."""
    rows = []
    for launch in result.get("launches") or ():
        head = [result["fidelity"], *(launch.get(name) for name in _LAUNCH)]
        modes = launch.get("modes") or {"": {}}
        rows += [head + _mode(name, mode) for name, mode in modes.items()]
    return _csv(("fidelity", *_LAUNCH, *_MODE, *_TAIL, *_EVENNESS), rows)


def _mode(name: str, mode: Mapping[str, Any]) -> list[Any]:
    rate = mode.get("job_samples_per_second")
    if rate is None and mode.get("samples_per_second"):
        rate = math.fsum(mode["samples_per_second"])
    times = mode.get("step_seconds") or {}
    shown = [times.get(key) for key in ("mean", "p50", "p99", "max", "cv", "mad")]
    spikes = mode.get("spikes") or {}
    even = [mode.get("neighbour_correlation"), spikes.get("all_ranks"), spikes.get("some_ranks")]
    return [name, mode.get("steps"), rate, *shown, *even]


def comm_csv(comm: Mapping[str, Any], *, fidelity: str) -> str:
    """Return a row for each collective and size."""
    names = ("fidelity", *_COMM, *_BANDWIDTHS, *(f"{name}_seconds" for name in _SECONDS))
    rows = [
        [
            fidelity,
            *(row.get(name) for name in (*_COMM, *_BANDWIDTHS)),
            *(row["seconds"].get(name) for name in _SECONDS),
        ]
        for row in comm["results"]
    ]
    return _csv(names, rows)


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return target.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a value that a spreadsheet does not take for a formula."""
    if not isinstance(value, str):
        return value
    text = masked_text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
