"""Rate-shaped links: a token bucket on both ends of a pod's virtual cable.

The end in the pod limits what the pod sends, the end on the bridge what it receives, as a port
of a switch does. A qdisc goes away with its interface, so nothing has to be undone.

Layer: effects by tc, ip and nsenter; knows nothing of pods.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpijob_local.rates import format_rate
from mpijob_runtime.errors import ConfigurationError

Runner = Callable[[tuple[str, ...]], str]
"""Runs one command and returns its stdout; tests pass a fake."""

# How long a packet may wait before it is dropped: a switch port's buffer, in time.
_LATENCY = "50ms"
# linux/capability.h: for the qdisc, and for entering a pod's network namespace
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_UNSHAPED = "give --rate unlimited for each network"
_CONGESTION_CONTROLS = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The sizes of the token buckets at both ends of a link.

    Attributes:
        send_bytes: of the one at the pod's end; so much passes at full speed after a pause.
        receive_bytes: of the one at the other end.
    """

    send_bytes: int
    receive_bytes: int


BUCKET = Bucket(send_bytes=128 * 1024, receive_bytes=256 * 1024)
"""Two segments of 64 KiB (segmentation offload), and for what a late timer of a busy machine leaves
unused more where it costs no exactness. Smaller segments, which smaller buckets would need, take
two to three times the processor time and lose the rate from 500 Mbit/s on (docs/performance.md).
"""


def check_can_shape(*, rootless: bool, effective_capabilities: int) -> None:
    """Refuse where links cannot be shaped, before anything of a job exists.

    Args:
        rootless: podman runs without root.
        effective_capabilities: the bits of ``CapEff``.

    Raises:
        ConfigurationError: with what is missing.
    """
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective_capabilities >> bit & 1]
    if rootless or lacking:
        why = "podman is rootless" if rootless else f"this process lacks {' and '.join(lacking)}"
        message = f"links cannot be shaped to a rate: {why}"
        raise ConfigurationError(message, remedy=f"run as root, or {_UNSHAPED}")
    for program, package in (("tc", "iproute2"), ("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            message = f"links cannot be shaped to a rate: {program} is not installed"
            raise ConfigurationError(message, remedy=f"apt-get install {package}")


def choose_congestion_control(allowed: str) -> str:
    """Return the congestion control for shaped links: Linux's usual cubic, else reno.

    BBR, which some machines have as their default, keeps a shaped link less evenly
    (docs/performance.md). A pod may only have what the machine allows, and reno always is.

    Args:
        allowed: what ``tcp_allowed_congestion_control`` says.
    """
    return "cubic" if "cubic" in allowed.split() else "reno"


def read_allowed_congestion_controls() -> str:
    """Return the congestion controls that processes without privileges may choose."""
    return _CONGESTION_CONTROLS.read_text(encoding="ascii")


def run_command(argv: tuple[str, ...]) -> str:
    """Run a command of iproute2 and return what it printed.

    Raises:
        ConfigurationError: it failed; with its own words.
    """
    done = subprocess.run(  # noqa: S603 argv is a tuple of ours
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        found = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        message = f"links cannot be shaped to a rate: {' '.join(argv)}: {found}"
        raise ConfigurationError(message, remedy=f"modprobe sch_tbf, or {_UNSHAPED}")
    return done.stdout


def shape_link(
    namespace: str,
    interface: str,
    bits_per_second: int,
    *,
    bucket: Bucket = BUCKET,
    run: Runner = run_command,
) -> None:
    """Limit what an interface of a pod sends and receives, and read back that it is so.

    Args:
        namespace: path of the pod's network namespace.
        interface: its name in there.
        bits_per_second: of whole Ethernet frames without preamble, as tc counts them.
        bucket: sizes of the token buckets.
        run: runs a command.

    Raises:
        ConfigurationError: the kernel or tc refuses, or something else is in force.
    """
    inside = ("nsenter", f"--net={namespace}", "--")
    for prefix, name, burst in (
        (inside, interface, bucket.send_bytes),
        ((), _peer(inside, interface, run), bucket.receive_bytes),
    ):
        tc = (*prefix, "tc")
        sizes = (f"{bits_per_second}bit", "burst", str(burst), "latency", _LATENCY)
        run((*tc, "qdisc", "replace", "dev", name, "root", "tbf", "rate", *sizes))
        _verify(_json((*tc, "-json", "qdisc", "show", "dev", name), run), name, bits_per_second)


def _peer(inside: tuple[str, ...], interface: str, run: Runner) -> str:
    """Return the name of the other end of the cable, on this machine."""
    (own,) = _json((*inside, "ip", "-json", "link", "show", "dev", interface), run)
    links = _json(("ip", "-json", "link", "show"), run)
    names = [link["ifname"] for link in links if link["ifindex"] == own.get("link_index")]
    if len(names) != 1:
        message = f"links cannot be shaped to a rate: no other end of {interface} on this machine"
        raise ConfigurationError(message, remedy=_UNSHAPED)
    return str(names[0])


def _verify(qdiscs: list[dict[str, Any]], name: str, bits_per_second: int) -> None:
    """Compare what is in force with what was asked for; tc's JSON has bytes a second."""
    rates = [it["options"]["rate"] for it in qdiscs if it["kind"] == "tbf" and it.get("root")]
    if rates != [bits_per_second // 8]:
        found = ", ".join(format_rate(8 * rate) for rate in rates) or "no token bucket"
        message = f"{name} is not shaped: found {found}, wanted {format_rate(bits_per_second)}"
        raise ConfigurationError(message, remedy=f"give another --rate, or {_UNSHAPED}")


def _json(argv: tuple[str, ...], run: Runner) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(argv) or "[]")
    return found
