"""What the kernel counts of this node: bytes on the network, processors that were waited for."""

import os
from dataclasses import dataclass
from pathlib import Path

_PRESSURE = Path("/proc/pressure/cpu")
_STAT = Path("/proc/stat")
_INTERFACES = Path("/sys/class/net")
_CHOSEN = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True)
class Counters:
    """Counts that only grow; differences of two are what they are for.

    Attributes:
        sent_bytes: by the data interface, frames included; None if it is not known.
        waiting_seconds: during which some process waited for a processor (PSI); None without PSI.
        idle_ticks: of all processors.
        stolen_ticks: that a virtual machine wanted and did not get.
        ticks: of all processors, whatever they did.
    """

    sent_bytes: int | None
    waiting_seconds: float | None
    idle_ticks: int
    stolen_ticks: int
    ticks: int


def data_interface() -> str | None:
    """Return the interface that the launch chose for data, or the only one that there is."""
    for name in _CHOSEN:
        chosen = os.environ.get(name, "").removeprefix("=")
        if (_INTERFACES / chosen).is_dir() and chosen:
            return chosen
    found = [path.name for path in _INTERFACES.iterdir() if path.name != "lo"]
    return found[0] if len(found) == 1 else None


def read_counters(interface: str | None) -> Counters:
    """Return the counts of now."""
    ticks = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    sent = None
    if interface is not None:
        sent = int((_INTERFACES / interface / "statistics" / "tx_bytes").read_text())
    return Counters(sent, _waiting_seconds(), ticks[3] + ticks[4], ticks[7], sum(ticks))


def _waiting_seconds() -> float | None:
    try:
        some = _PRESSURE.read_text().split("\n", 1)[0]
    except OSError:  # a kernel without PSI
        return None
    return int(some.rsplit("total=", 1)[1]) / 1e6
