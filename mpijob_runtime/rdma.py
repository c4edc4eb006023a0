"""RDMA devices of this host: InfiniBand, RoCE and EFA, as the kernel shows them.

Layer: probe (files); imports processes for a file's text; quick to import: each host's agent pays.
"""

from __future__ import annotations

import os

from mpijob_runtime.processes import read_text

_DEVICES = "/sys/class/infiniband"
_NODES = "/dev/infiniband"
_EFA = "efa"  # the driver's name; its ports show no link layer


def list_rdma_devices(devices: str = _DEVICES, nodes: str = _NODES) -> list[dict[str, object]]:
    """Return the devices, each with ``name``, ``kind``, ``state``, ``rate`` and ``usable``.

    ``kind`` is infiniband, roce, efa or other; state and rate are the kernel's words for the
    first port. A container sees the devices of its machine in /sys whether or not it was given
    them: usable means that the device's node is in /dev and may be opened.
    """
    return [_describe(f"{devices}/{name}", name, nodes) for name in list_directory(devices)]


def list_directory(path: str) -> list[str]:
    """Return the names in a directory, sorted; none if it is not there."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _describe(path: str, name: str, nodes: str) -> dict[str, object]:
    ports = list_directory(f"{path}/ports")
    port = f"{path}/ports/{ports[0]}" if ports else path
    layer = read_text(f"{port}/link_layer")
    driver = os.path.basename(os.path.realpath(f"{path}/device/driver"))
    kinds = {"InfiniBand": "infiniband", "Ethernet": "roce"}
    verbs = list_directory(f"{path}/device/infiniband_verbs")
    return {
        "name": name,
        "kind": "efa" if driver == _EFA else kinds.get(layer, "other"),
        "state": read_text(f"{port}/state").rpartition(": ")[2],
        "rate": read_text(f"{port}/rate"),
        "usable": any(os.access(f"{nodes}/{node}", os.R_OK | os.W_OK) for node in verbs),
    }
