"""What a host's agent and the launcher send each other over one ssh session.

Agent to launcher: a greeting line, so that words of a login shell before it do no harm, then
frames: ``KIND RANK STREAM LENGTH``, a newline, LENGTH bytes. Kind ``E`` is an event (JSON), ``O``
is what a rank wrote to stream 1 or 2: whole lines, but for a last one without its end and for
one longer than the agent keeps. Launcher to agent: a line of fields.

This is the agent's half; what only the launcher needs is in frame_reader.py.

Layer: pure; imports nothing of ours; quick to import, because each host's agent pays.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # another Python than CPython
    from json.encoder import encode_basestring_ascii as _quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
GREETING = f"mpijob-agent {VERSION}\n".encode()


class FrameError(ValueError):
    """What came is not a frame, or the other side is no agent of ours."""


def format_event(event: Mapping[str, object]) -> bytes:
    """Return an event as a frame."""
    data = _to_json(event).encode()
    return f"E 0 0 {len(data)}\n".encode() + data


def format_output(rank: int, stream: int, data: bytes) -> bytes:
    """Return a rank's output as a frame."""
    return f"O {rank} {stream} {len(data)}\n".encode() + data


def format_command(fields: Mapping[str, object]) -> bytes:
    """Return what the launcher tells an agent: a line of ``name=value`` with NUL between."""
    text = "\0".join(f"{name}={value}" for name, value in fields.items())
    if "\n" in text:
        raise ValueError("a command is one line")
    return text.encode() + b"\n"


def parse_command(line: bytes) -> dict[str, str]:
    """Return the fields of a command."""
    text = line.decode(errors="replace").removesuffix("\n")
    pairs = (item.partition("=") for item in text.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def _to_json(value: object) -> str:
    """Return JSON. The json module would cost every host 16 ms of processor time (measured)."""
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        pairs = (f"{_quote(str(name))}:{_to_json(item)}" for name, item in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_to_json, value)) + "]"
    raise TypeError(type(value).__name__)
