"""The record of a run: every launch that was tried, and every step of it. Effects: files.

``launches.jsonl`` has a line when a launch begins and one when it ends; a launch without the
second was interrupted. Both files are only ever appended to.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mpijob_bench.errors import LaunchError, ResultError
from mpijob_runtime.errors import Problem

LAUNCHES = "launches.jsonl"
STEPS = "steps.jsonl"
LOGS = "logs"

Launch = dict[str, Any]


class Record:
    """A directory of results.

    Args:
        directory: is made if it is not there.

    Raises:
        LaunchError: it cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            (directory / LOGS).mkdir(parents=True, exist_ok=True)
            _mend(directory / LAUNCHES)
            _mend(directory / STEPS)
        except OSError as error:
            message = f"{error.filename}: cannot write: {error.strerror}"
            remedy = f"a volume that user {os.getuid()} can write, or another --out"
            raise LaunchError(message, remedy=remedy) from error

    def launches(self) -> list[Launch]:
        """Return every attempt in the order of their beginnings.

        Raises:
            ResultError: a line is none of ours.
        """
        path = self.directory / LAUNCHES
        found: dict[int, Launch] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line, text in enumerate(lines, start=1):
            try:
                launch = json.loads(text)
                found.setdefault(launch["number"], {}).update(launch)
            except (ValueError, TypeError, KeyError) as error:
                problem = Problem(line, text[:60], "a launch")
                raise ResultError(str(path), [problem], remedy="begin anew with --out") from error
        return list(found.values())

    def check_plan(self, plan_hash: str) -> None:
        """Check that all launches so far were of one plan: to change it is to choose.

        Raises:
            ResultError: a launch was of another.
        """
        for launch in self.launches():
            if (found := launch.get("plan_hash")) != plan_hash:
                wanted = f"{plan_hash!r}, the SHA-256 of the plan that is asked for"
                where = f"launch {launch['number']}: plan_hash"
                problem = Problem(0, repr(found), wanted, where)
                remedy = "another --out for another plan; to change one is to choose a verdict"
                raise ResultError(str(self.directory / LAUNCHES), [problem], remedy=remedy)

    def log(self, number: int) -> Path:
        """Return where a launch's own words go."""
        return self.directory / LOGS / f"launch-{number}.log"

    def append(self, launch: Mapping[str, Any]) -> None:
        """Note the beginning or the end of a launch, for good."""
        with (self.directory / LAUNCHES).open("ab") as file:
            file.write(_line(launch))
            file.flush()
            os.fsync(file.fileno())

    def append_steps(self, steps: Iterable[Mapping[str, Any]]) -> None:
        """Write steps."""
        with (self.directory / STEPS).open("ab") as file:
            file.write(b"".join(map(_line, steps)))


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _mend(path: Path) -> None:
    """Cut off what a run that was killed has left of its last line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0 if size else size)
