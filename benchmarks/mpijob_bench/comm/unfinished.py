"""What a sweep that was interrupted has measured, so that the next one need not.

While a sweep runs, a file has what was asked for in its first line, and then each line that ranks
have told, as ``comm.jsonl`` has them.

Layer: effects (a file); imports documents, launches, summary.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpijob_bench.comm.summary import Summary
from mpijob_bench.documents import json_line, write_whole, writing
from mpijob_bench.launches import Line

Asked = Mapping[str, Any]
"""What was asked for, as JSON has it: only a sweep that was asked for the same goes on."""


def take_up(path: Path, asked: Asked) -> list[Line]:
    """Leave of a file what an earlier sweep has finished, and return its lines.

    That is what all ranks have told of a collective and a size; nothing if other things were asked.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    head = json_line(asked)
    lines = [*_read(path, head)]
    seen = Summary()
    for line in lines:
        seen.take(line)
    done = {*seen.done}
    kept = [line for line in lines if line.data["bench"] != "collective" or _pair(line) in done]
    write_whole(str(path), b"".join([head, *map(line_text, kept)]))
    return kept


def line_text(line: Line) -> bytes:
    """Return a rank's line as the file has it."""
    return json_line({"rank": line.rank, "host": line.host, **line.data})


def write_iterations(path: Path, finished: Path) -> None:
    """Write what was measured to ``comm.jsonl``: a line for each rank, collective and size.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    partial = finished.with_name(f"{finished.name}.new")
    with writing(finished):
        with path.open("rb") as source, partial.open("wb") as target:
            fidelity = json.loads(source.readline())["fidelity"]
            for text in source:
                told = json.loads(text)
                if told["bench"] == "collective":
                    target.write(json_line({"fidelity": fidelity, **told}))
        partial.replace(finished)


def _pair(line: Line) -> tuple[str, int]:
    return line.data["collective"], line.data["bytes"]


def _read(path: Path, head: bytes) -> Iterator[Line]:
    """Return a file's lines, all but one that was cut off."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.readline() != head:
            return
        for text in file:
            with suppress(ValueError):
                told = json.loads(text)
                yield Line(told.pop("rank"), told.pop("host"), told)
