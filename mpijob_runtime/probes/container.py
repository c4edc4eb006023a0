"""All facts of this container in one go.

Layer: probe; imports the other probes, facts and settings.
"""

import os

from mpijob_runtime.facts import Facts
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
    return Facts(
        system=probe_system(settings.temporary),
        user=user,
        key=find_job_key(settings, user),
        mpi=probe_mpi(path=settings.environ.get("PATH", os.defpath), mpirun=settings.mpirun),
        rank_wrapper=wrapper if wrapper and os.access(wrapper, os.X_OK) else None,
        rsh=RSH if os.access(RSH, os.X_OK) else None,
    )
