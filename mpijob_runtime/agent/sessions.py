"""The directory in which Open MPI's daemons and ranks of one user keep their sessions on a host.

Layer: effects (files).
"""

from __future__ import annotations

import os

_KEPT = "mpijob"


def keep_session_directories(bases: tuple[str, ...]) -> None:
    """Let Open MPI 4.1's directory for sessions be there, and stay.

    The first of its jobs makes it and the last removes it. Of jobs that start or end at the same
    moment one trips over that now and then: "mkdir: File exists" (one start of 90, measured). It
    removes no directory that has another one in it.

    Args:
        bases: where it may be: for temporary files, and where those have no room.
    """
    name = f"ompi.{os.uname().nodename}.{os.geteuid()}"
    for base in bases:
        for place in (f"{base}/{name}", f"{base}/{name}/{_KEPT}"):
            try:
                os.mkdir(place, mode=0o700)
            except OSError:
                continue  # it is there; or cannot be, and Open MPI has its own words for that
