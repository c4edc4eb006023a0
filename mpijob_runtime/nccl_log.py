"""What NCCL's own log says: its version, the network it chose, how ranks are connected.

NCCL_DEBUG=VERSION or more shows the version, INFO all of it. The wordings are those of NCCL 2.4 to
2.29: from logs in public issues, which tests/unit/test_nccl_log.py names, and from the words in
2.29.7's library.

Layer: pure; imports outcome for words.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mpijob_runtime.outcome import format_ranks

_MARK = b"NCCL"
_COLLECTIVE = b": opCount "  # NCCL_DEBUG_SUBSYS=COLL tells of every call
_MOST_KINDS = 32  # of versions, networks and the like; more are noise
_LONGEST_LINE = 1000

_VERSION = re.compile(r"NCCL version ([0-9]{1,3}(?:\.[0-9]{1,3}){1,3})")
_NETWORK = re.compile(
    r"Using (?:internal N|n)etwork ([A-Za-z][\w /-]{0,40}\w)"
    r"|Assigned NET plugin ([A-Za-z][\w /-]{0,40}?\w) to comm",
    re.ASCII,
)
_CONNECTION = re.compile(
    r"(?:Channel|Ring|CollNet) \d+(?:/\d+)? : \d+\S*(?: -> \d+\S*)?( \[receive\]| \[send\])?"
    r" via ((?:P2P|SHM|NET|COLLNET)(?:/[\w .()\[\]-]{1,40})*)",
    re.ASCII,
)
_BOOTSTRAP = re.compile(r"Bootstrap ?: Using ?(?:\[\d+\])?([\w.-]{1,15}):", re.ASCII)
_NVLS_CHANNELS = re.compile(r"([0-9]+) nvls channels")
_MNNVL = re.compile(r"MNNVL ([0-9])(?: cliqueId|$)")
_REMARKS = (
    (re.compile(r"NET/IB ?: No device found"), "no InfiniBand device"),
    (re.compile(r"Failed to open libibverbs\.so"), "no libibverbs"),
    (re.compile(r"GPU Direct RDMA Disabled"), "GPUDirect RDMA is off"),
    (re.compile(r"NVLS multicast support is not available"), "no NVLS on these GPUs"),
)


@dataclass(frozen=True, slots=True)
class NcclSummary:
    """What NCCL has told.

    Attributes:
        versions: version -> the ranks that told it; older ones tell it on one rank only.
        networks: ``IB``, ``Socket``, ``AWS Libfabric`` … -> the ranks that named it.
        transports: ``P2P/CUMEM``, ``SHM``, ``NET/IB`` … -> connections, of all channels and
            communicators together.
        gdr_connections: those over the network that go past the CPU (GPUDirect RDMA).
        nvls: whether NVLink SHARP is used.
        mnnvl: whether NVLink between hosts is used.
        interfaces: network interfaces that ranks found each other by.
        remarks: what NCCL did not find, in words.
    """

    versions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    networks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    transports: Mapping[str, int] = field(default_factory=dict)
    gdr_connections: int = 0
    nvls: bool = False
    mnnvl: bool = False
    interfaces: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the summary as plain data."""
        return {
            "versions": {version: list(ranks) for version, ranks in self.versions.items()},
            "net": " and ".join(self.networks) or None,
            "transports": dict(self.transports),
            "gdr": self.gdr_connections > 0,
            "nvls": self.nvls,
            "mnnvl": self.mnnvl,
            "interfaces": list(self.interfaces),
            "remarks": list(self.remarks),
        }

    def describe(self) -> str:
        """Return ``NCCL 2.29.7 over NET/Socket (no InfiniBand device)``, or nothing."""
        if not self.versions and not self.networks and not self.transports:
            return ""
        words = f"NCCL {_name_with_ranks(self.versions)}".rstrip()
        if self._over_network:
            words += f" over NET/{_name_with_ranks(self.networks)}" if self.networks else ""
            words += " with GPUDirect RDMA" if self.gdr_connections else ""
        elif self.transports:
            words += f" within hosts by {', '.join(self.transports)}"
        words += ", NVLS" if self.nvls else ""
        words += ", NVLink between hosts" if self.mnnvl else ""
        remarks = [text for text in self.remarks if self._over_network and "NVLS" not in text]
        return f"{words} ({', '.join(remarks)})" if remarks else words

    @property
    def _over_network(self) -> bool:
        return not self.transports or any(name.startswith("NET/") for name in self.transports)


class NcclLog:
    """Reads along what ranks write; a line that is not NCCL's costs one search for four letters."""

    def __init__(self) -> None:
        self._versions: dict[str, set[int]] = {}
        self._networks: dict[str, set[int]] = {}
        self._interfaces: dict[str, set[int]] = {}
        self._remarks: dict[str, set[int]] = {}
        self._transports: Counter[str] = Counter()
        self._gdr = 0
        self._nvls = False
        self._mnnvl = False

    def add(self, rank: int, data: bytes) -> None:
        """Take what a rank wrote: whole lines, any number of them."""
        if _MARK not in data:
            return
        for line in data.split(b"\n"):
            if _MARK in line and _COLLECTIVE not in line:
                self._add_line(rank, line[:_LONGEST_LINE].decode(errors="replace"))

    def summary(self) -> NcclSummary:
        """Return what is known by now."""
        return NcclSummary(
            versions=_sorted_ranks(self._versions),
            networks=_sorted_ranks(self._networks) or self._used_networks(),
            transports=dict(self._transports.most_common()),
            gdr_connections=self._gdr,
            nvls=self._nvls,
            mnnvl=self._mnnvl,
            interfaces=tuple(self._interfaces),
            remarks=tuple(self._remarks),
        )

    def _used_networks(self) -> dict[str, tuple[int, ...]]:
        names = (name.partition("/")[2] for name in self._transports if name.startswith("NET/"))
        return dict.fromkeys(names, ())

    def _add_line(self, rank: int, line: str) -> None:
        if " via " in line:
            self._add_connection(line)
        elif match := _VERSION.search(line):
            _put(self._versions, match[1], rank)
        elif match := _NETWORK.search(line):
            _put(self._networks, match[1] or match[2], rank)
        elif match := _BOOTSTRAP.search(line):
            _put(self._interfaces, match[1], rank)
        elif match := _NVLS_CHANNELS.search(line):
            self._nvls |= int(match[1][:9]) > 0
        elif match := _MNNVL.search(line):
            self._mnnvl |= match[1] == "1"
        else:
            for pattern, words in _REMARKS:
                if pattern.search(line):
                    _put(self._remarks, words, rank)

    def _add_connection(self, line: str) -> None:
        match = _CONNECTION.search(line)
        if match is None or match[1] == " [receive]":  # its sender tells the same
            return
        parts = match[2].split("/")
        name = parts[0] if parts[0] == "SHM" else "/".join(parts[:2])
        if name not in self._transports and len(self._transports) >= _MOST_KINDS:
            return
        self._transports[name] += 1
        self._gdr += any(part.startswith("GDRDMA") for part in parts[2:])


def _put(found: dict[str, set[int]], key: str, rank: int) -> None:
    if key in found or len(found) < _MOST_KINDS:
        found.setdefault(key, set()).add(rank)


def _sorted_ranks(found: Mapping[str, set[int]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(sorted(ranks)) for key, ranks in found.items()}


def _name_with_ranks(found: Mapping[str, tuple[int, ...]]) -> str:
    if len(found) == 1:
        return next(iter(found))
    named = (f"{name} ({format_ranks(ranks)})" if ranks else name for name, ranks in found.items())
    return " and ".join(named)
