"""Running all rows in the launcher of one job."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs import Job

from field.rows import Row, Verdict, judge

_ROW_SECONDS = 60
_JOB_SECONDS = 900
_BEGIN, _END = "@@ begin", "@@ end"
_PIECE = re.compile(rf"^{_BEGIN} (\S+)\n(.*?)^{_END} \1 (\d+)$", re.MULTILINE | re.DOTALL)


def run_rows(rows: Sequence[Row], open_mpi: str, image: str, directory: Path) -> list[Verdict]:
    """Run the rows one after the other and judge each; what a wrong one printed is shown."""
    job = Job("field", image, ("bash", "-c", "\n".join(_script(rows))))
    path = directory / "field.yaml"
    path.write_text(json.dumps(job.manifest()), encoding="utf-8")
    options = ("run", "-q", "--timeout", str(_JOB_SECONDS), str(path))
    done = subprocess.run(
        (sys.executable, "-m", "mpijob_local", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    pieces = {name: (int(code), text) for name, text, code in _PIECE.findall(done.stdout)}
    verdicts = []
    for row in rows:
        code, text = pieces.get(row.name, (None, done.stdout))
        verdict = judge(row, open_mpi, code, text)
        if verdict.wrong:
            sys.stderr.write(f"--- {row.name}, Open MPI {open_mpi}: {verdict.wrong}\n{text}")
        verdicts.append(verdict)
    return verdicts


def _script(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each row; its output is between two marks, the second with its exit code.

    Rows have files of their own for their output: what still writes after its end disturbs none.
    """
    yield "mpijob-runtime wait -q"
    for row in rows:
        line = f"timeout {_ROW_SECONDS} bash -c {shlex.quote(row.script)}"
        yield f"echo; echo {_BEGIN} {row.name}; {line} </dev/null >/tmp/row 2>&1; code=$?"
        yield f"cat /tmp/row; echo; echo {_END} {row.name} $code; rm -f /tmp/row"
