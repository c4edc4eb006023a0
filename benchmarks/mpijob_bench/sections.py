"""The sections of a result beside the verdict's, checked: launches, comm, workload, emulation, ….

Layer: reads the schema that comes with the package; imports documents and result.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mpijob_bench.documents import schema_problems
from mpijob_bench.errors import ResultError
from mpijob_bench.result import Result, read_result, write_result
from mpijob_runtime.errors import Problem

_SCHEMA_FILE = "scalebench-1-sections.json"
_REMEDY = "a result is written by mpijob-bench run or emulate; its form is schema/" + _SCHEMA_FILE


def read_whole_result(path: str) -> Result:
    """Read a result and check all that explain and report make use of.

    Raises:
        ResultError: if it cannot be read or is none; with every problem in it.
    """
    found = read_result(path)
    check_sections(found, path=path)
    return found


def write_whole_result(path: str, result: Mapping[str, Any]) -> None:
    """Check a result with all its sections and write it: whole, or not at all.

    Raises:
        ResultError: if it is none; with every problem in it.
        ConfigurationError: if it cannot be written.
    """
    check_sections(json.loads(json.dumps(result)), path=path)  # as it will be read
    write_result(path, result)


def check_sections(found: Mapping[str, Any], *, path: str = "result") -> None:
    """Check the sections that are there.

    Raises:
        ResultError: if one is not what it should be; with every problem in it.
    """
    problems = schema_problems(found, _SCHEMA_FILE) or [*_together(found)]
    if problems:
        raise ResultError(path, problems, remedy=_REMEDY)


def _together(found: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what no schema can say."""
    for number, launch in enumerate(found.get("launches") or ()):
        where = f"launches[{number}]"
        if launch["status"] != "ok":
            continue
        if launch.get("pair") is not None and launch["nodes"] != found["plan"]["nodes"]:
            wanted = f"the plan's {found['plan']['nodes']}, as in every pair"
            yield Problem(0, str(launch["nodes"]), wanted, f"{where}.nodes")
        for name, mode in launch["modes"].items():
            rates = len(mode.get("samples_per_second") or ())
            if rates not in (0, launch["nodes"]):
                wanted = f"one for each of the {launch['nodes']} nodes"
                yield Problem(0, f"{rates} rates", wanted, f"{where}.modes.{name}")
        if launch["kind"] == "together" and not launch["modes"]["full"].get(
            "job_samples_per_second"
        ):
            where += ".modes.full.job_samples_per_second"
            yield Problem(0, "none", "samples per second of the job", where)
