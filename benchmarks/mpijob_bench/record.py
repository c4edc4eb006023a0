"""The record of a run: every launch that was tried, and every step of it. Effects: files.

``launches.jsonl`` has a line when a launch begins and one when it ends; a launch without the
second was interrupted. Both files are only ever appended to.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mpijob_bench.documents import json_line, read_bytes, writing
from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

LAUNCHES = "launches.jsonl"
STEPS = "steps.jsonl"
LOGS = "logs"

_REMEDY = "begin anew with another --out"
_BEGINNING = b'{"number":'

Launch = dict[str, Any]


class Record:
    """A directory of results.

    Args:
        directory: is made if it is not there.

    Raises:
        ConfigurationError: it cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with writing(directory):
            (directory / LOGS).mkdir(parents=True, exist_ok=True)

    def launches(self) -> list[Launch]:
        """Return every attempt in the order of their beginnings; a last line cut off is left out.

        Raises:
            ResultError: a line is none of ours.
        """
        path = self.directory / LAUNCHES
        found: dict[int, Launch] = {}
        data = read_bytes(str(path), wanted="launches", remedy=_REMEDY) if path.exists() else b""
        *lines, torn = data.split(b"\n")
        if torn and not torn.startswith(_BEGINNING[: len(torn)]):
            lines.append(torn)
        for line, text in enumerate(lines, start=1):
            try:
                launch = json.loads(text)
                found.setdefault(launch["number"], {}).update(launch)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                problem = Problem(line, repr(text[:60]), "a launch")
                raise ResultError(str(path), [problem], remedy=_REMEDY) from error
        return list(found.values())

    def mend(self) -> None:
        """Cut off what a run that was killed has left of its last lines.

        Raises:
            ResultError: there are steps without launches: they are of something else.
            ConfigurationError: files cannot be written.
        """
        launches, steps = self.directory / LAUNCHES, self.directory / STEPS
        if not self.launches() and steps.exists() and steps.stat().st_size:
            problem = Problem(0, "steps", f"none without {LAUNCHES}")
            raise ResultError(str(steps), [problem], remedy=_REMEDY)
        with writing(self.directory):
            _mend(launches)
            _mend(steps)

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
        path = self.directory / LAUNCHES
        with writing(path), path.open("ab") as file:
            file.write(json_line(launch))
            file.flush()
            os.fsync(file.fileno())

    def append_steps(self, steps: Iterable[Mapping[str, Any]]) -> None:
        """Write steps."""
        path = self.directory / STEPS
        with writing(path), path.open("ab") as file:
            file.write(b"".join(map(json_line, steps)))


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
