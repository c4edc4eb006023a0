r"""Inject known losses into an emulation and see whether the right bar moves by the right amount.

    python benchmarks/scaling/injected.py --out .build/injected
    python benchmarks/scaling/injected.py --out .build/injected --show

A run without any fault, and one with each, on the same profile and network. Prints the efficiency
beside what the fault should make of the one without (see the functions below), the points that each
bar has moved, the bar that should move, and the verdict without guard G5, which a second scale
would take to know. Goes on where it has stopped.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grid import NODES, Cell, run

from mpijob_bench.explanation import TITLES, Explanation, explain
from mpijob_bench.profiles.profile import read_profile, shipped
from mpijob_bench.sections import read_whole_result
from mpijob_bench.verdict import judge

PROFILE, NETWORK, HALF, K = "resnet50", "25gbit", "12.5gbit", "200"
SLOW, DELAY_SECONDS, STALL_SECONDS, STALL_SHARE = 0.2, 0.02, 0.05, 0.1
STEP_SECONDS = read_profile(shipped(PROFILE)).step_seconds

Expect = Callable[[Explanation, Explanation], float]


@dataclass(frozen=True)
class Fault:
    """A known fault.

    Attributes:
        options: of emulate.
        bar: the cause that should lose the points; None if no time is lost.
        expect: the efficiency with it, from the explanations without and with it.
    """

    options: tuple[str, ...]
    bar: str | None
    expect: Expect


def unchanged(control: Explanation, _: Explanation) -> float:
    """Return the efficiency without a fault."""
    assert control.verdict.interval is not None
    return control.verdict.interval.efficiency


def slow_rank(control: Explanation, found: Explanation) -> float:
    """All wait for one rank, and what was lost before comes on top; alone N - 1 are as fast."""
    step = SLOW + 1 / unchanged(control, found)
    return NODES / step / (NODES - 1 + 1 / (1 + SLOW))


def half_rate(control: Explanation, found: Explanation) -> float:
    """What the model expects of half the rate, over what it expects of the whole."""
    assert control.prediction is not None
    assert found.prediction is not None
    ratio = found.prediction.efficiency / control.prediction.efficiency
    return unchanged(control, found) * ratio


def late_buckets(control: Explanation, found: Explanation) -> float:
    """Each bucket holds up the backward pass; what comes before the next is ready costs nothing."""
    assert control.prediction is not None
    now = 0.0
    for sent in control.prediction.timeline:
        now = max(now, sent.bucket.ready_seconds) + DELAY_SECONDS
    late = now - read_profile(shipped(PROFILE)).backward_seconds
    return 1 / (1 / unchanged(control, found) + late / STEP_SECONDS)


def stalls(control: Explanation, found: Explanation) -> float:
    """Together all wait if any rank stalls: 1 - (1 - p)^N of the steps, p of those alone."""
    any_rank = 1 - (1 - STALL_SHARE) ** NODES
    alone = STEP_SECONDS + STALL_SHARE * STALL_SECONDS
    together = STEP_SECONDS / unchanged(control, found) + any_rank * STALL_SECONDS
    return alone / together


def inject(*faults: str) -> tuple[str, ...]:
    """Return the options of faults."""
    return tuple(part for fault in faults for part in ("--inject", fault))


FAULTS = {
    "none": Fault((), None, unchanged),
    "a rank 20 % slower": Fault(
        inject("slow_rank=3", f"slow_share={SLOW}"), "load balance", slow_rank
    ),
    "half the rate": Fault(("--network", HALF, "--k", K), "transfer", half_rate),
    "20 ms in each bucket's hook": Fault(
        inject(f"hook_delay_seconds={DELAY_SECONDS}"), "serialisation", late_buckets
    ),
    "a loader stalls 50 ms in a tenth of the steps": Fault(
        inject(f"stall_seconds={STALL_SECONDS}", f"stall_share={STALL_SHARE}"),
        "serialisation",
        stalls,
    ),
    "one wrong element": Fault(inject("wrong_elements=1"), None, unchanged),
}


def cell_of(name: str) -> Cell:
    """Return where a fault is emulated."""
    label = name.replace(" ", "-").replace("%", "percent").replace("'", "")
    return Cell(PROFILE, NETWORK, options=FAULTS[name].options, name=label)


def row(name: str, found: Explanation, control: Explanation, verdict: str) -> Sequence[str]:
    """Return a fault's line: the efficiency, what was expected, and what each bar has moved."""
    before = {term.name: term.points for term in control.attribution.terms}
    moved = [100 * (term.points - before[term.name]) for term in found.attribution.terms]
    fault, efficiency = FAULTS[name], unchanged(found, found)
    return (
        name,
        f"{efficiency:.1%}",
        f"{fault.expect(control, found):.1%}",
        *(f"{points:+.1f}" for points in moved),
        fault.bar or "none",
        verdict,
    )


def main() -> None:
    """Run the faults and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    parser.add_argument("emulate", nargs="*", help="further options of emulate, after --")
    arguments = parser.parse_args()
    common = ("--pairs", "3", "--curve", "", "--double-pairs", "0", *arguments.emulate)
    columns = ("fault", "E", "expected", *TITLES.values(), "bar to move", "verdict but for G5")
    print("|", " | ".join(columns), "|")
    print("|" + "---|" * len(columns))
    control = None
    for name in FAULTS:
        cell = cell_of(name)
        path = arguments.out / cell.directory / "result.json"
        if not arguments.show:
            run(cell, arguments.out, common)
        elif not path.exists():
            if control is None:
                sys.exit(f"{path}: not there; all other faults are held against it")
            continue
        result = read_whole_result(str(path))
        found = explain(result)
        control = control or found
        known = [guard for guard in result["guards"] if guard["value"] is not None]
        verdict = judge({**result, "guards": known}).name
        print("|", " | ".join(row(name, found, control, verdict)), "|")


if __name__ == "__main__":
    main()
