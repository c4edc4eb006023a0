"""A look at the hosts as one launch.

Layer: effects (a launch, files); imports document, findings, launches, observed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpijob_bench.documents import Document
from mpijob_bench.errors import LaunchError
from mpijob_bench.launches import NCCL_TELLS, Line, run_launch
from mpijob_bench.preflight.document import make_document, write_preflight
from mpijob_bench.preflight.findings import judge_hosts
from mpijob_bench.preflight.observed import Observed

FILE = "preflight.json"
LOG = "preflight.log"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What to look at.

    Attributes:
        backend: who sends between hosts, gloo or nccl; NCCL is asked to log what it uses.
        transport: what is declared, tcp or ib; None if nothing is.
        fidelity: ``emulated`` where links or compute are not those of real hardware.
        rounds: of the computation and of each exchange; medians count.
    """

    backend: str = "gloo"
    transport: str | None = None
    fidelity: str = "measured"
    rounds: int = 3


def preflight_program(preflight: Preflight) -> tuple[str, ...]:
    """Return the argv of the ranks' program."""
    options = ("--backend", preflight.backend, "--rounds", str(preflight.rounds))
    return ("python", "-m", "mpijob_bench.ranks.machine", *options)


def run_preflight(
    preflight: Preflight,
    *,
    out: Path,
    hosts: Sequence[str] = (),
    told: Callable[[Line], None] | None = None,
) -> Document:
    """Look at the hosts, write ``preflight.json`` and ``preflight.log``, and return the document.

    Args:
        preflight: what to look at.
        out: the directory; it must be there.
        hosts: names of those that take part; all hosts of the job if empty.
        told: called after each line.

    Raises:
        LaunchError: if the launch failed; nothing is written but the log.
        NotLaunchedError: if it did not come about.
        OSError: if the directory cannot be written to.
    """
    observed = Observed()

    def take(line: Line) -> None:
        observed.take(line)
        if told is not None:
            told(line)

    log = out / LOG
    program = preflight_program(preflight)
    launched = run_launch(program, take, log=log, hosts=hosts, environ=NCCL_TELLS)
    launched.check_came_about("the look at the hosts")
    if not launched.ok or not observed.machines:
        message = f"the look at the hosts failed: {launched.reason}"
        raise LaunchError(message, remedy=f"see {log}")
    observed.network = launched.report.get("network")
    observed.nccl = launched.report.get("nccl")
    document = _judged(observed, preflight)
    write_preflight(str(out / FILE), document)
    return document


def _judged(observed: Observed, preflight: Preflight) -> Document:
    backend = preflight.backend
    findings = judge_hosts(observed, backend=backend, transport=preflight.transport)
    return make_document(observed, findings, backend=backend, fidelity=preflight.fidelity)
