r"""Compare token buckets for shaped links: how well they keep a rate, and what they cost.

    sudo python benchmarks/network/buckets.py
    sudo python benchmarks/network/buckets.py --rates 1gbit --buckets 65536:65536:16384

A bucket is SEND:RECEIVE:SEGMENT in bytes: the token buckets at both ends of a link, and the largest
piece that the kernel hands to it at a time (gso_max_size). Hosts are network namespaces on a
bridge, shaped by the code of mpijob-local; all of it goes away with this program.

In each round each bucket has its turn, in a turning order, at each rate: a stream around a ring of
all hosts, and a message after a pause, in which the bucket has filled. 100 % is what frames leave
of the rate; more is a burst that passed unshaped. CPU is the hosts' processes and the machine's
network interrupts (softirq), which other work on the machine may have a part in.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from job import spread
from rich.console import Console
from rich.table import Table

from mpijob_bench.guards import PAYLOAD_SHARE
from mpijob_local.links import (
    Bucket,
    choose_congestion_control,
    read_allowed_congestion_controls,
    run_command,
    shape_link,
)
from mpijob_local.rates import format_rate, parse_rate

INSIDE = Path(__file__).with_name("buckets_inside.py")
IN_OWN_NETWORK = "--in-own-network"
TICKS = os.sysconf("SC_CLK_TCK")
Host = subprocess.Popen[str]


@dataclass(frozen=True)
class Setting:
    """What is compared: token buckets, and the largest segment in bytes."""

    bucket: Bucket
    segment_bytes: int

    @property
    def sizes(self) -> tuple[str, str, str]:
        """All three, for people."""
        sizes = (self.bucket.send_bytes, self.bucket.receive_bytes, self.segment_bytes)
        return tuple(map(str, sizes))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each stream")
    parser.add_argument("--message", type=int, default=4_000_000, metavar="BYTES")
    parser.add_argument("--rates", nargs="+", default=["100mbit", "250mbit", "500mbit", "1gbit"])
    parser.add_argument(
        "--buckets",
        nargs="+",
        default=["262144:262144:65536", "131072:262144:65536", "65536:65536:16384"],
    )
    parser.add_argument(IN_OWN_NETWORK, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.in_own_network:
        os.execvp("unshare", ("unshare", "--net", sys.executable, *sys.argv, IN_OWN_NETWORK))
    rates = [parse_rate(rate) or 0 for rate in arguments.rates]
    settings = list(map(parse_setting, arguments.buckets))
    samples: dict[tuple[int, Setting], list[dict[str, float]]] = defaultdict(list)
    with ExitStack() as stack:
        run_command(("ip", "link", "add", "switch", "up", "type", "bridge"))
        hosts = [stack.enter_context(host(index)) for index in range(arguments.hosts)]
        for number, rate in product(range(arguments.rounds), rates):
            turn = number % len(settings)
            for setting in (*settings[turn:], *settings[:turn]):
                samples[rate, setting].append(
                    measure(hosts, rate, setting, arguments.seconds, arguments.message)
                )
                print(number, rate, setting, samples[rate, setting][-1], file=sys.stderr)
    Console(width=140).print(table(samples, arguments.message))


def parse_setting(text: str) -> Setting:
    """Return what ``SEND:RECEIVE:SEGMENT`` means."""
    send, receive, segment = map(int, text.split(":"))
    return Setting(Bucket(send, receive), segment)


@contextmanager
def host(index: int) -> Iterator[Host]:
    """Start a host on the bridge; it ends with the block."""
    control = choose_congestion_control(read_allowed_congestion_controls())
    argv = ("unshare", "--net", sys.executable, str(INSIDE), control)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is in its namespace
        inside = ("nsenter", f"--net=/proc/{process.pid}/ns/net", "ip")
        port = f"port{index}"
        for argv in (
            ("ip", "link", "add", port, "type", "veth", "peer", "eth0", "netns", str(process.pid)),
            ("ip", "link", "set", port, "master", "switch", "up"),
            (*inside, "address", "add", f"{address(index)}/24", "dev", "eth0"),
            (*inside, "link", "set", "eth0", "up"),
        ):
            run_command(argv)
        try:
            yield process
        finally:
            process.terminate()


def address(index: int) -> str:
    """Return a host's address, in a range that is for benchmarks (RFC 2544)."""
    return f"198.18.0.{index + 1}"


def measure(
    hosts: Sequence[Host], rate: int, setting: Setting, seconds: float, message: int
) -> dict[str, float]:
    """Shape all links and return the shares of the rate that were had, and the CPU a gigabyte."""
    for process in hosts:
        namespace = f"/proc/{process.pid}/ns/net"
        segment = ("gso_max_size", str(setting.segment_bytes))
        run_command(("nsenter", f"--net={namespace}", "ip", "link", "set", "eth0", *segment))
        shape_link(namespace, "eth0", rate, bucket=setting.bucket)
    before = softirq_seconds()
    stream = ring(hosts, seconds=seconds)
    cpu = sum(it["cpu_seconds"] for it in stream) + softirq_seconds() - before
    once = ring(hosts, message=message)
    theory = rate * PAYLOAD_SHARE / 8
    return {
        "stream": sum(it["bytes_per_second"] for it in stream) / len(hosts) / theory,
        "slowest": min(it["bytes_per_second"] for it in stream) / theory,
        "message": message / max(it["seconds"] for it in once) / theory,
        "cpu": cpu / sum(it["bytes"] for it in stream) * 1e9,
    }


def ring(hosts: Sequence[Host], **order: float) -> list[dict[str, Any]]:
    """Have each host send to the next one, all at once, and return what each has received."""
    for index, process in enumerate(hosts):
        assert process.stdin is not None
        to = address((index + 1) % len(hosts))
        process.stdin.write(json.dumps({"to": to, **order}) + "\n")
        process.stdin.flush()
    return [json.loads(process.stdout.readline()) for process in hosts if process.stdout]


def softirq_seconds() -> float:
    """Return the time that the machine has spent in softirq (proc_stat(5))."""
    return int(Path("/proc/stat").read_text(encoding="ascii").split()[7]) / TICKS


def table(samples: dict[tuple[int, Setting], list[dict[str, float]]], message: int) -> Table:
    """Return the table: median and quartiles of each rate and bucket."""
    heads = ("n", "stream", "slowest host", f"{message / 1e6:g} MB after a pause", "CPU s a GB")
    result = Table(
        "rate", "send", "receive", "segment", *heads, title="Token buckets, % of what frames leave"
    )
    for (rate, setting), found in samples.items():
        shares = [
            spread([100 * it[name] for it in found], 1) for name in ("stream", "slowest", "message")
        ]
        cpu = spread([it["cpu"] for it in found], 2)
        result.add_row(format_rate(rate), *setting.sizes, str(len(found)), *shares, cpu)
    return result


if __name__ == "__main__":
    main()
