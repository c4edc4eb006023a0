"""docs/reliability.md, made from results.

Layer: effects on one file; imports catalogue, results.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from faults.catalogue import FAULTS
from faults.model import GRACE_SECONDS, STALL_SECONDS, TIMEOUT_SECONDS, Fault, Result
from faults.results import Summary, summarize, versions
from faults.trial import BARE_LIMIT_SECONDS

_HEAD = """\
# Reliability

Made by `make faults`; do not edit. Each fault is done to a real job: containers, sshd, mpirun and \
ranks as in a cluster, on one machine.

A trial is right if the exit code, the outcome in the report, the host or rank that it names and \
the time are as expected, and if no process, container or network is left. Seconds are median / \
worst: *noticed* from the fault to the first line of the launcher that names the host or rank, \
*ended* to the launcher's end, *clean* from there until nothing of the job ran on any worker. For \
a fault before the start the clock starts with the launcher.

"""

_HOW = """\
## How it is measured

`make faults N=20` repeats each fault at random moments, goes on where it was broken off and ends \
with 1 if a trial was wrong; `--fault NAME` picks one. Jobs have three workers with one rank each \
if the text does not say otherwise. Settings of all of them: `MPIJOB_TIMEOUT={timeout}`, \
`MPIJOB_GRACE={grace}`, `MPIJOB_STALL_TIMEOUT={stall}`. "In the run" is a random moment of the \
first 2.5 s after all ranks have started, "during the start" one of the first 2.5 s after the \
launcher's; the worker is random, too.

Under plain mpirun the launcher has none of our supervision: mpirun is the pod's first process, \
ssh is configured as in mpi-operator's base image, the workers are the same and listen before \
mpirun starts. It gets {bare} s from the fault, then it counts as hung. It has no outcome and no \
codes of its own to keep, so a trial is right if it fails where the job should fail, succeeds \
where it should succeed, names a host or rank, and leaves nothing.

{load}
"""


def write_page(path: Path, results: Sequence[Result]) -> None:
    """Write the page."""
    path.write_text(format_page(results), encoding="utf-8")


def format_page(results: Sequence[Result]) -> str:
    """Return the page's text."""
    ours = [result for result in results if not result.bare]
    bare = [result for result in results if result.bare]
    parts = [_HEAD, _totals(ours), _table(ours, bare=False), _how(results)]
    if bare:
        parts += ["\n## The same under plain mpirun\n\n", _table(bare, bare=True)]
    if any(result.wrong for result in ours):
        parts += ["\n## What was wrong\n\n", _wrong(ours)]
    return "".join(parts)


def _totals(results: Sequence[Result]) -> str:
    wrong = sum(bool(result.wrong) for result in results)
    return f"**{wrong} wrong in {len(results)} trials.**\n\n"


def _how(results: Sequence[Result]) -> str:
    loads = [result.load for result in results]
    load = "No trial was made."
    if loads:
        load = (
            "The machine's load when trials began was "
            f"{median(loads):.1f} (median), {max(loads):.1f} (worst)."
        )
    text = _HOW.format(
        timeout=TIMEOUT_SECONDS,
        grace=GRACE_SECONDS,
        stall=STALL_SECONDS,
        bare=BARE_LIMIT_SECONDS,
        load=load,
    )
    return f"\n{text}"


def _table(results: Sequence[Result], *, bare: bool) -> str:
    head = "| fault | when | Open MPI | trials | wrong | exit | named | noticed | ended | clean |\n"
    rule = "|---|---|---|---|---|---|---|---|---|---|\n"
    rows = [
        _row(fault, version, found)
        for fault in FAULTS
        for version in versions(results)
        if (found := summarize(results, fault.name, version, bare=bare)).results
    ]
    return head + rule + "".join(rows)


def _row(fault: Fault, version: str, found: Summary) -> str:
    trials = str(len(found.results))
    named = found.named if fault.expected.says else "-"
    wrong = f"**{found.wrong}**" if found.wrong else "0"
    times = (found.seconds(f) for f in ("noticed_seconds", "ended_seconds", "clean_seconds"))
    what = f"`{fault.name}`: {fault.text}"
    cells = (what, fault.moment.value, version, trials, wrong, found.codes, named, *times)
    return f"| {' | '.join(cells)} |\n"


def _wrong(results: Sequence[Result]) -> str:
    """Return what was wrong with which fault, a line each, with how often."""
    counts: dict[tuple[str, str, str], int] = {}
    for result in results:
        for words in result.wrong:
            key = (result.fault, result.open_mpi, _plain(words, result.fault))
            counts[key] = counts.get(key, 0) + 1
    lines = (f"- `{f}` with {v}: {words} ({n})\n" for (f, v, words), n in sorted(counts.items()))
    return "".join(lines)


def _plain(words: str, fault: str) -> str:
    """Return words without the numbers that differ from trial to trial."""
    job = re.sub(rf"fault-{fault}-\d+-", "", words)
    return re.sub(r"after \d+\.\d s", "late", job)
