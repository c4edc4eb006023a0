"""``mpijob-bench preflight``."""

from typing import Any

import click

from mpijob_bench.cli.plan_options import quiet_option

_EPILOG = """\b
Examples:
  mpijob-bench preflight
  mpijob-bench preflight --backend nccl --transport ib
  mpijob-bench preflight --out results --json
\b
Runs in the launcher pod of an MPIJob and writes preflight.json and preflight.log. Exits with 1 if
something is not ok; warnings do not count.
"""


@click.command("preflight", epilog=_EPILOG)
@click.option(
    "--backend",
    type=click.Choice(["gloo", "nccl"]),
    default="gloo",
    show_default=True,
    help="Whose messages are sent between hosts.",
)
@click.option("--transport", metavar="NAME", help="What must be used: tcp, ib.  [default: any]")
@click.option("--host", "hosts", metavar="NAME[:N],…", help="Only these hosts.")
@click.option(
    "--fidelity",
    type=click.Choice(["measured", "emulated"]),
    default="measured",
    show_default=True,
    help="Say 'emulated' where links are not those of real hardware.",
)
@click.option("--out", metavar="DIR", default=".", show_default=True, help="Where files go.")
@click.option("--json", "as_json", is_flag=True, help="Print preflight.json to stdout, no table.")
@quiet_option
def command(
    *,
    transport: str | None,
    out: str,
    hosts: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Look at the hosts before a benchmark.

    Data network, MTU, transport, clocks, /dev/shm, memlock, physical nodes; all hosts compute the
    same at once, and the slowest is named; all pairs of hosts exchange messages, in rounds of
    pairs that do not disturb each other, and the slowest is named.
    """
    import json

    from mpijob_bench.cli.bar import Bar
    from mpijob_bench.cli.output import make_directory, stdout_console
    from mpijob_bench.interruption import terminated_as_interrupted
    from mpijob_bench.preflight.document import acceptable
    from mpijob_bench.preflight.measure import FILE, Preflight, run_preflight
    from mpijob_bench.preflight.table import findings_table
    from mpijob_bench.transports import declared_transport

    directory = make_directory(out)
    chosen = tuple(hosts.split(",")) if hosts else ()
    preflight = Preflight(**options, transport=declared_transport(transport))
    with terminated_as_interrupted(), Bar(quiet=quiet) as bar:
        document = run_preflight(preflight, out=directory, hosts=chosen, told=_follow(bar))
    if as_json:
        click.echo(json.dumps(document))
    else:
        stdout_console().print(findings_table(document))
        click.echo(f"written: {directory / FILE}")
    return 0 if acceptable(document) else 1


def _follow(bar: Any) -> Any:
    """Return what takes ranks' lines and moves a bar."""
    import time

    began: list[float] = []

    def told(line: Any) -> None:
        data = line.data
        if data["bench"] != "pair":
            bar.show(f"{data['bench']} of hosts", done=0, total=None, left_seconds=None)
            return
        began.append(time.monotonic())
        done, total = data["round"] + 1, data["of_rounds"]
        left = (began[-1] - began[0]) / max(1, done - 1) * (total - done) if done > 1 else None
        bar.show("pairs of hosts", done=done, total=total, left_seconds=left)

    return told
