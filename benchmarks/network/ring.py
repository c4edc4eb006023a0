r"""Measure a ring allreduce of 25 MB against what its links allow.

    python benchmarks/network/ring.py
    python benchmarks/network/ring.py --rates 100mbit 1gbit --workers 4 --rounds 10

One mpijob-local job with a shaped network for each rate. In each round Gloo (torch.distributed)
reduces 25 MB over each network, the order turning: a launch of its own, three allreduces after one
that opens the connections, the slowest rank counts. The bound is a ring's 2 (n - 1) / n of the data
on each link (Patarasuk and Yuan 2009), with the share of payload in a frame. All links of a job
share one machine's processors, so beyond some rate it is they that are measured.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from job import Sample, read_program, run_job, spread
from rich.console import Console
from rich.table import Table

from mpijob_bench.guards import PAYLOAD_SHARE
from mpijob_local.rates import format_rate, parse_rate

BYTES = 25_000_000
AIM_PERCENT = 95


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    rates = ["100mbit", "200mbit", "500mbit", "1gbit"]
    parser.add_argument("--rates", nargs="+", default=rates, metavar="RATE")
    parser.add_argument("--image", default="mpijob-runtime:torch-ompi4.1")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    networks = {
        f"net{index}" if index else "eth0": parse_rate(rate) or 0
        for index, rate in enumerate(arguments.rates)
    }
    inside = (read_program("allreduce_launches.py"), str(arguments.rounds), "gloo")
    samples = run_job(
        "bench-ring",
        image=arguments.image,
        workers=arguments.workers,
        rates=arguments.rates,
        command=("python", "-c", *inside, ",".join(networks), read_program("allreduce.py")),
    )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")
    Console(width=140).print(table(samples, networks, arguments.workers))


def bound_seconds(workers: int, bits_per_second: float) -> float:
    """Return the least time of a ring allreduce over links of this rate."""
    sent_bytes = 2 * (workers - 1) / workers * BYTES
    return sent_bytes * 8 / (bits_per_second * PAYLOAD_SHARE)


def table(samples: Sequence[Sample], networks: Mapping[str, int], workers: int) -> Table:
    """Return the table: for each rate the seconds and the share of the bound, all allreduces."""
    title = f"Ring allreduce of 25 MB, {workers} workers; aim: {AIM_PERCENT} %"
    result = Table("link", "bound, s", "n", "seconds", "achieved", title=title)
    for interface, rate in networks.items():
        bound = bound_seconds(workers, rate)
        seconds = [each for it in samples if it["choice"] == interface for each in it["seconds"]]
        share = spread([100 * bound / each for each in seconds], 1)
        row = (f"{bound:.3f}", str(len(seconds)), spread(seconds, 3), f"{share} %")
        result.add_row(format_rate(rate), *row)
    return result


if __name__ == "__main__":
    main()
