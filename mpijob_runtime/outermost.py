"""The outermost function of every program of ours: whatever ends it becomes a code and words.

Layer: effects (streams, files); imports console, early, errors, outcome, report, settings.
"""

import os
import sys
from collections.abc import Callable, Mapping

from mpijob_runtime.console import Console
from mpijob_runtime.early import NOWHERE, Outlets, settle
from mpijob_runtime.errors import explain_error
from mpijob_runtime.outcome import Outcome
from mpijob_runtime.report import publish_outcome
from mpijob_runtime.settings import read_log_format

INTERRUPTED = 130
BROKEN_PIPE = 141


def run_program(
    work: Callable[[], int], environ: Mapping[str, str], outlets: Outlets = NOWHERE
) -> int:
    """Run a program and return its exit code; errors are words, never tracebacks.

    A launch that has begun publishes its own outcome and raises nothing; what is raised here has
    kept it from beginning.

    Args:
        work: the program.
        environ: says in which form to complain.
        outlets: where somebody looks for what came of it.
    """
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE  # nobody reads stdout any more, and nobody wants to know
    except KeyboardInterrupt:
        code = _complain(INTERRUPTED, "interrupted (SIGINT)", environ, outlets)
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into words
        code = _complain(*explain_error(error), environ, outlets)
    let_go_of_streams()
    return code


def _complain(code: int, reason: str, environ: Mapping[str, str], outlets: Outlets) -> int:
    console = Console(log_format=read_log_format(environ))
    if outlets is not NOWHERE:
        settle()
        publish_outcome(
            Outcome("not_started", code, reason),
            console=console,
            report=outlets.report,
            termination_log=outlets.termination_log,
        )
    else:
        console.error(reason)
    return code


def let_go_of_streams() -> None:
    """Forget what stdout and stderr do not take: Python would try again, and exit with 120.

    As the Python documentation has it (signal, Note on SIGPIPE).
    """
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
