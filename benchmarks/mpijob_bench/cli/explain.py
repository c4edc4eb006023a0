"""``mpijob-bench explain``."""

import json

import click

_EPILOG = """\b
Examples:
  mpijob-bench explain result.json
  mpijob-bench explain result.json --what-if compression=fp16,bucket_mb=50 --what-if bandwidth=2.5
  mpijob-bench explain result.json --comm nccl/comm.json    of comm --import nccl-tests.json
  mpijob-bench explain result.json --json
\b
Keys of --what-if: compression (fp16, bf16), accumulation (passes), bandwidth (times), batch
(times), bucket_mb and fusion_mb (MiB). How to read it all: docs/bench-report.md.
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("result", metavar="FILE")
@click.option(
    "--what-if",
    "wishes",
    multiple=True,
    metavar="KEY=VALUE[,…]",
    help="Predict this instead of the usual changes; may be given again.",
)
@click.option("--profile", "profile_file", metavar="FILE", help="The workload's gradient profile.")
@click.option(
    "--comm",
    "comm_file",
    metavar="FILE",
    help="A sweep of allreduce (comm.json) of the same fidelity, instead of the result's own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
def command(
    *,
    result: str,
    wishes: tuple[str, ...],
    profile_file: str | None,
    comm_file: str | None,
    as_json: bool,
) -> int:
    """Say where the lost points went, what was to be expected, and what would help.

    Points lost are measured, by launches with less and less communication; the prediction is the
    model's, from the gradient-ready profile and the sweep of allreduce, and knows nothing of the
    training launches of several nodes.
    """
    from mpijob_bench.comm.document import read_comm
    from mpijob_bench.explanation import explain
    from mpijob_bench.result import with_comm
    from mpijob_bench.sections import read_whole_result

    found = read_whole_result(result)
    if comm_file:
        found = with_comm(found, read_comm(comm_file), path=comm_file)
    explanation = explain(found, wishes=wishes, profile_file=profile_file)
    if as_json:
        click.echo(json.dumps(explanation.to_json()))
    else:
        from mpijob_bench.cli.explained import show

        show(explanation, found)
    return 0
