"""The first thing that each of our programs does: let an ending signal end it.

PID 1 has no default for SIGTERM, and Python's own Ctrl-C is a traceback while modules load. Until
a role takes the signals over there is nothing to clean up.

Layer: effects (signals); imports nothing of ours, so that it is quick.
"""

import os
import signal

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGHUP: 75}


def end_at_signals() -> None:
    """End at once at SIGINT (130), SIGTERM or SIGHUP (75), with a line that says so.

    A closed stdin becomes the null device before any other file takes its place.
    """
    _have_stdin()
    for number in _CODES:
        signal.signal(number, _end)


def _have_stdin() -> None:
    try:
        os.fstat(0)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)


def _end(number: int, _frame: object) -> None:
    name = signal.Signals(number).name
    os.write(2, f"mpijob: not started: got {name}\n".encode())
    os._exit(_CODES[signal.Signals(number)])
