"""Leaves the outcome where people and programs look for it.

Layer: effects (files); imports console, outcome.
"""

import json
import os

from mpijob_runtime.console import Console
from mpijob_runtime.outcome import Outcome, format_outcome


def publish_outcome(
    outcome: Outcome, *, console: Console, report: str | None, termination_log: str
) -> None:
    """Write the termination log and the report, and say the outcome as the last lines.

    A file that cannot be written is said, and changes nothing else.
    """
    text = format_outcome(outcome)
    if os.path.exists(termination_log):
        _write(termination_log, text, console)
    if report:
        _write(report, json.dumps(outcome.to_json(), indent=2, ensure_ascii=False) + "\n", console)
    say = console.info if outcome.outcome == "succeeded" else console.error
    say(text.rstrip("\n"), **outcome.to_json())


def _write(path: str, text: str, console: Console) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        console.warning(f"{path}: cannot write the outcome: {error.strerror}")
