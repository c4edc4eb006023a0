"""Processes in containers, as /proc of this machine shows them.

Signals from here reach a container's first process, too, which signals from inside do not.

Layer: effects (/proc, signals); imports nothing of ours.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

DAEMONS = frozenset({"orted", "prted"})
MPIRUNS = frozenset({"orterun", "mpirun", "prterun", "prte"})


@dataclass(frozen=True, slots=True)
class Process:
    """A living process of a container.

    Attributes:
        pid: on this machine.
        inner_pid: as the container sees it.
        parent: pid of its parent on this machine.
        name: what /proc calls it.
        program: name of the executable file.
        words: its command line.
    """

    pid: int
    inner_pid: int
    parent: int
    name: str
    program: str
    words: str

    def __str__(self) -> str:
        return f"{self.name} ({self.words[:60].strip()})"


def processes_beside(pid: int) -> list[Process]:
    """Return the living processes of the container whose first process this is."""
    space = _link(f"/proc/{pid}/ns/pid")
    if not space:
        return []
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    inside = (number for number in numbers if _link(f"/proc/{number}/ns/pid") == space)
    return [process for number in inside for process in _read(number)]


def _read(pid: int) -> Iterator[Process]:
    """Yield a process, unless it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return
    if status["State"][0] not in "ZX":
        yield Process(
            pid=pid,
            inner_pid=int(status["NSpid"].split()[-1]),
            parent=int(status["PPid"]),
            name=status["Name"],
            program=os.path.basename(_link(f"/proc/{pid}/exe")),
            words=words,
        )


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
