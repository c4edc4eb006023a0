r"""Emulate eight nodes for every profile, network and framework; goes on where it has stopped.

    python benchmarks/scaling/grid.py --out .build/grid
    python benchmarks/scaling/grid.py --out .build/grid --profiles resnet50 --networks 25gbit

Each cell is an `mpijob-bench emulate` in a directory of its own, with a report. Takes hours: a
cell is 8 launches of 60 steps and more, and all wants a machine that does nothing else. Computing
is 8 times as long, or less where steps are long, but never so little that guards cannot hold.
Prints a table in Markdown of what is there, prediction beside emulation, and the guards that do not
hold.

Results that were published with `--publish` lie in results/ beside this file. Their cells are shown
and not run again, unless `--again` asks for it. All cells have links of the same rate, so one sweep
of all-reduces serves the predictions of all: `--comm FILE` shows the table with it.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpijob_bench.comm.document import read_comm
from mpijob_bench.emulation import run_to_its_end
from mpijob_bench.explanation import explain
from mpijob_bench.guards import prediction
from mpijob_bench.plan import PROFILES
from mpijob_bench.profiles.profile import read_profile, shipped
from mpijob_bench.result import with_comm
from mpijob_bench.run_command import RESULT
from mpijob_bench.sections import read_whole_result
from mpijob_local.rates import parse_rate

NETWORKS = ("10gbit", "25gbit", "100gbit")
WITH_HOROVOD = ("resnet50", "bert-large")
NODES = 8
TIME_SCALE = 8
LONGEST_STEP_SECONDS = 1.6
"""Of all nodes, as it runs: longer ones get a smaller time scale, to spare hours."""

SHORTEST_BACKWARD_SECONDS = 0.37
"""As it runs: in less the lateness of this host's waits, some 5 to 7 ms, is more than G2 allows."""

COLUMNS = ("profile", "network", "framework", "D", "E", "bounds", "alpha and B", "model",
           "model - E", "guards that do not hold")  # fmt: skip
PUBLISHED = Path(__file__).with_name("results")

_VERDICTS = range(5)


@dataclass(frozen=True)
class Cell:
    """One emulation.

    Attributes:
        profile: what nodes compute.
        network: between them.
        framework: who reduces.
        seed: of the plan.
        options: further ones of emulate, under a name for the directory.
        name: of those options.
    """

    profile: str
    network: str
    framework: str = "ddp"
    seed: int = 1
    options: tuple[str, ...] = ()
    name: str = "default"

    @property
    def time_scale(self) -> int:
        """By what computing takes longer: less where steps are long anyway."""
        profile, rate = read_profile(shipped(self.profile)), parse_rate(self.network)
        assert rate is not None
        wire_seconds = 8 * 2 * (NODES - 1) / NODES * profile.gradient_bytes / rate
        if TIME_SCALE * max(profile.step_seconds, wire_seconds) <= LONGEST_STEP_SECONDS:
            return TIME_SCALE
        return math.ceil(SHORTEST_BACKWARD_SECONDS / profile.backward_seconds)

    @property
    def directory(self) -> str:
        """Where its results lie."""
        parts = (self.profile, self.network, self.framework, self.name, f"seed{self.seed}")
        return "-".join(parts)

    def argv(self, out: Path, common: tuple[str, ...]) -> tuple[str, ...]:
        """Return the command."""
        return (
            *(sys.executable, "-m", "mpijob_bench", "emulate", "--profile", self.profile),
            *("--network", self.network, "--framework", self.framework),
            *("--seed", str(self.seed), "--time-scale", str(self.time_scale)),
            *(*common, *self.options),
            *("--out", str(out / self.directory)),
        )


def cells(profiles: list[str], networks: list[str], frameworks: list[str]) -> Iterator[Cell]:
    """Yield the cells; Horovod for two of the profiles."""
    for framework, profile, network in itertools.product(frameworks, profiles, networks):
        if framework == "ddp" or profile in WITH_HOROVOD:
            yield Cell(profile, network, framework)


def run(cell: Cell, out: Path, common: tuple[str, ...]) -> None:
    """Do what is left of a cell; its launches that are done stay done.

    Raises:
        SystemExit: it could not be run.
    """
    code = run_to_its_end(cell.argv(out, common), "")
    if code not in _VERDICTS:
        sys.exit(f"{cell.directory}: ended with {code}; the same command goes on")


def published(cell: Cell) -> Path:
    """Return where a cell's result is kept with this file."""
    return PUBLISHED / f"{cell.directory}.json"


def publish(cell: Cell, out: Path) -> None:
    """Keep a cell's result with this file."""
    result = read_whole_result(str(out / cell.directory / RESULT))
    PUBLISHED.mkdir(exist_ok=True)
    published(cell).write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


def row(cell: Cell, out: Path, comm: Path | None) -> str:
    """Return a cell as a line of the table, or say that it was not run.

    Args:
        cell: of the grid.
        out: where cells are run.
        comm: a sweep to predict from, instead of the cell's own.
    """
    own = out / cell.directory / RESULT
    path = own if own.exists() else published(cell)
    head = f"| {cell.profile} | {cell.network} | {cell.framework} |"
    if not path.exists():
        return f"{head} {cell.time_scale} | not run | | | | | |"
    result = read_whole_result(str(path))
    head += f" {result['emulation']['time_scale']:g} |"
    if comm:
        result = with_comm(result, read_comm(str(comm)), path=str(comm))
    found = explain(result)
    interval, predicted = found.verdict.interval, found.prediction
    guards = result["guards"]
    if interval and predicted:
        again = prediction(interval.efficiency, predicted.efficiency)
        guards = [again if guard["name"] == again["name"] else guard for guard in guards]
    broken = ", ".join(_shown(guard) for guard in guards if not guard["ok"])
    if interval is None:
        return f"{head} no good pair | | | | | {found.verdict.clause} |"
    shown = f"{interval.efficiency:.1%} | {interval.low:.1%} to {interval.high:.1%}"
    model = f"{predicted.efficiency:.1%}" if predicted else "none"
    line = f"{found.by_line:.1%}" if found.by_line else "none"
    away = f"{100 * found.difference:+.1f}" if found.difference is not None else ""
    return f"{head} {shown} | {line} | {model} | {away} | {broken or 'all hold'} |"


def _shown(guard: Mapping[str, Any]) -> str:
    if guard["value"] is None:
        return f"{str(guard['name']).partition('_')[0]} not measured"
    return f"{guard['name']} ({guard['value']:.3g}, limit {guard['limit']:g})"


def main() -> None:
    """Run the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--frameworks", nargs="+", default=["ddp", "horovod"])
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    parser.add_argument("--again", action="store_true", help="run published cells, too")
    parser.add_argument("--publish", action="store_true", help="keep results beside this file")
    parser.add_argument("--comm", type=Path, help="predict from this sweep, not each cell's own")
    parser.add_argument("emulate", nargs="*", help="further options of emulate, after --")
    arguments = parser.parse_args()
    common = ("--pairs", "3", "--steps", "60", "--curve", "", *arguments.emulate)
    wanted = list(cells(arguments.profiles, arguments.networks, arguments.frameworks))
    for number, cell in enumerate(wanted, start=1):
        if not arguments.show and (arguments.again or not published(cell).exists()):
            print(f"cell {number} of {len(wanted)}: {cell.directory}", file=sys.stderr)
            run(cell, arguments.out, common)
        if arguments.publish and (arguments.out / cell.directory / RESULT).exists():
            publish(cell, arguments.out)
    print("|", " | ".join(COLUMNS), "|")
    print("|" + "---|" * len(COLUMNS))
    for cell in wanted:
        print(row(cell, arguments.out, arguments.comm))


if __name__ == "__main__":
    main()
