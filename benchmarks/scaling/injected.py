r"""Inject known losses into an emulation and see whether the right bar moves by the right amount.

    python benchmarks/scaling/injected.py --out .build/injected

Each fault and a run without any, on the same profile and network; prints the points lost by cause
beside the control's, what the fault should cost, and the verdict. Goes on where it has stopped.
"""

import argparse
from pathlib import Path

from grid import Cell, run

from mpijob_bench.explanation import TITLES, explain
from mpijob_bench.sections import read_whole_result

PROFILE, NETWORK = "resnet50", "25gbit"

FAULTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "a rank 10 % slower": ("--inject", "slow_rank=3", "--inject", "slow_share=0.1"),
    "half the rate": ("--network", "12.5gbit", "--k", "200"),
    "20 ms before each bucket": ("--inject", "hook_delay_seconds=0.02"),
    "a loader stalls 20 ms in a tenth of the steps": (
        *("--inject", "stall_seconds=0.02", "--inject", "stall_share=0.1"),
    ),
    "one wrong element": ("--inject", "wrong_elements=1"),
}


def main() -> None:
    """Run the faults and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("emulate", nargs="*", help="further options of emulate, after --")
    arguments = parser.parse_args()
    common = ("--pairs", "3", "--curve", "", "--double-pairs", "0", *arguments.emulate)
    titles = list(TITLES.values())
    print(f"| fault | E | {' | '.join(titles)} | verdict |")
    print("|" + "---|" * (len(titles) + 3))
    for name, options in FAULTS.items():
        label = name.replace(" ", "-").replace("%", "percent")
        cell = Cell(PROFILE, NETWORK, options=options, name=label)
        run(cell, arguments.out, common)
        result = read_whole_result(str(arguments.out / cell.directory / "result.json"))
        found = explain(result)
        points = [f"{100 * term.points:.1f}" for term in found.attribution.terms]
        interval = found.verdict.interval
        shown = f"{interval.efficiency:.1%}" if interval else "none"
        verdict = f"{found.verdict.name}: {found.verdict.clause}"
        print(f"| {name} | {shown} | {' | '.join(points)} | {verdict} |")


if __name__ == "__main__":
    main()
