"""Measure a job's start against bare mpirun, from "the last sshd is up" to the last first line.

    python benchmarks/launch/start.py --workers 8 --rounds 20

Both run on the same containers, interleaved, the launcher waiting already when the last worker's
sshd is started. (a) is bare mpirun after a wait like that of mpi-operator's base image: names are
resolved with growing pauses, then ssh tries to connect once a second. (b) is
``mpijob-runtime launch`` with every check on. Times are read from one clock: the containers share
this machine's kernel.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mpijob_local.machine import podman_for
from mpijob_local.podman import Podman
from mpijob_local.settings import LocalSettings

NAME = "bench-start"
SECONDS = 20
RANK = ("date", "+first-line %s.%N")

# The wait of mpi-operator's base image: each name in turn, ten tries, pauses doubling from 0.1 s.
WAIT_FOR_NAMES = """
cut -d' ' -f1 /etc/mpi/hostfile | while read -r host; do
    pause=0.1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        getent hosts "$host" >/dev/null && break
        sleep $pause; pause=$(awk "BEGIN {print $pause * 2}")
    done
done
"""
BARE = f"""
set -e
{WAIT_FOR_NAMES}
key=/tmp/key.$$
cp "$HOME/.ssh/id_rsa" $key && chmod 600 $key
agent="ssh -F none -p 2222 -i $key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
agent="$agent -o LogLevel=ERROR -o ConnectionAttempts=10"
export MPIJOB_SHIM=off
export OMPI_MCA_plm_rsh_agent="$agent" PRTE_MCA_plm_ssh_agent="$agent"
export OMPI_MCA_orte_default_hostfile=/etc/mpi/hostfile OMPI_MCA_orte_keep_fqdn_hostnames=true
export PRTE_MCA_prte_default_hostfile=/etc/mpi/hostfile
exec mpirun --map-by slot "$@"
"""
LAST = """
import subprocess, time, socket
process = subprocess.Popen(("/usr/sbin/sshd", "-D"))
while True:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 2222)) == 0:
            break
    time.sleep(0.002)
print(repr(time.time()), flush=True)
process.wait()
"""
STOP = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            words = file.read()
    except OSError:
        continue
    if int(pid) != os.getpid() and "sshd" in words and "import" not in words:
        os.kill(int(pid), signal.SIGTERM)
"""


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="pairs of measurements")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--open-mpi", default="4.1", choices=("4.1", "5.0"))
    parser.add_argument("--image", help="an image of your own instead of the runtime image")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    image = arguments.image or f"mpijob-runtime:runtime-ompi{arguments.open_mpi}"
    podman = podman_for(LocalSettings.from_environ(os.environ))[0]
    samples: dict[str, list[float]] = defaultdict(list)
    console = Console(width=100)
    with running(manifest(image, arguments.workers)):
        bench = Bench(podman, arguments.workers, samples)
        for number in track(range(arguments.rounds), "measuring", console=Console(stderr=True)):
            pair = [bench.bare, bench.ours]
            for measure in pair if number % 2 == 0 else reversed(pair):
                measure()
    console.print(table(samples, arguments.workers, image))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")


class Bench:
    """The two ways of starting, on one set of containers."""

    def __init__(self, podman: Podman, workers: int, samples: dict[str, list[float]]) -> None:
        self._podman = podman
        self._samples = samples
        self._workers = workers
        self._launcher = container_of(podman, "launcher")
        self._last = container_of(podman, f"worker-{workers - 1}")

    def bare(self) -> None:
        """Time bare mpirun; 5.0.11 hangs now and then: such a run is told and repeated."""
        words = ("bash", "-c", BARE, "bare", *RANK)
        while (seconds := self._measure(words)) is None:
            self._samples["(a) bare mpirun, runs that hung or failed"].append(SECONDS)
        self._samples["(a) bare mpirun after a wait"].append(seconds)

    def ours(self) -> None:
        """Time ours, and tell its phases."""
        report = "/tmp/report.json"
        words = ("mpijob-runtime", "launch", "--report", report, "--output", "plain", "--", *RANK)
        seconds = self._measure(words)
        if seconds is None:
            self._samples["(b) ours, runs that hung or failed"].append(SECONDS)
            return
        self._samples["(b) ours, every check on"].append(seconds)
        text = self._podman.run("exec", self._launcher, "cat", report).stdout
        phases = json.loads(text)["phases_seconds"]
        start = phases["start"]
        self._samples["(b) of it daemons, wrappers, proof (start)"].append(start)
        self._samples["(b) of it wait, logins, agents, plan (the rest)"].append(seconds - start)

    def _measure(self, words: Sequence[str]) -> float | None:
        """Return the seconds from the last sshd's start to the last rank's first line."""
        with self._start(self._launcher, *words) as waiting:
            time.sleep(1.5)  # it waits for one host now
            with self._start(self._last, "/usr/bin/python3", "-c", LAST) as sshd:
                assert sshd.stdout is not None
                up = float(sshd.stdout.readline())
                try:
                    text = waiting.communicate(timeout=SECONDS)[0]
                except subprocess.TimeoutExpired:
                    waiting.kill()
                    text = ""
                self._podman.run("exec", self._last, "/usr/bin/python3", "-c", STOP)
                sshd.wait()
        lines = [line for line in text.splitlines() if "first-line" in line]
        if len(lines) != self._workers:
            return None
        return max(float(line.split()[-1]) for line in lines) - up

    def _start(self, container: str, *words: str) -> "subprocess.Popen[str]":
        argv = ("podman", "exec", container, *words)
        return subprocess.Popen(
            argv,
            env=self._podman.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def manifest(image: str, workers: int, *, last_waits: bool = True) -> dict[str, Any]:
    """Return the job: launcher and, if asked, last worker wait for our commands; JSON is YAML."""
    sleep = ["sleep", "infinity"]
    last = f"case $(hostname) in *-{workers - 1}) exec sleep infinity;; esac; "
    worker = ["sh", "-c", f"{last if last_waits else ''}exec /usr/sbin/sshd -De"]

    def replica(number: int, name: str, command: list[str]) -> dict[str, Any]:
        container = {"name": name, "image": image, "command": command}
        return {"replicas": number, "template": {"spec": {"containers": [container]}}}

    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": NAME},
        "spec": {
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": replica(1, "launcher", sleep),
                "Worker": replica(workers, "worker", worker),
            },
        },
    }


@contextmanager
def running(job: Mapping[str, Any]) -> Iterator[None]:
    """Run a job by mpijob-local while measuring."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        argv = (sys.executable, "-m", "mpijob_local", "run", file.name)
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "launcher started" in line:
                    break
            else:
                sys.exit("the job did not start")
            time.sleep(3.0)
            try:
                yield
            finally:
                process.terminate()
                process.communicate()


def container_of(podman: Podman, pod: str) -> str:
    """Return the container of a pod of our job."""
    text = podman.run("ps", "--format={{.Names}}", f"--filter=name={NAME}-{pod}").stdout
    names = [name for name in text.split() if name.endswith(pod) or pod == "launcher"]
    if len(names) != 1:
        sys.exit(f"{NAME}-{pod}: found {names}, wanted one container")
    return names[0]


def table(samples: Mapping[str, Sequence[float]], workers: int, image: str) -> Table:
    """Return the table of medians, quartiles and the paired ratio."""
    result = Table("what", "n", "median s", "quartiles s", title=f"Start, {workers} on {image}")
    for name, seconds in sorted(samples.items()):
        if len(seconds) == 1 or "hung" in name:
            result.add_row(name, str(len(seconds)), "", "")
            continue
        low, median, high = statistics.quantiles(seconds, n=4)
        result.add_row(name, str(len(seconds)), f"{median:.2f}", f"{low:.2f} to {high:.2f}")
    bare = samples["(a) bare mpirun after a wait"]
    ours = samples["(b) ours, every check on"]
    if len(bare) == len(ours) > 1:
        ratios = [b / a for a, b in zip(bare, ours, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        result.add_row(
            "ratio, paired", str(len(ratios)), f"{median:.2f}", f"{low:.2f} to {high:.2f}"
        )
    return result


if __name__ == "__main__":
    main()
