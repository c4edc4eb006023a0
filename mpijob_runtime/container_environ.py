"""The environment that a container was started with, as its ranks have it.

Layer: effects (processes); imports carried; quick to import: every rank pays for it.
"""

from __future__ import annotations

import os

from mpijob_runtime import carried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDED = {
    "PATH": f"{carried.OPEN_MPI}/bin:",
    "LD_LIBRARY_PATH": f"{carried.OPEN_MPI}/lib:",
}
"""What Open MPI's daemons put before a search path, once or more: 4.1 before both, 5.0 before the
second. Nobody else names these places, so nothing of a user's is lost with them."""


def read_container_environ(run_dir: str) -> dict[str, str]:
    """Return the environment that the worker's supervisor was started with, or nothing.

    An sshd session knows nothing of its container's variables, and sshd_config's SetEnv cannot
    carry a newline; the kernel shows them to the same user without a copy on any disk.
    """
    try:
        with open(f"{run_dir}/{carried.WORKER_PID}", encoding="ascii") as file:
            return read_environ(int(file.read()))
    except (OSError, ValueError):
        return {}


def read_environ(pid: int) -> dict[str, str]:
    """Return the environment that a process of this user was started with.

    Raises:
        OSError: if there is no such process, or it is another user's.
    """
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = file.read().split(b"\0")
    decoded = (os.fsdecode(pair).partition("=") for pair in pairs if b"=" in pair)
    return {name: value for name, _, value in decoded}


def without_added_places(session: Mapping[str, str]) -> dict[str, str]:
    """Return a daemon's environment with the search paths that it was itself given."""
    environ = dict(session)
    for name, added in _ADDED.items():
        value = given = environ.get(name, "")
        while value.startswith(added):
            value = value[len(added) :]
        value = "" if value == added[:-1] else value
        if value:
            environ[name] = value
        elif given:
            del environ[name]
    return environ
