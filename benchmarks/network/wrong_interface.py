r"""Measure what the wrong network costs: an allreduce of 25 MB over a slow and a fast one.

    python benchmarks/network/wrong_interface.py --rounds 5
    python benchmarks/network/wrong_interface.py --rates 1gbit 100mbit

One mpijob-local job whose workers have a slow eth0 and a fast net1. Gloo (torch.distributed) and
Open MPI (mpi4py, the ring algorithm) get eth0, net1, nothing at all, or what ``mpijob-runtime
launch`` has put into the ranks' environment. Each measurement is a launch of its own, three
allreduces after one that opens the connections; the choices are interleaved. The bytes that left
by each interface are counted.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from job import Sample, read_program, run_job, spread
from rich.console import Console
from rich.table import Table

from mpijob_bench.guards import PAYLOAD_SHARE
from mpijob_local.rates import parse_rate

NAMES = {"gloo": "Gloo", "mpi": "Open MPI"}
BYTES = 25_000_000


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rates", nargs=2, default=["100mbit", "500mbit"], metavar="RATE")
    parser.add_argument("--image", default="mpijob-runtime:torch-ompi4.1")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    choices = "eth0,net1,nothing set,the runtime's choice"
    inside = (read_program("allreduce_launches.py"), str(arguments.rounds), "gloo,mpi", choices)
    samples = run_job(
        "bench-interface",
        image=arguments.image,
        workers=arguments.workers,
        rates=arguments.rates,
        command=("python", "-c", *inside, read_program("allreduce.py")),
    )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")
    console = Console(width=140)
    console.print(table(samples))
    # A ring moves 2 (n - 1) / n of the data over each link (Patarasuk and Yuan 2009).
    factor = 2 * (arguments.workers - 1) / arguments.workers
    for rate in arguments.rates:
        bits_per_second = parse_rate(rate) or 0
        seconds = factor * BYTES * 8 / (bits_per_second * PAYLOAD_SHARE)
        console.print(f"in theory at {rate}: {seconds:.3f} s")


def table(samples: Sequence[Sample]) -> Table:
    """Return the table: seconds of an allreduce, and how much slower than with net1 set."""
    grouped: dict[tuple[str, str], dict[int, Sample]] = defaultdict(dict)
    for sample in samples:
        grouped[sample["library"], sample["choice"]][sample["round"]] = sample
    result = Table(
        "library", "interface", "in force", "n", "seconds", "over net1, paired", "by net1"
    )
    for (library, choice), of_rounds in sorted(grouped.items()):
        best = grouped[library, "net1"]
        seconds = {number: middle(sample) for number, sample in of_rounds.items()}
        ratios = [seconds[number] / middle(best[number]) for number in seconds]
        sent = [sample["sent_bytes"] for sample in of_rounds.values()]
        share = [100 * of["net1"] / sum(of.values()) for of in sent]
        values = sorted({sample["variable"] or "-" for sample in of_rounds.values()})
        result.add_row(
            NAMES[library],
            choice,
            ", ".join(values),
            str(len(seconds)),
            spread(list(seconds.values()), 2),
            spread(ratios, 2),
            f"{statistics.median(share):.0f} %",
        )
    return result


def middle(sample: Sample) -> float:
    """Return the median of a launch's allreduces."""
    return float(statistics.median(sample["seconds"]))


if __name__ == "__main__":
    main()
