"""Sizes, rates and times as people write them: ``256MiB``, ``24.3 MB/s``, ``12.6 ms``.

Layer: pure; imports errors of mpijob_runtime.
"""

import re

from mpijob_runtime.errors import UsageError

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}
_SIZE = re.compile(r"(\d{1,12})\s*([KMG]?I?B)?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Return a size in bytes.

    Raises:
        UsageError: if the text is no size above zero.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = (match[2] or "").upper() if match else "?"
    if match is None or unit not in _UNITS or not int(match[1]):
        remedy = "write it as 1024, 64KiB, 25MB or 1GiB"
        raise UsageError(f"found size {text!r:.40}, wanted bytes above 0", remedy=remedy)
    return int(match[1]) * _UNITS[unit]


def format_bytes(size: int) -> str:
    """Return a size in the largest binary unit that divides it: ``64 KiB``, ``1000 B``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def format_rate(bytes_per_second: float) -> str:
    """Return a rate in decimal units, as nccl-tests counts: ``24.3 MB/s``."""
    for unit, factor in (("GB/s", 1e9), ("MB/s", 1e6)):
        if bytes_per_second >= factor:
            return f"{bytes_per_second / factor:#.4g} {unit}".replace(". ", " ")
    return f"{bytes_per_second / 1e3:.3g} kB/s"


def format_time(seconds: float) -> str:
    """Return a time: ``1.25 s``, ``12.6 ms``, ``310 us``."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
