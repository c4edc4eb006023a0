"""Progress of a sweep over collectives."""

import statistics
from collections.abc import Callable

from mpijob_bench.cli.bar import Bar
from mpijob_bench.comm.options import Sweep
from mpijob_bench.comm.remaining import Remaining
from mpijob_bench.comm.summary import Summary
from mpijob_bench.launches import Line
from mpijob_bench.sizes import format_bytes


def follow_sweep(sweep: Sweep, bar: Bar) -> Callable[[Line, Summary], None]:
    """Return what takes the lines of a sweep and moves a bar, by those of rank 0."""
    remaining = Remaining(sweep)

    def told(line: Line, summary: Summary) -> None:
        if line.data["bench"] == "sweep":
            remaining.sizes, remaining.done = summary.sizes, len(summary.done)
            if remaining.done:
                bar.say(f"going on: {remaining.done} of {remaining.total} were measured before")
        if line.rank != 0 or line.data["bench"] != "collective":
            return
        name, size = line.data["collective"], line.data["bytes"]
        remaining.note(size, statistics.median(line.data["seconds"]))
        bar.show(
            f"{name} {format_bytes(size)}",
            done=remaining.done,
            total=remaining.total,
            left_seconds=remaining.seconds(),
        )

    return told
