"""``comm.json``: read and written, checked against schema/comm-1.json.

Layer: reads and writes files; imports documents and summary.
"""

from collections.abc import Mapping
from typing import Any

from mpijob_bench.comm.summary import Comm
from mpijob_bench.documents import format_document, parse_document, read_bytes, write_whole

_SCHEMA_FILE = "comm-1.json"
_REMEDY = "mpijob-bench comm writes such a file; its form is schema/comm-1.json"


def read_comm(path: str) -> Comm:
    """Read a sweep.

    Raises:
        ResultError: if the file cannot be read or is none; with every problem in it.
    """
    return parse_comm(read_bytes(path, wanted="a sweep", remedy=_REMEDY), path=path)


def parse_comm(data: bytes, *, path: str = "comm") -> Comm:
    """Return the sweep in a file's bytes.

    Raises:
        ResultError: if it is none; with every problem in it.
    """
    return parse_document(data, schema_file=_SCHEMA_FILE, path=path, remedy=_REMEDY)


def write_comm(path: str, comm: Mapping[str, Any]) -> None:
    """Check a sweep and write it: whole, or not at all.

    Raises:
        ResultError: if it is none.
        OSError: if it cannot be written.
    """
    data = format_document(comm, path=path, remedy=_REMEDY)
    parse_comm(data, path=path)
    write_whole(path, data)
