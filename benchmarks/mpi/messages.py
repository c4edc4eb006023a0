"""Measure what messages cost under launch against bare mpirun, in pairs.

    python benchmarks/mpi/messages.py --rounds 10

Latency, bandwidth and allreduce by a program of our own (messages.c) with the method of the OSU
micro-benchmarks: two ranks on one host, two hosts with a rank each, and 8 ranks on each of two
hosts. A ratio above 1 means that ours is slower. Ends with 1 if a median ratio of two ranks is
beyond the bound.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BOUND = 1.05
_WHOLE = 100  # from here on without decimals
ROWS = ("bare", "ours")


def main() -> None:
    """Build the program, run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="pairs of each case")
    parser.add_argument("--open-mpi", default="4.1", choices=("4.1", "5.0"))
    parser.add_argument("--cases", default="", help="a pattern of those that are wanted")
    parser.add_argument("--image", help="an image that has the program, instead of a new one")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    image = arguments.image or build(arguments.open_mpi)
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in run(manifest(image, arguments.rounds, arguments.cases)).splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            samples[found["case"]][found["name"]].append(found["value"])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")
    shown, beyond = table(samples, f"Messages, {image}")
    Console(width=120).print(shown)
    if beyond:
        sys.exit(f"beyond {BOUND}: {', '.join(beyond)}")


def build(open_mpi: str) -> str:
    """Build the image with the program and return its name."""
    argv = (sys.executable, "-m", "mpijob_local", "build", "--quiet", "--open-mpi", open_mpi)
    for what in (("--target", "runtime", "--target", "devel"), (str(HERE),)):
        subprocess.run((*argv, *what), check=True)
    return f"mpijob-example:{HERE.name}-ompi{open_mpi}"


def manifest(image: str, rounds: int, cases: str) -> dict[str, Any]:
    """Return the job; JSON is YAML."""
    inside = (HERE / "messages_inside.py").read_text(encoding="utf-8")
    command = ["/usr/bin/python3", "-c", inside, str(rounds), cases]
    launcher = {"name": "launcher", "image": image, "command": command}
    worker = {"name": "worker", "image": image}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": "bench-messages"},
        "spec": {
            "slotsPerWorker": 8,
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": {"spec": {"containers": [launcher]}}},
                "Worker": {"replicas": 2, "template": {"spec": {"containers": [worker]}}},
            },
        },
    }


def run(job: Mapping[str, Any]) -> str:
    """Run the job and return the launcher's output."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        argv = (sys.executable, "-m", "mpijob_local", "run", file.name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr + done.stdout)
    return re.sub(r"^\S+ +\| ", "", done.stdout, flags=re.MULTILINE)


def table(
    samples: Mapping[str, Mapping[str, Sequence[float]]], title: str
) -> tuple[Table, list[str]]:
    """Return the table of medians and quartiles, and the cases beyond the bound."""
    result = Table("case", *ROWS, "ours to bare, paired", title=title)
    beyond = []
    for case, values in samples.items():
        pairs = zip(values["bare"], values["ours"], strict=True)
        ratios = [a / b if "bandwidth" in case else b / a for a, b in pairs]
        result.add_row(case, *(spread(values[name]) for name in ROWS), spread(ratios))
        if "two ranks" in case and statistics.median(ratios) > BOUND:
            beyond.append(case)
    return result, beyond


def spread(values: Sequence[float]) -> str:
    """Return the median and the quartiles."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    low, median, high = statistics.quantiles(values, n=4)
    digits = 0 if median >= _WHOLE else 2
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
