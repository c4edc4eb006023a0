"""From a result or its directory to the files of a report.

Layer: effects (files); imports sections, explanation, figures, page, summary, csv_tables.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from mpijob_bench.documents import write_whole, writing
from mpijob_bench.errors import ResultError
from mpijob_bench.explanation import explain
from mpijob_bench.report.csv_tables import comm_csv, launches_csv
from mpijob_bench.report.figures import figures
from mpijob_bench.report.page import render, title
from mpijob_bench.report.series import alone_launches, mapped_launch
from mpijob_bench.report.step_stream import Steps, read_steps
from mpijob_bench.report.summary import summary
from mpijob_bench.result import Result
from mpijob_bench.sections import read_whole_result
from mpijob_bench.verdict import Verdict
from mpijob_runtime.errors import Problem

RESULT, STEPS = "result.json", "steps.jsonl"


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        verdict: the gate's.
        files: their paths; the page first.
    """

    verdict: Verdict
    files: tuple[str, ...]


def steps_file(where: str) -> str:
    """Return the path of the steps beside a result or in its directory."""
    return os.path.join(where if os.path.isdir(where) else os.path.dirname(where), STEPS)


def write_report(
    where: str,
    out: str | None = None,
    *,
    profile_file: str | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Report:
    """Write report.html, summary.md, launches.csv and, if there is a sweep, comm.csv.

    Args:
        where: a result, or the directory that has one.
        out: a directory, made if it is not there; by default the result's.
        profile_file: of the workload, instead of the one that is shipped.
        tell: called now and then with the bytes of the steps that were read.

    Raises:
        ResultError: if the result or the steps cannot be read, or are none.
        ConfigurationError: if the files cannot be written.
    """
    path = os.path.join(where, RESULT) if os.path.isdir(where) else where
    result = read_whole_result(path)
    explanation = explain(result, profile_file=profile_file)
    steps = _steps(steps_file(where), result, tell)
    found = figures(result, explanation, steps)
    pages = {
        "report.html": render(result, explanation, found, steps),
        "summary.md": summary(result, explanation, found.points, title=title(result)),
        "launches.csv": launches_csv(result),
    }
    if result.get("comm"):
        pages["comm.csv"] = comm_csv(result["comm"], fidelity=result["fidelity"])
    files = _write(out or os.path.dirname(path) or ".", pages)
    return Report(explanation.verdict, files)


def _steps(path: str, result: Result, tell: Callable[[int], None]) -> Steps | None:
    if not os.path.lexists(path):
        return None
    try:
        alone = alone_launches(result)
        return read_steps(path, alone=alone, mapped_launch=mapped_launch(result), tell=tell)
    except OSError as error:
        problem = Problem(0, error.strerror or "nothing", "a readable file")
        raise ResultError(path, [problem], remedy="make it readable, or move it away") from error


def _write(directory: str, pages: dict[str, str]) -> tuple[str, ...]:
    paths = []
    with writing(directory):
        os.makedirs(directory, exist_ok=True)
        for name, text in pages.items():
            path = os.path.join(directory, name)
            write_whole(path, text.encode())
            paths.append(path)
    return tuple(paths)
