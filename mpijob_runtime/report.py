"""Leaves the outcome where people and programs look for it.

Layer: effects (files); imports console, errors, outcome.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mpijob_runtime.console import Console
from mpijob_runtime.errors import describe_bug
from mpijob_runtime.outcome import Outcome, format_outcome


def publish_outcome(
    outcome: Outcome, *, console: Console, report: str | None, termination_log: str
) -> None:
    """Write the termination log and the report, and say the outcome as the last lines.

    What cannot be written is said, and changes nothing else.
    """
    if os.path.exists(termination_log):
        _step(partial(_write, termination_log, format_outcome), outcome, console)
    if report:
        _step(partial(_write, report, _as_json), outcome, console)
    _step(_say, outcome, console)


def _step(tell: Callable[[Outcome, Console], None], outcome: Outcome, console: Console) -> None:
    """Tell the outcome one way; a bug of ours costs its details, and no other way."""
    for told in (outcome, replace(outcome, first_failure=None, network=None, nccl=None)):
        try:
            tell(told, console)
        except Exception as error:  # noqa: BLE001 - the outcome matters more than how it looks
            console.error(describe_bug(error))
        else:
            return
    console.error(f"{outcome.outcome}: {outcome.reason}")


def _as_json(outcome: Outcome) -> str:
    return json.dumps(outcome.to_json(), indent=2, ensure_ascii=False) + "\n"


def _say(outcome: Outcome, console: Console) -> None:
    say = console.info if outcome.outcome == "succeeded" else console.error
    say(format_outcome(outcome).rstrip("\n"), **outcome.to_json())


def _write(path: str, form: Callable[[Outcome], str], outcome: Outcome, console: Console) -> None:
    text = form(outcome)
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        console.warning(f"{path}: cannot write the outcome: {error.strerror}")
