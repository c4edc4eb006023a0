"""Processes of this container, from /proc: which belong to a job, and ending them.

Everything that a job starts carries the id of its attempt in its environment, so what an
attempt has left is found even when nobody knows its parents any more. Only processes of the same
user can be read; those of others are none of our business.

Layer: effects (processes); imports carried, run_dir; quick to import: each host's agent pays.
"""

from __future__ import annotations

import _signal
import os
import time

from mpijob_runtime import carried
from mpijob_runtime.run_dir import choose_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ATTEMPT = f"{carried.ATTEMPT}=".encode()
_RUN_DIR = f"{carried.RUN_DIR}=".encode()
_UNKILLABLE_SECONDS = 5.0
_POLL_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _STIME = 1, 11, 12  # in /proc/PID/stat, after the name


def name_this_process(name: str) -> None:
    """Choose how ps and pgrep show this process."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def named(name: str) -> list[int]:
    """Return the pids of living processes of this name."""
    return [pid for pid in _parents() if name_of(pid) == name]


def children(parent: int) -> list[int]:
    """Return the pids of a process's children, ended ones included."""
    try:
        tasks = os.listdir(f"/proc/{parent}/task")
    except OSError:
        return []
    texts = (read_text(f"/proc/{parent}/task/{task}/children") for task in tasks)
    return [int(pid) for text in texts for pid in text.split()]


def name_of(pid: int) -> str:
    """Return a process's name, as ps shows it; nothing if it is gone."""
    return read_text(f"/proc/{pid}/comm")


def descendants(ancestor: int) -> list[int]:
    """Return the pids of all living processes below one, parents before children."""
    return _below({ancestor}, _parents())


def families(roots: Iterable[int]) -> dict[int, list[int]]:
    """Return each process with all living ones below it, from one look at /proc."""
    parents = _parents()
    return {root: [root, *_below({root}, parents)] for root in roots}


def attempts(run_dir: str) -> dict[int, str]:
    """Return the attempt of each living process that belongs to one, this process excepted.

    Args:
        run_dir: where the attempts' private files lie: who has others is somebody else's.
    """
    found = {}
    for pid in _pids():
        attempt, place = _attempt(pid) if pid != os.getpid() else ("", "")
        if attempt and choose_run_dir(place) == run_dir and _stat(pid) is not None:
            found[pid] = attempt
    return found


def programs_below(wrappers: Iterable[int]) -> list[int]:
    """Return the pids of ranks' programs, and of all that those have started."""
    roots = set(wrappers)
    below = dict.fromkeys(_below(roots, _parents()))
    return [pid for pid in below if pid not in roots]


def handlers_of(number: int, pids: Iterable[int]) -> list[int]:
    """Return those of the processes that have a handler for a signal."""
    bit = 1 << (number - 1)
    return [pid for pid in pids if _status_mask(pid, "SigCgt") & bit]


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that living processes have used, in seconds."""
    stats = (_stat(pid) for pid in pids)
    return sum(int(s[_UTIME]) + int(s[_STIME]) for s in stats if s is not None) / _TICKS


def send(number: int, pids: Iterable[int]) -> None:
    """Send a signal; a process that is gone, or not ours, is passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end(
    find: Callable[[], Iterable[int]],
    *,
    within_seconds: float,
    reap: Callable[[], None] = lambda: None,
) -> list[int]:
    """End every process that ``find`` finds: SIGTERM, then SIGKILL; return their pids.

    Args:
        find: returns pids; asked again until it finds none.
        within_seconds: between SIGTERM and SIGKILL.
        reap: called between two looks; a parent collects its zombies there.
    """
    seen: dict[int, None] = {}
    deadline = time.monotonic() + within_seconds
    while pids := list(find()):
        overdue = time.monotonic() > deadline
        if time.monotonic() > deadline + _UNKILLABLE_SECONDS:
            break  # stuck in the kernel: nothing that a signal could do
        fresh = [pid for pid in pids if overdue or pid not in seen]
        send(_signal.SIGKILL if overdue else _signal.SIGTERM, fresh)
        seen |= dict.fromkeys(pids)
        time.sleep(_POLL_SECONDS)
        reap()
    return list(seen)


def remove_file(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except OSError:
        return


def _below(wave: set[int], parents: dict[int, int]) -> list[int]:
    found: list[int] = []
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        found += sorted(wave)
    return found


def _parents() -> dict[int, int]:
    stats = {pid: _stat(pid) for pid in _pids()}
    return {pid: int(stat[_PARENT]) for pid, stat in stats.items() if stat is not None}


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the name of a living process; None if it is a zombie or gone."""
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields if fields and fields[0] not in "ZX" else None


def _status_mask(pid: int, name: str) -> int:
    for line in read_text(f"/proc/{pid}/status").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def _attempt(pid: int) -> tuple[str, str]:
    """Return a process's attempt and run directory, as far as its environment has them."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            items = file.read().split(b"\0")
    except OSError:
        return "", ""
    return _value(items, _ATTEMPT), _value(items, _RUN_DIR)


def _value(items: Iterable[bytes], name: bytes) -> str:
    return next((os.fsdecode(i[len(name) :]) for i in items if i.startswith(name)), "")


def read_text(path: str) -> str:
    """Return a small file's text without blanks around it; nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
