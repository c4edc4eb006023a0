"""Network interfaces of this host, as the kernel shows them.

Layer: probe (kernel); imports processes for a file's text; quick to import: each host's agent pays.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import sys

from mpijob_runtime.processes import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS, _ADDRESS, _NETMASK, _MTU = 0x8913, 0x8915, 0x891B, 0x8921  # linux/sockios.h, SIOCGIF…
_UP, _LOOPBACK = 0x1, 0x8  # linux/if.h, IFF_…
_REQUEST_BYTES, _NAME_BYTES = 40, 16
_ADDRESS_AT = slice(4, 8)  # in a sockaddr_in
_GLOBAL_SCOPE = "00"
_UNUSABLE = 0x08 | 0x20 | 0x40  # linux/if_addr.h: duplicate, deprecated, tentative
_IPV6_FIELDS = 6


def list_interfaces(*, read: Callable[[str], str] = read_text) -> list[dict[str, object]]:
    """Return the interfaces that are up and have an address that other hosts can use.

    Each has ``name``, ``mtu`` in bytes, ``speed`` in Mbit/s as its driver says it (-1 where it
    does not know) and ``addresses``, as ``10.0.0.2/24``, those of IPv4 first.

    Args:
        read: returns a file's text, or nothing; tests pass recorded files.
    """
    found: list[dict[str, object]] = []
    addresses6 = parse_if_inet6(read("/proc/net/if_inet6"))
    kernel = _Kernel()
    for _, name in sorted(_socket.if_nameindex()):
        flags = kernel.number(_FLAGS, name, size=2)
        if not flags & _UP or flags & _LOOPBACK:
            continue
        addresses = [*kernel.addresses4(name), *addresses6.get(name, [])]
        if addresses:
            speed = read(f"/sys/class/net/{name}/speed")
            found.append(
                {
                    "name": name,
                    "mtu": kernel.number(_MTU, name, size=4),
                    "speed": int(speed) if speed.isdigit() else -1,
                    "addresses": addresses,
                }
            )
    kernel.close()
    return found


def parse_if_inet6(text: str) -> dict[str, list[str]]:
    """Return name -> usable addresses of global scope, from /proc/net/if_inet6."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != _IPV6_FIELDS:
            continue
        digits, _, prefix, scope, flags, name = fields
        if scope == _GLOBAL_SCOPE and not int(flags, 16) & _UNUSABLE:
            address = _socket.inet_ntop(_socket.AF_INET6, bytes.fromhex(digits))
            found.setdefault(name, []).append(f"{address}/{int(prefix, 16)}")
    return found


class _Kernel:
    """Answers questions about interfaces; what it does not know is all zeros."""

    def __init__(self) -> None:
        self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)

    def close(self) -> None:
        self._socket.close()

    def number(self, what: int, name: str, *, size: int) -> int:
        return int.from_bytes(self._ask(what, name)[:size], sys.byteorder)

    def addresses4(self, name: str) -> list[str]:
        address = self._ask(_ADDRESS, name)[_ADDRESS_AT]
        if not any(address):
            return []
        mask = int.from_bytes(self._ask(_NETMASK, name)[_ADDRESS_AT], "big")
        return [f"{_socket.inet_ntop(_socket.AF_INET, address)}/{mask.bit_count()}"]

    def _ask(self, what: int, name: str) -> bytes:
        request = os.fsencode(name).ljust(_REQUEST_BYTES, b"\0")
        try:
            return fcntl.ioctl(self._socket.fileno(), what, request)[_NAME_BYTES:]
        except OSError:
            return bytes(_REQUEST_BYTES - _NAME_BYTES)
