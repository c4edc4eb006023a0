"""Rates of links as the command line gives them: ``100mbit``, ``1gbit``, ``unlimited``.

Layer: pure; imports nothing of ours but the errors.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from mpijob_runtime.errors import UsageError

SLOW_BITS_PER_SECOND = 100_000_000
FAST_BITS_PER_SECOND = 500_000_000
"""Two rates that a machine of two cores can keep for eight workers at the same time."""

UNLIMITED = "unlimited"
# tc(8), RATES: decimal prefixes; tc's kbps, mbps and gbps are bytes and would mislead here.
_RATE = re.compile(
    r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>kbit|mbit|gbit)", re.IGNORECASE
)
_UNITS = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
# Below, the bucket alone would last for 20 s; above, no machine is faster than the link.
_SMALLEST, _LARGEST = 10**5, 10**12


def parse_rate(text: str) -> int | None:
    """Return the bits per second of a rate; None for ``unlimited``.

    Raises:
        UsageError: another unit than kbit, mbit and gbit, or a rate that no link here can have.
    """
    if text == UNLIMITED:
        return None
    match = _RATE.fullmatch(text)
    bits = int(Decimal(match["number"]) * _UNITS[match["unit"].lower()]) if match else 0
    if not _SMALLEST <= bits <= _LARGEST:
        message = (
            f"--rate: found {text!r}, wanted a number with kbit, mbit or gbit from"
            f" {_SMALLEST // 10**3}kbit to {_LARGEST // 10**9}gbit, such as 100mbit,"
            f" or {UNLIMITED}"
        )
        raise UsageError(message, remedy="bits a second as tc writes them, not bytes (mbps)")
    return bits


def format_rate(bits_per_second: int) -> str:
    """Return a rate for people, such as ``100 Mbit/s``."""
    fitting = (unit for unit, factor in reversed(_UNITS.items()) if bits_per_second >= factor)
    unit = next(fitting, "kbit")
    return f"{bits_per_second / _UNITS[unit]:g} {unit.capitalize()}/s"


def network_rates(networks: int, texts: Sequence[str]) -> tuple[int | None, ...]:
    """Return the rate of each network in bits per second; None is unshaped.

    Without any rate one network is unshaped, and of several the first is slow and the others
    are fast.

    Args:
        networks: how many networks a pod has, at least one.
        texts: the rates as given, in the order of the networks.

    Raises:
        UsageError: a wrong rate, or neither none nor one for each network.
    """
    if not texts:
        several = (SLOW_BITS_PER_SECOND, *([FAST_BITS_PER_SECOND] * (networks - 1)))
        return (None,) if networks == 1 else several
    rates = tuple(map(parse_rate, texts))
    if len(rates) != networks:
        found = f"{len(rates)} {'rate' if len(rates) == 1 else 'rates'}"
        wanted = f"{networks} {'network' if networks == 1 else 'networks'}"
        message = f"--rate: found {found} for {wanted}, wanted none or one for each network"
        raise UsageError(message, remedy=f"--networks N, or --rate {UNLIMITED} where none is meant")
    return rates
