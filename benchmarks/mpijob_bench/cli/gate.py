"""``mpijob-bench gate``."""

import json

import click

_EPILOG = """\b
Examples:
  mpijob-bench gate result.json
  mpijob-bench gate result.json --plan plan.json --json
\b
Exits with 0 for PASS, 1 for FAIL, 3 for INCONCLUSIVE, 4 for INVALID; EMULATED-PASS and so on
likewise. 65: the file is no result.
"""


@click.command("gate", epilog=_EPILOG)
@click.argument("result", metavar="FILE")
@click.option("--plan", "plan_file", metavar="FILE", help="Check that the result is of this plan.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
def command(*, result: str, plan_file: str | None, as_json: bool) -> int:
    """Judge a result: does the job reach its target?

    PASS: the lower 95 % bound of the efficiency is at least the target. FAIL: the upper bound is
    below it, or elements were wrong, a pair failed, or another transport was used. INVALID: a
    guard does not hold, there are fewer than three pairs, or more than 102 % came out.
    INCONCLUSIVE: the target is between the bounds.
    """
    from mpijob_bench.also import also_words
    from mpijob_bench.cli.output import say
    from mpijob_bench.result import check_plan, read_result
    from mpijob_bench.verdict import judge, plain

    found = read_result(result)
    if plan_file:
        check_plan(found, plan_file, path=result)
    verdict = judge(found)
    if as_json:
        say(json.dumps(verdict.to_json(), allow_nan=False))
    else:
        say(f"{verdict.name}: {verdict.clause}")
        if verdict.interval is not None:
            shown = verdict.interval
            nodes = found["plan"]["nodes"]
            bounds = f"95 % bounds {plain(shown.low)} and {plain(shown.high)}"
            say(
                f"  E_node({nodes}) = {plain(shown.efficiency)}"
                f" ({bounds if shown.known else 'no bounds from so few pairs'}),"
                f" target {found['plan']['target']:g}, {len(found['pairs'])} pairs"
            )
        for line in also_words(found.get("also")):
            say(f"  {line}; not judged")
    return verdict.exit_code
