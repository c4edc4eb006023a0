"""A time zone's distance from UTC, by its name and this host's own files.

Layer: effects (clock, files).
"""

from __future__ import annotations

import os
import time

_known: dict[str | None, str] = {}


def offset_of_zone(name: str | None) -> str:
    """Return ``+0100``: what a program here shows with this ``TZ``, or without one if None.

    Zones of other names that show the same time now are alike: UTC, GMT and Etc/UTC.
    """
    if name not in _known:
        if name is None:
            os.unsetenv("TZ")
        else:
            os.putenv("TZ", name)
        time.tzset()
        _known[name] = time.strftime("%z")
        os.unsetenv("TZ")
    return _known[name]
