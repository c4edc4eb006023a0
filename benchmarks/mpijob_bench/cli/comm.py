"""``mpijob-bench comm``."""

from typing import Any

import click

from mpijob_bench.cli.plan_options import Finite, quiet_option
from mpijob_bench.comm.bandwidth import COLLECTIVES
from mpijob_bench.comm.options import BACKENDS, DEFAULT_MAX_BYTES

_EPILOG = """\b
Examples:
  mpijob-bench comm
  mpijob-bench comm --backend mpi --collective all_reduce --max-bytes 64MiB
  mpijob-bench comm --host worker-0,worker-1 --factor 2 --out results
  mpijob-bench comm --import nccl-tests.json --json
\b
Runs in the launcher pod of an MPIJob, a rank on each slot of its hosts, and writes comm.json and
comm.log. An interrupted sweep goes on where it stopped. Exits with 1 if elements were wrong.
"""


@click.command("comm", epilog=_EPILOG)
@click.option(
    "--backend", type=click.Choice(BACKENDS), default="gloo", show_default=True, help="Who sends."
)
@click.option(
    "--collective",
    "collectives",
    type=click.Choice(COLLECTIVES),
    multiple=True,
    help="What to measure; repeatable.  [default: all]",
)
@click.option("--min-bytes", default="1KiB", show_default=True, metavar="SIZE", help="From.")
@click.option(
    "--max-bytes", metavar="SIZE", help="To, if memory allows.  [default: 256MiB; nccl: 4GiB]"
)
@click.option(
    "--factor",
    type=click.IntRange(2, 16),
    default=4,
    show_default=True,
    help="From one size to the next.",
)
@click.option(
    "--seconds",
    "budget_seconds",
    type=Finite(0.01, 600),
    default=1.0,
    show_default=True,
    help="Time for each size, between 5 and 100 iterations.",
)
@click.option("--host", "hosts", metavar="NAME[:N],…", help="Only these hosts.")
@click.option(
    "--fidelity",
    type=click.Choice(["measured", "emulated"]),
    default="measured",
    show_default=True,
    help="Say 'emulated' where links are not those of real hardware.",
)
@click.option("--out", metavar="DIR", default=".", show_default=True, help="Where files go.")
@click.option("--import", "imported", metavar="FILE", help="Read nccl-tests' JSON or text instead.")
@click.option("--json", "as_json", is_flag=True, help="Print comm.json to stdout, no table.")
@quiet_option
def command(*, imported: str | None, out: str, as_json: bool, **options: Any) -> int:
    """Measure collectives: time, bandwidth, correctness, and the alpha-beta model.

    Sizes are of the total array, algbw = size / time, busbw as nccl-tests has it. Time is that of
    an iteration among several in a row; p50 and p99 are of single ones, before each of which all
    ranks meet. The slowest rank counts. Every element of every single one is compared with what it
    must be.
    """
    from pathlib import Path

    from mpijob_bench.cli.output import make_directory
    from mpijob_bench.comm.measure import FILE

    directory: Path = make_directory(out)
    if imported:
        comm = _import(imported, directory / FILE, options)
    else:
        comm = _measure(directory, **options)
    _show(comm, directory / FILE, as_json=as_json)
    return 1 if any(result["wrong_elements"] for result in comm["results"]) else 0


def _import(path: str, target: Any, options: dict[str, Any]) -> dict[str, Any]:
    from mpijob_bench.comm.document import write_comm
    from mpijob_bench.comm.measure import ITERATIONS
    from mpijob_bench.comm.nccl_tests import read_nccl_tests
    from mpijob_runtime.errors import UsageError

    named = options["collectives"]
    comm = read_nccl_tests(
        path, collective=named[0] if named else None, fidelity=options["fidelity"]
    )
    if target.exists() and target.samefile(path):
        message = f"--import {path}: found the file that is to be written, wanted to keep it"
        raise UsageError(message, remedy="another --out")
    if target.with_name(ITERATIONS).exists():
        message = f"--out {target.parent}: found a sweep that was measured, wanted to keep it"
        raise UsageError(message, remedy="another --out")
    write_comm(str(target), comm)
    return comm


def _measure(
    directory: Any, *, hosts: str | None, fidelity: str, quiet: bool, **options: Any
) -> dict[str, Any]:
    from mpijob_bench.cli.bar import Bar
    from mpijob_bench.cli.sweep_progress import follow_sweep
    from mpijob_bench.comm.measure import run_comm
    from mpijob_bench.comm.options import Sweep
    from mpijob_bench.interruption import terminated_as_interrupted
    from mpijob_bench.sizes import parse_bytes
    from mpijob_runtime.errors import UsageError

    backend = options["backend"]
    asked = options["max_bytes"]
    sweep = Sweep(
        backend=backend,
        collectives=tuple(dict.fromkeys(options["collectives"])) or COLLECTIVES,
        min_bytes=parse_bytes(options["min_bytes"]),
        max_bytes=parse_bytes(asked) if asked else DEFAULT_MAX_BYTES[backend],
        factor=options["factor"],
        budget_seconds=options["budget_seconds"],
    )
    if sweep.min_bytes > sweep.max_bytes:
        message = f"found --min-bytes {sweep.min_bytes} above --max-bytes {sweep.max_bytes}"
        raise UsageError(message, remedy="swap them")
    chosen = tuple(hosts.split(",")) if hosts else ()
    with terminated_as_interrupted(), Bar(quiet=quiet) as bar:
        told = follow_sweep(sweep, bar)
        return run_comm(sweep, out=directory, hosts=chosen, fidelity=fidelity, told=told)


def _show(comm: dict[str, Any], path: Any, *, as_json: bool) -> None:
    import json

    from mpijob_bench.cli.output import stdout_console
    from mpijob_bench.comm.table import comm_table, notes

    if as_json:
        click.echo(json.dumps(comm))
        return
    stdout_console().print(comm_table(comm))
    for line in [*notes(comm), f"written: {path}"]:
        click.echo(line)
