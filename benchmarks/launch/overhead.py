"""Measure image sizes, start-up and our own overhead: ``make bench``.

One job of eight workers; its launcher times ``mpijob-runtime launch -- true`` against bare
mpirun with the same hosts and ssh settings, interleaved (see inside.py).
"""

import argparse
import json
import os
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

from mpijob_local.machine import podman_for
from mpijob_local.settings import LocalSettings

INSIDE = Path(__file__).with_name("inside.py")
_STEP = re.compile(r"\[ *(?P<seconds>[\d.]+) s\] (?P<what>network|workers started)")


def main() -> None:
    """Run the job and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="pairs of measurements")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--open-mpi", default="4.1", choices=("4.1", "5.0"))
    arguments = parser.parse_args()
    console = Console(width=100)
    console.print(sizes())
    image = f"mpijob-runtime:runtime-ompi{arguments.open_mpi}"
    console.print(f"{arguments.rounds} rounds on {arguments.workers} workers, {image} …")
    stdout, stderr = run(manifest(image, arguments.workers, arguments.rounds))
    samples: dict[str, list[float]] = defaultdict(list)
    for line in stdout.splitlines():
        measured = json.loads(line)
        samples[measured["name"]].append(measured["seconds"])
    samples["launch over bare mpirun, paired"] = [
        ours - bare
        for ours, bare in zip(samples["mpijob-runtime launch"], samples["bare mpirun"], strict=True)
    ]
    console.print(times(samples))
    steps = {m["what"]: float(m["seconds"]) for m in _STEP.finditer(stderr)}
    started = steps["workers started"] - steps["network"]
    console.print(f"{arguments.workers} workers, from network to running: {started:.1f} s (once)")


def manifest(image: str, workers: int, rounds: int) -> dict[str, Any]:
    """Return the job; JSON is YAML."""
    command = ["/usr/bin/python3", "-c", INSIDE.read_text(encoding="utf-8"), str(rounds)]
    launcher = {"name": "launcher", "image": image, "command": command}
    worker = {"name": "worker", "image": image}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": "bench"},
        "spec": {
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": {"spec": {"containers": [launcher]}}},
                "Worker": {"replicas": workers, "template": {"spec": {"containers": [worker]}}},
            },
        },
    }


def run(job: Mapping[str, Any]) -> tuple[str, str]:
    """Run the job and return the launcher's output and what mpijob-local said."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        argv = (sys.executable, "-m", "mpijob_local", "run", file.name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    prefix = re.compile(r"^\S+ +\| ", re.MULTILINE)
    return prefix.sub("", done.stdout), done.stderr


def sizes() -> Table:
    """Return the table of image sizes."""
    podman = podman_for(LocalSettings.from_environ(os.environ))[0]
    table = Table("image", "MB", title="Image sizes")
    text = podman.run("images", "--format={{.Repository}}:{{.Tag}} {{.Size}}").stdout
    for line in sorted(text.splitlines()):
        name, _, size = line.partition(" ")
        if "/mpijob-runtime:" in name and ":test-" not in name:
            table.add_row(name.rpartition("/")[2], size)
    return table


def times(samples: Mapping[str, Sequence[float]]) -> Table:
    """Return the table of medians and quartiles."""
    table = Table("what", "n", "median ms", "quartiles ms", title="Times")
    for name, seconds in samples.items():
        if len(seconds) == 1:
            table.add_row(name, "1", f"{1000 * seconds[0]:.0f}", "")
            continue
        low, median, high = (1000 * q for q in statistics.quantiles(seconds, n=4))
        table.add_row(name, str(len(seconds)), f"{median:.0f}", f"{low:.0f} to {high:.0f}")
    return table


if __name__ == "__main__":
    main()
