"""How the GPUs of a host reach each other: NVLink, else PCIe.

Layer: probe; imports facts and pci.
"""

from collections.abc import Sequence

from mpijob_runtime.facts import GpuFacts, GpuLink
from mpijob_runtime.probes.gpu.device import format_address
from mpijob_runtime.probes.gpu.nvml import Handle, Nvml
from mpijob_runtime.probes.pci import PciTree

_TOPOLOGY = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_MOST_LINKS = 36  # NVML_NVLINK_MAX_LINKS
_SWITCH = 2  # NVML_NVLINK_DEVICE_TYPE_SWITCH
_ACTIVE = 1


def find_links(
    asked: Nvml, tree: PciTree, handles: Sequence[Handle], gpus: Sequence[GpuFacts]
) -> tuple[GpuLink, ...]:
    """Return a link for each pair of GPUs of which anything is known."""
    whole = [gpu for gpu in gpus if gpu.fault is None]
    ends = {gpu.index: _nvlinks(asked, tree, handles[gpu.index]) for gpu in whole}
    found = []
    for n, one in enumerate(whole):
        for other in whole[n + 1 :]:
            bonded = _bonded(ends[one.index], ends[other.index], other.pci_bus_id)
            if bonded:
                link = GpuLink(one.index, other.index, f"NV{len(bonded)}", max(bonded) or None)
            else:
                pair = handles[one.index], handles[other.index]
                link = GpuLink(one.index, other.index, _pcie_level(asked, pair, tree, one, other))
            if link.level:
                found.append(link)
    return tuple(found)


def _nvlinks(asked: Nvml, tree: PciTree, handle: Handle) -> list[tuple[str, int]]:
    """Return where each active link of a GPU ends, and its generation (0: unknown)."""
    found = []
    for link in range(_MOST_LINKS):
        state = asked.number("nvmlDeviceGetNvLinkState", handle, link, absent=("InvalidArgument",))
        if state is None:
            break
        if state == _ACTIVE:
            generation = asked.number("nvmlDeviceGetNvLinkVersion", handle, link) or 0
            found.append((_far_end(asked, tree, handle, link), generation))
    return found


def _far_end(asked: Nvml, tree: PciTree, handle: Handle, link: int) -> str:
    kind = asked.number("nvmlDeviceGetNvLinkRemoteDeviceType", handle, link)
    if kind == _SWITCH:
        return "switch"
    remote = asked.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
    if remote is None:
        return ""
    address = format_address(remote.domain, remote.bus, remote.device)
    return "switch" if kind is None and tree.is_switch(address) else address


def _bonded(
    mine: list[tuple[str, int]], others: list[tuple[str, int]], address: str | None
) -> list[int]:
    """Return the generations of the links between two GPUs: direct ones, or all by way of switches.

    NVSwitches connect each GPU to each other with all links of both.
    """
    direct = [generation for end, generation in mine if end == address]
    if direct:
        return direct
    switched = [[g for end, g in links if end == "switch"] for links in (mine, others)]
    return min(switched, key=len)


def _pcie_level(
    asked: Nvml, pair: tuple[Handle, Handle], tree: PciTree, one: GpuFacts, other: GpuFacts
) -> str:
    level = asked.number("nvmlDeviceGetTopologyCommonAncestor", *pair)
    if level in _TOPOLOGY:
        return _TOPOLOGY[level]
    return tree.level(one.pci_bus_id or "?", other.pci_bus_id or "?")
