"""What the container was given, for a process whose own environment has lost it.

``env -i``, cron and the like start programs without the operator's variables. The container's
first process still has them, and the kernel shows them to the same user.

Layer: effects (processes); imports container_environ, operators.
"""

import os
import pwd
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from mpijob_runtime.container_environ import read_environ
from mpijob_runtime.operators import recognise_operator

_PATH = (
    "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/opt/openmpi/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)
"""The images' PATH."""

_SETTINGS = "MPIJOB_"


def restore_environ(environ: MutableMapping[str, str]) -> None:
    """Give this process's environment back what it has lost of the container's."""
    with suppress(OSError):  # of another user, or another container
        environ.update(find_lost_variables(environ, read_environ(1)))
    environ.setdefault("PATH", _PATH)
    if "HOME" not in environ:  # Open MPI 5.0 does not start without one
        environ["HOME"] = _home()


def find_lost_variables(environ: Mapping[str, str], first: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the first process that this environment was started without.

    Only an environment without a sign of the operator that the first process has was emptied on
    purpose or by accident; any other is as its owner wants it.

    Args:
        environ: this process's environment.
        first: that of the container's first process; empty if it cannot be read.
    """
    operator = recognise_operator(first, hostfile_exists=False)
    if not operator.present or not operator.variables.isdisjoint(environ):
        return {}
    return {
        name: value
        for name, value in first.items()
        if name not in environ
        and (name in operator.variables or name in ("PATH", "HOME") or name.startswith(_SETTINGS))
    }


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"
