"""Measure how long readiness takes, and what it costs the launcher, up to 1,000 hosts.

One container with real sshd on addresses of its loopback network (see logins.py); the servers share
the machine's cores with the launcher, whose time is given apart; so is that of everything else on
the machine, which ought to be idle.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "wall": "wall s",
    "launcher": "launcher's CPU s",
    "server": "servers' CPU s",
    "others": "others' CPU s",
    "memory": "launcher's peak MB",
    "threads": "threads",
    "idle": "afterwards, CPU s/s",
}


def main() -> None:
    """Measure in a container and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[8, 64, 256, 1000])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each number of hosts")
    parser.add_argument("--late-rounds", type=int, default=20, help="runs with a late eighth host")
    parser.add_argument("--image", default="mpijob-runtime:test-ompi4.1")
    arguments = parser.parse_args()
    waits: dict[int, list[Mapping[str, float]]] = defaultdict(list)
    single: dict[str, list[float]] = defaultdict(list)
    for measured in run(arguments):
        if "hosts" in measured:
            waits[int(measured["hosts"])].append(measured)
        for name in measured.keys() & {"seen", "key"}:
            single[name].append(measured[name])
    console = Console(width=140)
    console.print(costs(waits))
    for name, what in (("seen", "8 hosts, the last late: seen after"), ("key", "host key made in")):
        if seconds := single[name]:
            words = f"{spread(seconds)} s, at most {max(seconds):.3g} s, n = {len(seconds)}"
            console.print(f"{what} {words}")


def run(arguments: argparse.Namespace) -> Sequence[Mapping[str, float]]:
    """Run logins.py in the image, with this tree's package, and return what it measured."""
    container = (
        *("--rm", "--network=none", "--user=1000", "--pids-limit=-1"),
        *(f"--volume={ROOT}:/src:ro", "--env=PYTHONPATH=/src", "--env=PYTHONDONTWRITEBYTECODE=1"),
    )
    rounds = (f"--rounds={arguments.rounds}", f"--late-rounds={arguments.late_rounds}")
    program = ("python", "/src/benchmarks/launch/logins.py", *rounds)
    sizes = ("--hosts", *map(str, arguments.hosts))
    podman = (sys.executable, "-m", "mpijob_local", "podman", "run")
    answer = subprocess.run(
        (*podman, *container, arguments.image, *program, *sizes),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


def costs(waits: Mapping[int, Sequence[Mapping[str, float]]]) -> Table:
    """Return the table of what readiness takes."""
    table = Table("hosts", "n", *COLUMNS.values(), title="Readiness: median (quartiles)")
    for hosts, runs in waits.items():
        cells = (spread([measured[name] for measured in runs]) for name in COLUMNS)
        table.add_row(str(hosts), str(len(runs)), *cells)
    return table


def spread(values: Sequence[float]) -> str:
    """Return median and quartiles in words."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    main()
