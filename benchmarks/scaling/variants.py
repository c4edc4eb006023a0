r"""Compare options of DDP and Horovod with the library's defaults, paired within each round.

    python benchmarks/scaling/variants.py --out .build/variants
    python benchmarks/scaling/variants.py --out .build/variants --seed 2 --networks 25gbit --show

A cell is a profile, a network, a framework and a seed: eight emulated nodes, and in each round a
block of steps for every option and one without communication, with DDP in one launch, with Horovod
in a launch each. A difference is that of efficiencies, in points, against the default of the same
round; the bound is Student's one-sided 95 % over rounds. An option is no worse if it is above
-1 point in every cell, and better if it is above 0. Rounds in which a virtual machine's processors
were given to others (guard G4) are left out, whatever they say. Goes on where it has stopped.
"""

import argparse
import itertools
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mpijob_bench.emulation import find_mpijob_local, run_to_its_end, scale
from mpijob_bench.guards import MOST_STOLEN
from mpijob_bench.manifest import CLAIM, RESULTS, emulated_job
from mpijob_local.rates import parse_rate

NODES = 8
DEFAULT, LOCAL = "default", "local"
OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ddp": {
        DEFAULT: {},
        "buckets of 10 MiB": {"bucket_mb": 10},
        "buckets of 50 MiB": {"bucket_mb": 50},
        "buckets of 100 MiB": {"bucket_mb": 100},
        "gradient_as_bucket_view": {"gradient_as_bucket_view": True},
        "fp16": {"compression": "fp16"},
    },
    "horovod": {
        DEFAULT: {},
        "fusion of 32 MiB": {"fusion_mb": 32},
        "fusion of 64 MiB": {"fusion_mb": 64},
        "cycle of 5 ms": {"cycle_ms": 5},
        "fp16": {"compression": "fp16"},
    },
}
IMAGES = {"ddp": "mpijob-runtime:torch-ompi4.1", "horovod": "mpijob-runtime:horovod-ompi4.1"}
_INSIDE = "variants_inside.py"
_FEWEST_ROUNDS = 2
_OPEN = 0o777  # the launcher's user is none of this machine


@dataclass(frozen=True)
class Cell:
    """What options are compared on."""

    profile: str
    network: str
    framework: str
    seed: int

    @property
    def directory(self) -> str:
        """Where its samples lie."""
        return f"{self.profile}-{self.network}-{self.framework}-seed{self.seed}"


def asked_of(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the ranks are told."""
    bits_per_second = parse_rate(cell.network)
    assert bits_per_second is not None
    emulation = scale(bits_per_second, None, arguments.time_scale)
    known = OPTIONS[cell.framework]
    return {
        "profile": cell.profile,
        "framework": cell.framework,
        "seed": cell.seed,
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "options": {name: known[name] for name in arguments.options or known},
        "link_bits_per_second": emulation.link_bits_per_second,
        "emulation": {
            "network_bits_per_second": bits_per_second,
            "byte_scale": emulation.byte_scale,
            "time_scale": emulation.time_scale,
            "jitter_cv": arguments.jitter,
        },
    }


def run(cell: Cell, directory: Path, arguments: argparse.Namespace) -> None:
    """Do the rounds of a cell that are not done.

    Raises:
        SystemExit: the job failed.
    """
    asked = asked_of(cell, arguments)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(_OPEN)
    keep(directory / "asked.json", asked)
    shutil.copy(Path(__file__).with_name(_INSIDE), directory)
    job = emulated_job(
        "bench-variants",
        image=arguments.image or IMAGES[cell.framework],
        nodes=NODES,
        command=("python", f"{RESULTS}/{_INSIDE}"),
    )
    rate = f"{asked['link_bits_per_second'] / 1e3:.0f}kbit"
    options = ("--rate", rate, "--claim", f"{CLAIM}={directory.resolve()}")
    argv = (find_mpijob_local(), "run", "--quiet", *options, "-")
    code = run_to_its_end(argv, json.dumps(job))
    if code:
        sys.exit(f"{cell.directory}: ended with {code}; the same command goes on")


def keep(path: Path, asked: Mapping[str, Any]) -> None:
    """Write what is asked for; only the number of rounds may differ from what was before.

    Raises:
        SystemExit: other options: samples do not mix.
    """
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if {**before, "rounds": asked["rounds"]} != asked:
            sys.exit(f"{path.parent}: was begun with other options; another --out, or the same")
    path.write_text(json.dumps(asked, indent=1), encoding="utf-8")


def differences(rounds: Sequence[Mapping[str, float]], option: str) -> list[float]:
    """Return by how many points of efficiency an option is above the default, for each launch."""
    return [
        100 * seconds[LOCAL] * (1 / seconds[option] - 1 / seconds[DEFAULT]) for seconds in rounds
    ]


def lower_bound(values: Sequence[float]) -> float:
    """Return Student's one-sided 95 % bound of the mean from below."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - stats.t.ppf(0.95, len(values) - 1) * error)


def rows(cell: Cell, out: Path) -> list[str]:
    """Return the lines of a cell in the table."""
    path = out / cell.directory / "samples.jsonl"
    head = f"| {cell.profile} | {cell.network} | {cell.framework} | {cell.seed} |"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    samples = [json.loads(line) for line in lines]
    calm = [sample for sample in samples if sample["cpu_stolen"] <= MOST_STOLEN]
    rounds = [sample["step_seconds"] for sample in calm]
    if len(rounds) < _FEWEST_ROUNDS:
        return [f"{head} not run: {len(rounds)} of {len(samples)} rounds are good | | | | |"]
    efficiency = np.mean([100 * seconds[LOCAL] / seconds[DEFAULT] for seconds in rounds])
    found = [f"{head} {DEFAULT} | {len(rounds)} of {len(samples)} | {efficiency:.1f} % | | |"]
    for option in rounds[0]:
        if option not in {LOCAL, DEFAULT}:
            values = differences(rounds, option)
            low = lower_bound(values)
            shown = f"{np.mean(values):+.1f} | {low:+.1f}"
            found.append(f"{head} {option} | {len(rounds)} | | {shown} |")
    return found


def main() -> None:
    """Run the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profiles", nargs="+", default=["resnet50", "bert-large"])
    parser.add_argument("--networks", nargs="+", default=["25gbit", "100gbit"])
    parser.add_argument("--frameworks", nargs="+", default=list(OPTIONS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", nargs="+", help="with the default one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="of a block")
    parser.add_argument("--time-scale", type=float, default=8.0)
    parser.add_argument("--jitter", type=float, default=0.02)
    parser.add_argument("--image")
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    arguments = parser.parse_args()
    wanted = [
        Cell(profile, network, framework, arguments.seed)
        for framework, profile, network in itertools.product(
            arguments.frameworks, arguments.profiles, arguments.networks
        )
    ]
    for number, cell in enumerate(wanted, start=1):
        if not arguments.show:
            print(f"cell {number} of {len(wanted)}: {cell.directory}", file=sys.stderr)
            run(cell, arguments.out / cell.directory, arguments)
    print("| profile | network | framework | seed | option | n | E | points | bound |")
    print("|---|---|---|---|---|---|---|---|---|")
    for cell in wanted:
        print("\n".join(rows(cell, arguments.out)))


if __name__ == "__main__":
    main()
