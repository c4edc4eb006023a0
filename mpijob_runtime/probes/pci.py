"""Where devices sit on the PCI bus, from /sys alone: NUMA node, near processors, distance.

Layer: probe; imports facts and the CPU lists.
"""

import os
import re
from collections.abc import Sequence
from itertools import takewhile

from mpijob_runtime.cpu_lists import parse_cpu_list
from mpijob_runtime.facts import NicFacts

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_ROOT = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}")
_BRIDGE = "0x0680"
_CLASSES = (("infiniband", True), ("net", False))
_WITHIN_ONE_SWITCH = 2  # the switch's own downstream port, and the device


class PciTree:
    """The PCI bus of this machine.

    Args:
        sys: where /sys is; tests pass a tree of their own.
    """

    def __init__(self, sys: str = "/sys") -> None:
        self._sys = sys

    def numa_node(self, address: str) -> int | None:
        """Return a device's NUMA node, or None where the machine has none or does not tell."""
        text = self._read(address, "numa_node")
        return int(text) if text.isdigit() else None

    def near_cpus(self, address: str) -> tuple[int, ...]:
        """Return the processors that are near a device, or nothing."""
        try:
            return parse_cpu_list(self._read(address, "local_cpulist"))
        except ValueError:
            return ()

    def is_switch(self, address: str) -> bool:
        """Return whether a device is an NVSwitch, which has the class of a bridge."""
        return self._read(address, "class").startswith(_BRIDGE)

    def level(self, first: str, second: str) -> str:
        """Return how far two devices are, as ``nvidia-smi topo -m`` names it.

        PIX: one PCIe switch at most; PXB: more of them; PHB: the host bridge; NODE: host bridges
        of one NUMA node; SYS: two NUMA nodes. Empty if a device is not found.
        """
        one, other = self._path(first), self._path(second)
        if not one or not other:
            return ""
        common = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        )
        if common == 0:
            same = self.numa_node(first) == self.numa_node(second)
            return "NODE" if same else "SYS"
        if common == 1:
            return "PHB"
        return "PIX" if max(len(one), len(other)) - common <= _WITHIN_ONE_SWITCH else "PXB"

    def find_nics(self, gpus: Sequence[str | None]) -> tuple[NicFacts, ...]:
        """Return the RDMA devices and network interfaces that are on the PCI bus.

        A pod sees all RDMA devices of its node's /sys, and only the interfaces of its own network.

        Args:
            gpus: PCI addresses of the GPUs, to which distances are told.
        """
        found = []
        for name, rdma, address in self._devices():
            levels = tuple(self.level(address, gpu) if gpu else "" for gpu in gpus)
            found.append(NicFacts(name, rdma, address, self.numa_node(address), levels))
        return tuple(found)

    def _devices(self) -> list[tuple[str, bool, str]]:
        found = []
        for group, rdma in _CLASSES:
            directory = f"{self._sys}/class/{group}"
            for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
                path = _pci_parts(os.path.realpath(f"{directory}/{name}/device"))
                if path:
                    found.append((name, rdma, path[-1]))
        return found

    def _path(self, address: str) -> list[str]:
        path = os.path.realpath(f"{self._sys}/bus/pci/devices/{address}")
        return _pci_parts(path) if os.path.isdir(path) else []

    def _read(self, address: str, name: str) -> str:
        try:
            with open(f"{self._sys}/bus/pci/devices/{address}/{name}", encoding="ascii") as file:
                return file.read().strip()
        except (OSError, ValueError):
            return ""


def _pci_parts(path: str) -> list[str]:
    """Return a device's way over the bus: the host bridge, then each bridge, then itself."""
    parts = path.split("/")
    root = next((n for n, part in enumerate(parts) if _ROOT.fullmatch(part)), None)
    if root is None:
        return []
    addresses = [part for part in parts[root + 1 :] if _ADDRESS.fullmatch(part)]
    return [parts[root], *addresses] if addresses else []
