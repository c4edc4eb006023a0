"""Where private files lie: one answer for the launcher, the worker and every rank.

Layer: effects (asks the file system); imports carried, because every rank pays for it.
"""

import os

from mpijob_runtime.carried import RUN_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACES = ("/dev/shm", "/tmp")  # noqa: S108 - shared places; ours is made 0700 and checked


def choose_run_dir(environ: "Mapping[str, str]") -> str:
    """Return ``MPIJOB_RUN_DIR``, else ``mpijob-UID`` in memory, else in /tmp.

    Memory comes first: a key does not belong on a disk, and a Kubernetes pod can write /dev/shm
    even if its root file system is read-only.
    """
    given = environ.get(RUN_DIR)
    if given:
        return given
    place = next((p for p in _PLACES if os.access(p, os.W_OK | os.X_OK)), _PLACES[-1])
    return f"{place}/mpijob-{os.geteuid()}"
