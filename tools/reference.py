"""Print docs/reference.md, made from the code.

.venv/bin/python tools/reference.py > docs/reference.md
"""

from collections.abc import Iterable, Iterator

import click

from mpijob_runtime.cli import COMMANDS, group
from mpijob_runtime.defaults import DEFAULTS
from mpijob_runtime.settings import VARIABLES

EXIT_CODES = (
    ("0", "the program succeeded, and the ranks' records agree", "no"),
    ("64", "flags, or `-n` beyond the slots", "no"),
    ("65", "the hostfile or manifest is wrong", "no"),
    ("69", "hosts did not accept a login in time", "yes"),
    ("70", "a bug of ours", "no"),
    ("75", "preempted, or a host was lost", "yes"),
    ("76", "the ranks are not where the plan put them", "no"),
    ("78", "keys, user, privileges or no mpirun", "no"),
    ("127", "the program does not exist", "no"),
    ("130", "interrupted", "no"),
    ("128 + n", "a rank ended by signal n (137: killed, often for memory)", "it depends"),
    ("any other", "a rank's own code, passed through", "it depends"),
)

OUTCOME = """\
```json
{"outcome": "succeeded|failed|preempted|not_started", "exit_code": 3, "reason": "…",
 "first_failure": {"rank": 3, "host": "train-worker-3", "exit_code": 3, "signal": null,
                   "cause": "…", "evidence": ["…"]},
 "ranks_started": 8, "world_size": 8, "hosts": [{"name": "…", "ranks": [0]}],
 "phases_seconds": {"wait": 0.3, "start": 0.9, "run": 61.7}}
```"""


def reference() -> Iterator[str]:
    """Yield the lines of the reference."""
    yield "# Reference"
    yield ""
    yield "Made by `tools/reference.py` from the code; a test keeps it true."
    yield from section("Commands", commands())
    yield from section(
        "Variables",
        table(
            ("variable", "flag", "default", "meaning"),
            (
                (f"`{v.name}`", f"`{v.flag}`" if v.flag else "", v.default, v.meaning)
                for v in VARIABLES
            ),
        ),
    )
    yield from section(
        "What is set for mpirun",
        table(
            ("variable", "Open MPI", "value", "when", "why", "source"),
            (
                (f"`{d.name}`", str(d.major or "all"), f"`{d.value}`", d.condition, d.why, d.source)
                for d in DEFAULTS
            ),
        ),
    )
    yield from section("Exit codes", exit_codes())
    yield from section("The outcome", outcome())


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a heading and its lines."""
    yield from ("", f"## {title}", "")
    yield from lines


def commands() -> Iterator[str]:
    """Yield the help of every command."""
    context = click.Context(group, info_name="mpijob-runtime")
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - the list is the group's own
        with click.Context(command, info_name=f"mpijob-runtime {name}") as inner:
            text = command.get_help(inner).rstrip()
        yield from (f"### {name}", "", "```text", text, "```", "")


def exit_codes() -> Iterator[str]:
    """Yield the table of exit codes, and how Kubernetes is told."""
    yield from table(("code", "meaning", "worth a retry"), EXIT_CODES)
    yield ""
    yield (
        "Codes are hints, because a program may end with any code; `outcome` in the report is the "
        "authority. mpi-operator retries every failure up to `runPolicy.backoffLimit` and has no "
        "podFailurePolicy: set `backoffLimit: 0` for jobs whose failures are final, and let what "
        "submits the job look at the report."
    )


def outcome() -> Iterator[str]:
    """Yield what is known of the outcome's form."""
    yield "In words in the termination log (4,096 bytes), as JSON by `--report`:"
    yield ""
    yield OUTCOME


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(line.rstrip() for line in "\n".join(reference()).splitlines()))  # noqa: T201
