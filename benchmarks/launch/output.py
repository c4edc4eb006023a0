r"""Measure the ranks' output: eight ranks that write 100-byte lines as fast as they can.

    python benchmarks/launch/output.py --rounds 5
    python benchmarks/launch/output.py --rounds 1 --megabytes 150 --variants prefix

Two workers of four ranks each, through real sshd. MB/s at the launcher's stdout, from the first
byte to the last; memory and CPU of the launcher and of each worker's processes; and each line is
checked: whole, from the right rank, none lost. "bare" is mpirun with the same hosts and nothing of
ours between; "slow reader" takes 1 MiB/s for the first ten seconds. One ssh connection carries half
of what is written: with --megabytes 150 its keys are renewed (paramiko does so every 512 MiB).
"""

import argparse
import json
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

INSIDE = Path(__file__).with_name("output_inside.py")
VARIANTS = (
    "prefix",
    "plain",
    "json",
    "prefix + log-dir",
    "prefix + slow reader",
    "mpirun",
    "bare",
    "bare, tagged",
)
RANKS, LINE_BYTES = 8, 100
Sample = Mapping[str, Any]


def main() -> None:
    """Run the job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=25, help="that each rank writes")
    parser.add_argument("--lines-at-once", type=int, default=100, help="by one write")
    parser.add_argument("--open-mpi", default="4.1", choices=("4.1", "5.0"))
    parser.add_argument("--image", help="an image of your own instead of the runtime image")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--json", metavar="FILE", help="write all samples")
    arguments = parser.parse_args()
    image = arguments.image or f"mpijob-runtime:runtime-ompi{arguments.open_mpi}"
    at_once = arguments.lines_at_once
    lines = arguments.megabytes * 1_000_000 // LINE_BYTES // at_once * at_once
    told = {
        "variants": arguments.variants,
        "rounds": arguments.rounds,
        "lines": lines,
        "at_once": at_once,
    }
    samples = run(manifest(image, json.dumps(told)))
    total = RANKS * lines * LINE_BYTES // 1_000_000
    title = f"{total} MB of ranks' output, {at_once} lines a write, {image}"
    Console(width=160).print(table(samples, title))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(samples, indent=1), encoding="utf-8")


def manifest(image: str, told: str) -> dict[str, Any]:
    """Return the job; JSON is YAML."""
    command = ["/usr/bin/python3", "-c", INSIDE.read_text(encoding="utf-8"), told]
    launcher = {"name": "launcher", "image": image, "command": command}
    worker = {"name": "worker", "image": image}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": "bench-output"},
        "spec": {
            "slotsPerWorker": 4,
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": {"spec": {"containers": [launcher]}}},
                "Worker": {"replicas": 2, "template": {"spec": {"containers": [worker]}}},
            },
        },
    }


def run(job: Mapping[str, Any]) -> list[Sample]:
    """Run the job and return the samples, shown as they come."""
    samples = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(job, file)
        file.flush()
        argv = (sys.executable, "-m", "mpijob_local", "run", file.name)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                text = line.partition("| ")[2]
                if text.startswith('{"variant"'):
                    sys.stderr.write(text)
                    samples.append(json.loads(text))
    if process.returncode:
        sys.exit(f"the job ended with {process.returncode}")
    return samples


def table(samples: Sequence[Sample], title: str) -> Table:
    """Return the table: medians, with quartiles for the rate."""
    grouped: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        grouped[sample["variant"]].append(sample)
    result = Table("output", "n", "MB/s", "launcher: CPU s", "RSS MB", title=title)
    for name in ("agent: CPU s", "RSS MB", "sshd: CPU s", "broken", "lost", "wrong order"):
        result.add_column(name)
    for variant, found in grouped.items():
        host = "mpijob-agent" if "bare" not in variant else "orted"
        if "bare" in variant and not any("orted_rss_mb" in sample for sample in found):
            host = "prted"
        wrong = [sum(s[k] for s in found) for k in ("broken", "lost", "disordered")]
        files = all(sample.get("log files", True) for sample in found)
        result.add_row(
            variant,
            str(len(found)),
            spread([sample["mb_per_second"] for sample in found]),
            f"{middle(found, 'launcher_cpu_seconds'):.1f}",
            f"{middle(found, 'launcher_rss_mb'):.0f}",
            f"{middle(found, f'{host}_cpu_seconds'):.1f}",
            f"{middle(found, f'{host}_rss_mb'):.0f}",
            f"{middle(found, 'sshd_cpu_seconds'):.1f}",
            *map(str, wrong if files else (*wrong, "files wrong")),
        )
    return result


def middle(samples: Sequence[Sample], key: str) -> float:
    """Return the median of what a sample says, 0 where it says nothing."""
    return statistics.median(sample.get(key, 0.0) for sample in samples)


def spread(values: Sequence[float]) -> str:
    """Return the median and the quartiles."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
