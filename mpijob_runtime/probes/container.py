"""All facts of this container in one go.

Layer: probe; imports the other probes, facts and settings.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from mpijob_runtime.data_network import interface_with
from mpijob_runtime.facts import Facts, InterfaceFacts
from mpijob_runtime.host_facts import parse_host_facts
from mpijob_runtime.machine import describe_machine
from mpijob_runtime.probes.keys import find_job_key
from mpijob_runtime.probes.mpi import probe_mpi
from mpijob_runtime.probes.system import probe_system, probe_user
from mpijob_runtime.settings import Settings

RSH = "/usr/local/lib/mpijob/rsh"
"""Where the images have what mpirun calls in place of ssh."""


def probe_container(settings: Settings) -> Facts:
    """Return everything that this container shows."""
    user = probe_user()
    wrapper = settings.rank_wrapper
    host = parse_host_facts(describe_machine())
    return Facts(
        system=probe_system(settings.temporary),
        user=user,
        key=find_job_key(settings, user),
        mpi=probe_mpi(path=settings.environ.get("PATH", os.defpath), mpirun=settings.mpirun),
        rank_wrapper=wrapper if wrapper and os.access(wrapper, os.X_OK) else None,
        rsh=RSH if os.access(RSH, os.X_OK) else None,
        host=host,
        control_interface=_control_interface(host.interfaces),
        directory=working_directory(settings.environ.get("PWD", "")),
    )


def working_directory(named: str) -> str:
    """Return the working directory as Open MPI gives it to ranks: by the shell's name for it.

    Args:
        named: ``PWD``, which may lead there over a link.
    """
    try:
        here = os.getcwd()
        path = named if named.startswith("/") and os.path.samefile(named, here) else here
    except OSError:
        return ""
    return path if path.isprintable() else ""


def _control_interface(interfaces: Sequence[InterfaceFacts]) -> str | None:
    """Return the interface whose address this host's own name resolves to, as the cluster's does.

    With one interface there is no question, and no name service is asked.
    """
    if len(interfaces) > 1:
        with suppress(OSError):
            return interface_with(socket.gethostbyname(socket.gethostname()), interfaces)
    return None
