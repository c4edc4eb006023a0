"""A sweep over collectives as one launch.

Layer: effects (a launch, files); imports document, launches, options, summary.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mpijob_bench.comm.document import write_comm
from mpijob_bench.comm.options import ARRAYS, Sweep, comm_program
from mpijob_bench.comm.summary import Comm, Summary
from mpijob_bench.documents import writing
from mpijob_bench.errors import LaunchError
from mpijob_bench.launches import Line, run_launch

FILE = "comm.json"
ITERATIONS = "comm.jsonl"
LOG = "comm.log"

Told = Callable[[Line, Summary], None]
"""Called after each line with what is known so far: for progress."""


def run_comm(
    sweep: Sweep,
    *,
    out: Path,
    hosts: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    fidelity: str = "measured",
    told: Told | None = None,
) -> Comm:
    """Measure, write files into a directory, and return the document.

    ``comm.json`` is the document, ``comm.jsonl`` has each rank's every iteration, streamed, and
    ``comm.log`` what else was said.

    Args:
        sweep: what to measure.
        out: the directory; it must be there.
        hosts: names of those that take part; all hosts of the job if empty.
        environ: further variables of the ranks.
        fidelity: ``emulated`` where links or compute are not those of real hardware.
        told: called after each line.

    Raises:
        LaunchError: if the launch failed; nothing is written but the log.
        NotLaunchedError: if it did not come about.
        ConfigurationError: if the directory cannot be written to.
    """
    summary, log, raw = Summary(), out / LOG, out / f"{ITERATIONS}.part"

    def take(line: Line) -> None:
        summary.take(line)
        if line.data["bench"] == "collective":
            each = {"fidelity": fidelity, "rank": line.rank, "host": line.host, **line.data}
            iterations.write(json.dumps(each).encode() + b"\n")
        if told is not None:
            told(line, summary)

    try:
        with writing(raw), raw.open("wb") as iterations:
            launched = run_launch(comm_program(sweep), take, log=log, hosts=hosts, environ=environ)
        launched.check_came_about("the sweep over collectives")
        if not launched.ok:
            message = f"the sweep over collectives failed: {launched.reason}"
            raise LaunchError(message, remedy=f"see {log}")
        if not summary.sizes:
            raise LaunchError(_no_size(sweep, summary), remedy="smaller arrays, or more memory")
        comm = summary.document(backend=sweep.backend, fidelity=fidelity, max_bytes=sweep.max_bytes)
        write_comm(str(out / FILE), comm)
        raw.replace(out / ITERATIONS)
    finally:
        raw.unlink(missing_ok=True)  # of a sweep that did not end; an earlier one's stay
    return comm


def _no_size(sweep: Sweep, summary: Summary) -> str:
    memory = (summary.memory_bytes or 0) >> 20
    wanted = ARRAYS * sweep.min_bytes >> 20
    return f"found {memory} MiB for each rank, wanted {wanted}: {ARRAYS} times --min-bytes"
