"""What a person sees at the end of a run: where the points went, and what to open."""

from pathlib import Path

import click

from mpijob_bench.cli.explained import show
from mpijob_bench.explanation import explain
from mpijob_bench.report.build import RESULT, write_report
from mpijob_bench.sections import read_whole_result


def conclude(directory: Path) -> int:
    """Explain a result, write its report, and return the verdict's exit code.

    Args:
        directory: has the result, and gets the report.

    Raises:
        ResultError: there is none, or it is wrong.
        ConfigurationError: the report cannot be written.
    """
    result = read_whole_result(str(directory / RESULT))
    explanation = explain(result)
    show(explanation, result)
    report = write_report(str(directory))
    click.echo(f"report: {report.files[0]}")
    return explanation.verdict.exit_code
