"""``preflight.json``: written whole, checked against schema/preflight-1.json, and read.

Layer: reads and writes files; imports documents, findings, observed.
"""

from collections.abc import Sequence
from typing import Any

from mpijob_bench.documents import (
    Document,
    format_document,
    parse_document,
    read_bytes,
    write_whole,
)
from mpijob_bench.preflight.findings import Finding, observed_transport
from mpijob_bench.preflight.observed import Observed

SCHEMA = "preflight/1"
_SCHEMA_FILE = "preflight-1.json"
_REMEDY = "mpijob-bench preflight writes such a file; its form is schema/preflight-1.json"


def make_document(
    observed: Observed, findings: Sequence[Finding], *, backend: str, fidelity: str
) -> Document:
    """Return the findings and all that they rest on."""
    return {
        "schema": SCHEMA,
        "fidelity": fidelity,
        "backend": backend,
        "hosts": observed.hosts,
        "findings": [finding.to_json() for finding in findings],
        "network": observed.network,
        "nccl": observed.nccl,
        "transport": observed_transport(observed, backend),
        "machines": dict(observed.machines),
        "clocks": {
            host: {"offset_seconds": offset, "round_trip_seconds": trip}
            for host, (offset, trip) in observed.clocks.items()
        },
        "operations_per_second": observed.speeds,
        "pairs": [
            {"hosts": list(pair), "bytes_per_second": rate} for pair, rate in observed.pairs.items()
        ],
    }


def read_preflight(path: str) -> Document:
    """Read a file of findings.

    Raises:
        ResultError: if it cannot be read or is none; with every problem in it.
    """
    data = read_bytes(path, wanted="findings", remedy=_REMEDY)
    return parse_document(data, schema_file=_SCHEMA_FILE, path=path, remedy=_REMEDY)


def write_preflight(path: str, document: Document) -> None:
    """Check findings and write them: whole, or not at all.

    Raises:
        ResultError: if they are none.
        OSError: if they cannot be written.
    """
    data = format_document(document, path=path, remedy=_REMEDY)
    parse_document(data, schema_file=_SCHEMA_FILE, path=path, remedy=_REMEDY)
    write_whole(path, data)


def acceptable(document: Document) -> bool:
    """Return whether every finding that a benchmark needs is ok."""
    findings: list[dict[str, Any]] = document["findings"]
    return all(finding["ok"] for finding in findings if finding["required"])
