"""Numbers as people read them.

Layer: pure; imports nothing of ours.
"""

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_KIBI = 1024
_HUNDRED = 100


def percent(share: float, digits: int = 1) -> str:
    """Return ``91.2 %`` for 0.912, with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


def points(share: float, *, signed: bool = False) -> str:
    """Return percentage points, ``8.8``, with a real minus."""
    text = f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"
    return text.replace("-", "\u2212")


def rate(value: float) -> str:
    """Return samples per second with a fitting number of digits."""
    return f"{value:,.0f}" if value >= _HUNDRED else f"{value:.3g}"


def size(count: float) -> str:
    """Return bytes in binary units, ``25 MiB``."""
    value, unit = float(count), 0
    while value >= _KIBI and unit < len(_BINARY) - 1:
        value, unit = value / _KIBI, unit + 1
    return f"{value:.3g}\u00a0{_BINARY[unit]}"


def bandwidth(bytes_per_second: float) -> str:
    """Return ``2.60 GB/s``, decimal as nccl-tests prints it."""
    for unit, name in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
        if bytes_per_second >= unit:
            return f"{bytes_per_second / unit:.3g}\u00a0{name}"
    return f"{bytes_per_second:.3g}\u00a0B/s"


def seconds(value: float) -> str:
    """Return ``103.6 ms``."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if value >= unit:
            return f"{value / unit:.4g}\u00a0{name}"
    return f"{value * 1e6:.3g}\u00a0µs"
