"""Measure a start whose workers are all ready against plain mpirun, and who pays for it.

    python benchmarks/launch/ready.py --workers 8 --rounds 10

Both run on the same containers, interleaved. (a) is plain ``mpirun`` over ssh as upstream's images
have it: port 2222, host keys unchecked, no wait. (b) is ``mpijob-runtime launch`` with every check
on. Times go from the command's start to the last rank's first line, by one clock: the containers
share this machine's kernel. Processor time is the containers' own, by cgroup.

On a cluster each host has processors of its own; here all share this machine's. "Hosts apart" is
the time without what all hosts but one took of the processors.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from start import container_of, manifest, running

from mpijob_local.machine import podman_for
from mpijob_local.podman import Podman
from mpijob_local.settings import LocalSettings

PLAIN, OURS, RATIO = "(a) plain mpirun", "(b) launch, every check on", "ratio (b) to (a), paired"
FAILED = ", runs that hung or failed"
CPUACCT, UNIFIED = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")

INSIDE = r"""
import json, os, signal, subprocess, sys, time

workers, limit = int(sys.argv[1]), float(sys.argv[2])
key = f"/tmp/key.{os.getpid()}"
with open(os.path.expanduser("~/.ssh/id_rsa")) as file:
    text = file.read()
with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
    file.write(text)
agent = f"ssh -F none -p 2222 -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
agent += " -o LogLevel=ERROR -o ConnectionAttempts=10"
plain = {
    "OMPI_MCA_plm_rsh_agent": agent,
    "PRTE_MCA_plm_ssh_agent": agent,
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "PRTE_MCA_prte_default_hostfile": "/etc/mpi/hostfile",
}
rank = ("date", "+first-line %s.%N")
ours = ("mpijob-runtime", "launch", "--report", "/tmp/report.json", "--output", "plain", "--")
real = "/usr/lib/mpijob/openmpi/bin/mpirun"  # by its name: a path would be its prefix on all hosts
commands = {
    "plain": (("mpirun", "--map-by", "slot", *rank), real, plain),
    "ours": ((*ours, *rank), None, {}),
}
for line in sys.stdin:
    argv, executable, more = commands[line.strip()]
    began = time.time()
    process = subprocess.Popen(
        argv,
        executable=executable,
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        text, complaint = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, complaint = process.communicate()
    ended = time.time()
    lines = [float(line.split()[-1]) for line in text.splitlines() if "first-line" in line]
    whole = len(lines) == workers and process.returncode == 0
    answer = {"seconds": max(lines) - began if whole else None, "whole": ended - began}
    answer["complaint"] = "" if whole else complaint[-2000:]
    print(json.dumps(answer), flush=True)
"""


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="pairs of measurements")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--open-mpi", default="4.1", choices=("4.1", "5.0"))
    parser.add_argument("--image", help="an image of your own instead of the runtime image")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one start")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    image = arguments.image or f"mpijob-runtime:runtime-ompi{arguments.open_mpi}"
    podman = podman_for(LocalSettings.from_environ(os.environ))[0]
    samples: dict[str, list[float]] = defaultdict(list)
    with (
        running(manifest(image, arguments.workers, last_waits=False)),
        Bench.of(podman, arguments.workers, arguments.limit, samples) as bench,
    ):
        for number in track(range(arguments.rounds), console=Console(stderr=True)):
            bench.measure(("plain", "ours") if number % 2 == 0 else ("ours", "plain"))
    Console(width=100).print(table(samples, f"{arguments.workers} ready workers on {image}"))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")


class Bench:
    """The two ways of starting, on one set of containers."""

    def __init__(
        self,
        inside: "subprocess.Popen[str]",
        launcher: Path,
        hosts: Sequence[Path],
        samples: dict[str, list[float]],
    ) -> None:
        self._inside = inside
        self._launcher = launcher
        self._hosts = hosts
        self._samples = samples

    @classmethod
    @contextmanager
    def of(
        cls, podman: Podman, workers: int, limit: float, samples: dict[str, list[float]]
    ) -> Iterator["Bench"]:
        """Stand beside a running job."""
        launcher = container_of(podman, "launcher")
        hosts = [container_of(podman, f"worker-{number}") for number in range(workers)]
        files = [usage_file(podman, container) for container in (launcher, *hosts)]
        words = ("python3", "-c", INSIDE, str(workers), str(limit))
        argv = ("podman", "exec", "--interactive", launcher, *words)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(argv, env=podman.environ, text=True, **pipes) as inside:
            yield cls(inside, files[0], files[1:], samples)
            assert inside.stdin is not None
            inside.stdin.close()

    def measure(self, names: Sequence[str]) -> None:
        """Time each way once; 5.0.11 hangs now and then: such a run is told and repeated."""
        for name in names:
            title = PLAIN if name == "plain" else OURS
            while not self._measure(name, title):
                self._samples[title + FAILED].append(0.0)

    def _measure(self, name: str, title: str) -> bool:
        assert self._inside.stdin is not None
        assert self._inside.stdout is not None
        before = self._used()
        self._inside.stdin.write(f"{name}\n")
        self._inside.stdin.flush()
        answer = json.loads(self._inside.stdout.readline())
        time.sleep(0.5)  # what a start leaves to end on its own is its cost, too
        here, there = (after - b for after, b in zip(self._used(), before, strict=True))
        if answer["seconds"] is None:
            Console(stderr=True).print(f"{title}: failed\n{answer['complaint']}", markup=False)
            return False
        hosts = len(self._hosts)
        apart = answer["seconds"] - there * (hosts - 1) / hosts / (os.cpu_count() or 1)
        self._samples[title].append(answer["seconds"])
        self._samples[f"{title}: hosts apart"].append(apart)
        self._samples[f"{title}: to its end"].append(answer["whole"])
        self._samples[f"{title}: launcher's CPU"].append(here)
        self._samples[f"{title}: hosts' CPU"].append(there)
        return True

    def _used(self) -> tuple[float, float]:
        return cpu_seconds([self._launcher]), cpu_seconds(self._hosts)


def usage_file(podman: Podman, container: str) -> Path:
    """Return where the kernel tells a container's processor time, in cgroup v1 or v2."""
    text = podman.run("inspect", "--format={{.State.CgroupPath}}", container).stdout.strip()
    first = CPUACCT / text.lstrip("/") / "cpuacct.usage"
    return first if first.exists() else UNIFIED / text.lstrip("/") / "cpu.stat"


def cpu_seconds(files: Sequence[Path]) -> float:
    """Return the processor time that containers have used so far."""
    words = [file.read_text(encoding="ascii").split() for file in files]
    return sum(int(w[0]) / 1e9 if len(w) == 1 else int(w[1]) / 1e6 for w in words)


def table(samples: Mapping[str, Sequence[float]], title: str) -> Table:
    """Return the table of medians, quartiles and paired ratios."""
    rows = {name: values for name, values in sorted(samples.items()) if FAILED not in name}
    for tail in ("", ": hosts apart", ": to its end"):
        pairs = zip(samples[PLAIN + tail], samples[OURS + tail], strict=True)
        rows[RATIO + tail] = [ours / plain for plain, ours in pairs]
    result = Table("what", "n", "median", "quartiles", title=f"Start in seconds, {title}")
    for name, values in rows.items():
        low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else 3 * values
        result.add_row(name, str(len(values)), f"{median:.2f}", f"{low:.2f} to {high:.2f}")
    for name, values in samples.items():
        if FAILED in name:
            result.add_row(name, str(len(values)), "", "")
    return result


if __name__ == "__main__":
    main()
