"""The first thing that each of our programs does: whatever ends it early leaves word.

PID 1 has no default for SIGTERM, and Python's own Ctrl-C is a traceback while modules load. Until
a role takes over there is nothing to clean up, but somebody will look for an outcome.

Layer: effects (signals, files); imports nothing of ours, so that it is quick.
"""

import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGHUP: 75}
_BUG = 70
_MOST_BYTES = 4096
_INSIDE = "MPIJOB_INSIDE"
_FLAGS = frozenset({"-q", "--quiet", "-v", "--verbose", "--distinct-nodes", "-h", "--help"})
"""Options of ``launch`` that take no value."""

_REPORT = """\
{"outcome": "not_started", "exit_code": %d, "reason": "%s", "first_failure": null,
 "ranks_started": 0, "world_size": null, "hosts": [], "spread": null, "network": null,
 "nccl": null, "phases_seconds": {}}
"""


class Outlets:
    """Where the outcome of a program is looked for.

    Attributes:
        termination_log: path for words, which is not made; empty for none.
        report: path for JSON, or None.
    """

    __slots__ = ("report", "termination_log")

    def __init__(self, termination_log: str = "", report: str | None = None) -> None:
        self.termination_log = termination_log
        self.report = report


NOWHERE = Outlets()
_state = {"settled": False}


def launcher_outlets(environ: Mapping[str, str], launch_arguments: Sequence[str] = ()) -> Outlets:
    """Return where a launcher's outcome goes, however wrong its settings are otherwise.

    Args:
        environ: the container's; what runs inside a job leaves the outcome to the job.
        launch_arguments: of ``mpijob-runtime launch``.
    """
    if _INSIDE in environ:
        return NOWHERE
    report = find_report(launch_arguments) or environ.get("MPIJOB_REPORT") or None
    return Outlets(worker_outlets(environ).termination_log, report)


def worker_outlets(environ: Mapping[str, str]) -> Outlets:
    """Return where a container says that it cannot start; the report is the launcher's."""
    if _INSIDE in environ:
        return NOWHERE
    return Outlets(environ.get("MPIJOB_TERMINATION_LOG") or "/dev/termination-log")


def command_outlets(arguments: Sequence[str], environ: Mapping[str, str]) -> Outlets:
    """Return where the outcome of ``mpijob-runtime ARGUMENTS`` goes."""
    match list(arguments[:1]):
        case ["launch"]:
            return launcher_outlets(environ, arguments[1:])
        case ["worker"]:
            return worker_outlets(environ)
    return NOWHERE


def find_report(arguments: Sequence[str]) -> str | None:
    """Return PATH of ``--report PATH`` among options of ``launch`` that may be wrong otherwise."""
    found, place = None, 0
    words = [*arguments, "--"]
    while words[place].startswith("-") and words[place] != "--":
        name, equals, value = words[place].partition("=")
        attached = equals or (len(name) > len("-n") and not name.startswith("--"))
        if not attached and name not in _FLAGS and not words[place + 1].startswith("-"):
            place += 1
            value = words[place]
        if name == "--report":
            found = value or found
        place += 1
    return found


def run(module: str, function: str, outlets: Outlets) -> None:
    """Import and run one of our programs, and end with its code.

    Args:
        module: that has it.
        function: without arguments; returns the exit code, and leaves an outcome by itself.
        outlets: where to say what ends it before it can do that.
    """
    end_at_signals(outlets)
    _open_standard_streams()
    try:
        program = getattr(importlib.import_module(module), function)
    except Exception as error:  # noqa: BLE001 - an image that is broken must say so
        reason = f"cannot load {module}: {type(error).__name__}: {error}"
        leave(outlets, _BUG, f"{reason}\n  next: this image is broken: build it again")
        os._exit(_BUG)
    code = program()
    settle()
    for number in _CODES:
        signal.signal(number, signal.SIG_IGN)  # not even the interpreter's exit is cut short
    sys.exit(code)


def end_at_signals(outlets: Outlets = NOWHERE) -> None:
    """End at once at SIGINT (130), SIGTERM or SIGHUP (75), with a word that says so."""

    def end(number: int, _frame: object) -> None:
        if not _state["settled"]:
            leave(outlets, _CODES[signal.Signals(number)], f"got {signal.Signals(number).name}")
            os._exit(_CODES[signal.Signals(number)])

    for number in _CODES:
        signal.signal(number, end)


def settle() -> None:
    """The outcome is known, and being told: from now on a signal does not change it."""
    _state["settled"] = True


def leave(outlets: Outlets, exit_code: int, reason: str) -> None:
    """Say that nothing was started, and why, on stderr and wherever it is looked for."""
    text = f"not started: {reason}\n".encode(errors="backslashreplace")
    if outlets.termination_log:
        _write(outlets.termination_log, text[:_MOST_BYTES], os.O_TRUNC)
    _say(text)
    if outlets.report:
        report = _REPORT % (exit_code, "".join(map(_escape, reason)))
        if why := _write(outlets.report, report.encode(), os.O_TRUNC | os.O_CREAT):
            _say(f"warning: {outlets.report}: cannot write the outcome: {why}\n".encode())


def _say(text: bytes) -> None:
    try:
        os.write(2, b"mpijob: " + text)
    except OSError:
        return  # nobody reads it


def _write(path: str, data: bytes, how: int) -> str | None:
    """Write a file, and return why that was not possible, or None."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | how, 0o644)
        os.write(descriptor, data)
        os.close(descriptor)
    except OSError as error:
        return error.strerror
    return None


def _escape(letter: str) -> str:
    """Return a letter as JSON has it; one that is not of ASCII as '?'."""
    if letter in '"\\' or letter < " ":
        return f"\\u{ord(letter):04x}"
    return letter if letter.isascii() else "?"


def _open_standard_streams() -> None:
    """Let stdin, stdout and stderr be something, or the next file that is opened would be."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(number, True)  # noqa: FBT003 - os has no keyword for it
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
