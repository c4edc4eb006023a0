"""What we say while a job runs: to stderr, as text or as one JSON object a line.

stdout belongs to the ranks.

Layer: effects (stderr); imports nothing of ours.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import IO, Literal

Level = Literal["debug", "info", "warning", "error"]
_RANKS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_COLOURS = {"debug": "2", "info": "36", "warning": "33", "error": "31"}


class Console:
    """Writes messages of a level or above.

    Args:
        log_format: ``text`` or ``json``.
        least: the least level that is shown.
        stream: where to; stderr if None.
        colour: whether text may be coloured; None decides by the stream.
    """

    def __init__(
        self,
        *,
        log_format: str = "text",
        least: Level = "info",
        stream: IO[str] | None = None,
        colour: bool | None = None,
    ) -> None:
        self._json = log_format == "json"
        self._least = _RANKS[least]
        self._stream = stream or sys.stderr
        self._colour = self._stream.isatty() if colour is None else colour

    def debug(self, message: str, **fields: object) -> None:
        """Say what only somebody who looks for it needs."""
        self._say("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Say what happens."""
        self._say("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Say what may be wrong."""
        self._say("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Say what is wrong."""
        self._say("error", message, fields)

    def _say(self, level: Level, message: str, fields: Mapping[str, object]) -> None:
        if _RANKS[level] < self._least:
            return
        text = self._as_json(level, message, fields) if self._json else self._text(level, message)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return  # a log that nobody reads any more must not end the job

    @staticmethod
    def _as_json(level: Level, message: str, fields: Mapping[str, object]) -> str:
        record = {"time": round(time.time(), 3), "level": level, "message": message, **fields}
        return json.dumps(record, ensure_ascii=False, default=str) + "\n"

    def _text(self, level: Level, message: str) -> str:
        prefix = "mpijob:" if level in ("debug", "info") else f"mpijob: {level}:"
        if self._colour:
            prefix = f"\033[{_COLOURS[level]}m{prefix}\033[0m"
        return "".join(f"{prefix} {line}\n" for line in message.splitlines() or [""])
