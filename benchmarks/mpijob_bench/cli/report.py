"""``mpijob-bench report``."""

import json

import click

_EPILOG = """\b
Examples:
  mpijob-bench report results/
  mpijob-bench report results/result.json --out public/
  mpijob-bench report results/ && cat results/summary.md >> "$GITHUB_STEP_SUMMARY"
\b
report.html is one file that opens without a network. How to read it: docs/bench-report.md.
"""


@click.command("report", epilog=_EPILOG)
@click.argument("where", metavar="RESULT_OR_DIR")
@click.option("--out", metavar="DIR", help="Write the files there, not beside the result.")
@click.option("--profile", "profile_file", metavar="FILE", help="The workload's gradient profile.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
def command(*, where: str, out: str | None, profile_file: str | None, as_json: bool) -> int:
    """Write report.html, summary.md and CSV tables of a result.

    The verdict comes first; then scaling, lost points, what would help, network, steps, launches,
    guards, plan and environment. What is missing in the result is said. Ends with 0 whatever the
    verdict is: mpijob-bench gate judges.
    """
    from rich.console import Console
    from rich.progress import Progress

    from mpijob_bench.report.build import steps_file, write_report
    from mpijob_bench.report.step_stream import file_bytes

    total = file_bytes(steps_file(where))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading steps", total=total or None, visible=total > 0)
        report = write_report(
            where,
            out,
            profile_file=profile_file,
            tell=lambda count: progress.update(task, completed=count),
        )
    if as_json:
        click.echo(json.dumps({"verdict": report.verdict.name, "files": report.files}))
    else:
        click.echo(f"{report.verdict.name}: {report.verdict.clause}")
        for path in report.files:
            click.echo(f"  {path}")
    return 0
