"""Run the rows: ``make field``, or ``python -m field --write docs/compatibility.md``.

Ends with 0 if every row ended as it must, with 1 otherwise.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from marks import write_between_marks

from field.catalogue import ROWS
from field.rows import VERSIONS, Verdict
from field.run import run_rows

IMAGE = "mpijob-runtime:horovod-ompi{open_mpi}"
MARKS = ("<!-- rows: written by make field -->", "<!-- end of rows -->")


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    asked = _arguments()
    rows = [row for row in ROWS if asked.only in row.name]
    verdicts: list[Verdict] = []
    for open_mpi in asked.open_mpi:
        with tempfile.TemporaryDirectory() as directory:
            image = asked.image.format(open_mpi=open_mpi)
            verdicts += run_rows(rows, open_mpi, image, Path(directory))
    for it in verdicts:
        sys.stdout.write(f"{it.row.name:24} {it.open_mpi}  {it.code}  {it.wrong or 'right'}\n")
    wrong = sum(1 for it in verdicts if it.wrong)
    sys.stdout.write(f"{len(verdicts)} tried, {wrong} wrong\n")
    if asked.write and not wrong:
        write_between_marks(asked.write, format_markdown(verdicts), MARKS)
    return 1 if wrong or not verdicts else 0


def format_markdown(verdicts: list[Verdict]) -> str:
    """Return the table for the documentation."""
    lines = [
        "| what it does | who does it | " + " | ".join(f"Open MPI {v}" for v in VERSIONS) + " |"
    ]
    lines.append("|---|---|" + "---|" * len(VERSIONS))
    ends = {(it.row.name, it.open_mpi): _end(it) for it in verdicts}
    for row in {it.row.name: it.row for it in verdicts}.values():
        cells = " | ".join(ends.get((row.name, version), "not tried") for version in VERSIONS)
        lines.append(f"| {row.does} | {row.source} | {cells} |")
    return "\n".join(lines) + "\n"


def _end(verdict: Verdict) -> str:
    if verdict.wrong:
        return verdict.wrong
    return "right" if not verdict.code else f"{verdict.code}: {verdict.row.remark}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="field", description=__doc__)
    parser.add_argument("--open-mpi", action="append", choices=VERSIONS, default=[])
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    parser.add_argument("--image", default=IMAGE, help="default: %(default)s")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table there")
    asked = parser.parse_args()
    asked.open_mpi = asked.open_mpi or list(VERSIONS)
    return asked


if __name__ == "__main__":
    sys.exit(main())
