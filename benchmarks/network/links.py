r"""Measure how well the links of mpijob-local keep the rate that they are shaped to.

    python benchmarks/network/links.py
    python benchmarks/network/links.py --rates 1gbit 2gbit --workers 4

Plain TCP between the workers of one job on one network for each rate: from one worker to another,
both ways at once, and around a ring of all workers, which is what a ring allreduce does. The rate
is counted where it arrives, the beginning of each transfer left out, and compared with what the
frames leave of the nominal rate.
"""

import argparse
from collections import defaultdict

from job import read_program, run_job, spread
from rich.console import Console
from rich.table import Table

from mpijob_bench.guards import PAYLOAD_SHARE
from mpijob_local.rates import format_rate, parse_rate


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each transfer")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rates", nargs="+", default=["100mbit", "500mbit"], metavar="RATE")
    parser.add_argument("--image", default="mpijob-runtime:torch-ompi4.1")
    arguments = parser.parse_args()
    program = read_program("links_inside.py")
    inner = ("python", "-c", program, str(arguments.rounds), str(arguments.seconds))
    samples = run_job(
        "bench-links",
        image=arguments.image,
        workers=arguments.workers,
        rates=arguments.rates,
        command=("mpijob-runtime", "launch", "--", *inner),
    )
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in samples:
        found[sample["interface"], sample["pattern"]].append(sample["mbit_per_second"])
    nominal = {
        f"net{index}" if index else "eth0": parse_rate(rate) or 0
        for index, rate in enumerate(arguments.rates)
    }
    table = Table("rate", "flows", "n", "payload Mbit/s", "of what frames leave", title="Links")
    for (interface, pattern), values in found.items():
        theory = nominal[interface] * PAYLOAD_SHARE / 1e6
        share = spread([100 * value / theory for value in values], 1)
        row = (str(len(values)), spread(values, 1), f"{share} %")
        table.add_row(format_rate(nominal[interface]), pattern, *row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
