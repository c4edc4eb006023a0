"""Where private files lie: one answer for the launcher, the worker and every rank.

Layer: effects (asks the file system); imports nothing of ours, because every rank pays for it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PLACES = ("/dev/shm", "/tmp")  # noqa: S108 - shared places; ours is made 0700 and checked

_ROOM_BYTES = 1 << 20


def choose_run_dir(given: str | None) -> str:
    """Return the directory that was given, else ``mpijob-UID-HOSTNAME`` in memory or /tmp.

    Memory comes first: a key does not belong on a disk, and a Kubernetes pod can write /dev/shm
    even if its root file system is read-only. The host's name keeps apart pods that share it.
    """
    if given:
        return given
    place = next((p for p in _PLACES if os.access(p, os.W_OK | os.X_OK)), _PLACES[-1])
    return f"{place}/mpijob-{os.geteuid()}-{os.uname().nodename}"


def at_socket(run_dir: str, name: str, act: Callable[[str], object]) -> None:
    """Bind or connect a socket of a run directory.

    By descriptor: the name of a socket has 107 bytes at most, and a path may have more.

    Args:
        run_dir: the directory.
        name: the socket in it.
        act: takes the address: a socket's ``bind`` or ``connect``.

    Raises:
        OSError: as ``act`` does, or if there is no such directory.
    """
    directory = os.open(run_dir, os.O_PATH)
    try:
        act(f"/proc/self/fd/{directory}/{name}")
    finally:
        os.close(directory)


def takes_files(directory: str) -> bool:
    """Tell whether files can be made in a directory: the right to, and a megabyte of room."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return os.access(directory, os.W_OK) and found.f_bavail * found.f_frsize >= _ROOM_BYTES
