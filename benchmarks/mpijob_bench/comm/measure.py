"""A sweep over collectives as one launch.

Layer: effects (a launch, files); imports document, launches, options, summary, unfinished.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mpijob_bench.comm.document import write_comm
from mpijob_bench.comm.options import ARRAYS, Sweep, comm_program
from mpijob_bench.comm.summary import Comm, Summary
from mpijob_bench.comm.unfinished import line_text, take_up, write_iterations
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
    fidelity: str = "measured",
    told: Told | None = None,
) -> Comm:
    """Measure, write files into a directory, and return the document.

    ``comm.json`` is the document, ``comm.jsonl`` has each rank's every iteration, streamed, and
    ``comm.log`` what else was said. What was measured before an interruption is kept, and not
    measured again by a sweep that is the same.

    Args:
        sweep: what to measure.
        out: the directory; it must be there.
        hosts: names of those that take part; all hosts of the job if empty.
        fidelity: ``emulated`` where links or compute are not those of real hardware.
        told: called after each line.

    Raises:
        LaunchError: if the launch failed, or its ranks are not those that began the sweep.
        NotLaunchedError: if it did not come about.
        ConfigurationError: if the directory cannot be written to.
    """
    log, part = out / LOG, out / f"{ITERATIONS}.part"
    asked = {"sweep": asdict(sweep), "hosts": [*hosts], "fidelity": fidelity}
    summary = Summary()
    for line in take_up(part, asked):
        summary.take(line)

    def take(line: Line) -> None:
        if summary.is_elsewhere(line):
            message = f"{part}: found other ranks or hosts, wanted those that began the sweep"
            raise LaunchError(message, remedy="another --out, or remove that file")
        summary.take(line)
        iterations.write(line_text(line))
        if told is not None:
            told(line, summary)

    try:
        with writing(part), part.open("ab") as iterations:
            left = replace(sweep, done=(*summary.done,))
            launched = run_launch(comm_program(left), take, log=log, hosts=hosts)
        launched.check_came_about("the sweep over collectives")
        if not launched.ok:
            message = f"the sweep over collectives failed: {launched.reason}"
            raise LaunchError(message, remedy=f"see {log}")
        if not summary.sizes:
            raise LaunchError(_no_size(sweep, summary), remedy="smaller arrays, or more memory")
        comm = summary.document(backend=sweep.backend, fidelity=fidelity, max_bytes=sweep.max_bytes)
        write_comm(str(out / FILE), comm)
        write_iterations(part, out / ITERATIONS)
        part.unlink()
    finally:
        if not summary.done:
            part.unlink(missing_ok=True)
    return comm


def _no_size(sweep: Sweep, summary: Summary) -> str:
    memory = (summary.memory_bytes or 0) >> 20
    wanted = ARRAYS * sweep.min_bytes >> 20
    return f"found {memory} MiB for each rank, wanted {wanted}: {ARRAYS} times --min-bytes"
