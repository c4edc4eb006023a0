"""Run the matrix: ``make matrix``, or ``python -m operator_matrix --write docs/operators.md``.

Ends with 0 if every cell ended as it must, with 1 otherwise.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from jobs import run_job
from marks import write_between_marks
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from operator_matrix.cells import Cell, Verdict, cells, judge
from operator_matrix.table import MARKS, format_markdown, make_table

IMAGE = "mpijob-example:pi-ompi{open_mpi}"


def main() -> int:
    """Run the cells that the command line asks for and return the exit code."""
    asked = _arguments()
    console = Console(stderr=True)
    wanted = [it for it in cells(tuple(asked.open_mpi)) if asked.only in it.id]
    verdicts = _run_all(wanted, asked.image, console)
    Console().print(make_table(verdicts))
    wrong = [it for it in verdicts if it.wrong]
    for verdict in wrong:
        console.print(f"[red]{verdict.cell.id}: {verdict.wrong}[/]")
    console.print(f"{len(verdicts)} cells, {len(wrong)} wrong")
    if asked.write and not wrong:
        write_between_marks(asked.write, format_markdown(verdicts), MARKS)
    return 1 if wrong or not verdicts else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="operator_matrix", description=__doc__)
    parser.add_argument("--open-mpi", action="append", choices=("4.1", "5.0"), default=[])
    parser.add_argument("--only", default="", metavar="TEXT", help="cells whose name has it")
    parser.add_argument("--image", default=IMAGE, help="has the program; default: %(default)s")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table there")
    asked = parser.parse_args()
    asked.open_mpi = asked.open_mpi or ["4.1", "5.0"]
    return asked


def _run_all(wanted: list[Cell], image: str, console: Console) -> list[Verdict]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    verdicts = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("matrix", total=len(wanted), now="")
        for number, cell in enumerate(wanted):
            progress.update(task, now=cell.id)
            verdict = run_cell(cell, f"op-{number}", image.format(open_mpi=cell.open_mpi))
            verdicts.append(verdict)
            word = f"[red]{verdict.wrong}[/]" if verdict.wrong else f"{verdict.exit_code}, right"
            console.print(f"{cell.id}: {word}, {verdict.seconds:.1f} s")
            progress.advance(task)
    return verdicts


def run_cell(cell: Cell, name: str, image: str) -> Verdict:
    """Run one cell's job and judge its end; what it printed is shown if it is wrong."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        # Below the limit of run_job, so that what hangs is removed and told like another end.
        options = ("--operator", cell.operator, "--timeout", "90")
        ended = run_job(cell.job(name, image), Path(directory), *options)
    verdict = judge(cell, name, ended.exit_code, ended.text, time.monotonic() - began)
    if verdict.wrong:
        sys.stderr.write(ended.text)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
