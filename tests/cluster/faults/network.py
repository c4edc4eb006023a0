"""Faults of the network: links, cut pairs, names.

Rules lie in the pods' own network name spaces and go away with them.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from faults.live import LiveJob, LivePod, TrialError
from faults.model import Aim
from mpijob_local.network import network_name

FLAP_SECONDS = 3
LATE_NAME_SECONDS = 4
_NET = ("--net",)
_NAMES = Path("/run/containers/networks/aardvark-dns")


def link_down(job: LiveJob, aim: Aim) -> None:
    """Take a worker's only link down."""
    _link(job.workers[aim.index], "down")


def link_flaps(job: LiveJob, aim: Aim) -> None:
    """Take a worker's link down for three seconds."""
    link_down(job, aim)
    time.sleep(FLAP_SECONDS)
    _link(job.workers[aim.index], "up")


def two_links_down(job: LiveJob, aim: Aim) -> None:
    """Take the links of two workers down."""
    link_down(job, aim)
    _link(job.workers[aim.other(len(job.workers))], "down")


def cut_pair(job: LiveJob, aim: Aim) -> None:
    """Drop all packets between two workers; both still reach everybody else."""
    pair = [job.workers[aim.index], job.workers[aim.other(len(job.workers))]]
    for pod, peer in (pair, reversed(pair)):
        _drop_from(pod, peer.address)


def name_missing(job: LiveJob, aim: Aim) -> None:
    """Take a worker's names out of the name service."""
    _take_out_name(job, aim)


def name_late(job: LiveJob, aim: Aim) -> Callable[[], None]:
    """Take a worker's names out and put them back later."""
    file, text = _take_out_name(job, aim)

    def put_back() -> None:
        time.sleep(LATE_NAME_SECONDS)
        _write_names(file, text)

    return put_back


def _link(pod: LivePod, state: str) -> None:
    pod.run_in(_NET, "ip", "link", "set", "eth0", state)


def _drop_from(pod: LivePod, address: str) -> None:
    chain = "{ type filter hook input priority 0; }"
    pod.run_in(_NET, "nft", "add", "table", "ip", "faults")
    pod.run_in(_NET, "nft", "add", "chain", "ip", "faults", "in", chain)
    pod.run_in(_NET, "nft", "add", "rule", "ip", "faults", "in", "ip", "saddr", address, "drop")


def _take_out_name(job: LiveJob, aim: Aim) -> tuple[Path, str]:
    """Remove a worker's line from the network's table of names; return the table as it was."""
    file = _NAMES / network_name("default", job.name)
    address = job.workers[aim.index].address
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if address not in line.split()]
    if len(lines) == len(text.splitlines()):
        message = f"no name of {address} to take out"
        raise TrialError(message)
    _write_names(file, "".join(lines))
    return file, text


def _write_names(file: Path, text: str) -> None:
    """Write the table and let the name service, which is one for all networks, read it again."""
    file.write_text(text, encoding="utf-8")
    os.kill(int((_NAMES / "aardvark.pid").read_text(encoding="ascii")), signal.SIGHUP)
