"""What people write into variables and flags: times with units, and switches.

Layer: pure; imports nothing of ours.
"""

import math
import re

TIME_WANTED = "a time: seconds as 90, or with units as 90s, 10m, 1h30m, 500ms or 1d; 30d at most"
SWITCH_WANTED = "on or off (1 or 0, true or false, yes or no)"

_LONGEST_SECONDS = 30 * 24 * 3600.0
_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(ms|[dhms])", re.ASCII)
_SWITCHES = {"on": True, "true": True, "yes": True, "1": True} | {
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


def parse_seconds(text: str) -> float | None:
    """Return a time in seconds, or None for what is no time from 0 to 30 days.

    A plain number is seconds; units are those of Kubernetes and Go (``1h30m``), and ``d``.
    """
    text = text.strip()
    seconds = _with_units(text)
    if seconds is None:
        try:
            seconds = float(text)
        except ValueError:
            return None
    return seconds if 0 <= seconds <= _LONGEST_SECONDS else None


def _with_units(text: str) -> float | None:
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return math.fsum(float(part[1]) * _UNIT_SECONDS[part[2]] for part in parts)


def parse_switch(text: str) -> bool | None:
    """Return whether something is switched on, or None for a word that says neither."""
    return _SWITCHES.get(text.strip().lower())
