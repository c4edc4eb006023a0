"""Write docs/reference.md and docs/reference/environment.md, made from the code.

.venv/bin/python tools/reference.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from mpijob_runtime.cli import COMMANDS, group
from mpijob_runtime.defaults import DEFAULTS, RANK_DEFAULTS
from mpijob_runtime.settings import VARIABLES

EXIT_CODES = (
    ("0", "the program succeeded, and the ranks' records agree", "no"),
    ("1", "Open MPI did not start a rank, for a reason of its own", "no"),
    ("64", "flags or settings, mpirun's own included; more ranks than slots", "no"),
    ("65", "the hostfile or manifest is wrong", "no"),
    ("69", "hosts did not accept a login in time", "yes"),
    ("70", "a bug of ours", "no"),
    ("75", "preempted, or a host was lost", "yes"),
    ("76", "the ranks are not where the plan put them", "no"),
    ("78", "keys, user, privileges, no mpirun, another MPI; Open MPI's daemon cannot start", "no"),
    ("110", "the limit of mpirun's own `--timeout`", "no"),
    ("127", "the program does not exist", "no"),
    ("130", "interrupted", "no"),
    ("128 + n", "a rank ended by signal n (137: killed, often for memory)", "it depends"),
    ("128 + n", "Open MPI's daemon on a host crashed by signal n, which is said", "no"),
    ("any other", "a rank's own code, passed through", "it depends"),
)

TOLD_RANKS = (
    ("RANK, WORLD_SIZE", "number of the rank, and how many there are; as torchrun"),
    ("LOCAL_RANK, LOCAL_WORLD_SIZE", "the same on its host"),
    ("MASTER_ADDR, MASTER_PORT", "where torch.distributed meets: the hostfile's first host"),
    ("MPIJOB_HOSTS", "names of all hosts in the order of their first ranks, with commas between"),
    ("MPIJOB_NODE_RANK", "index of this rank's host among them"),
    ("MPIJOB_GPU", "index of this rank's GPU by PCI bus order; only where GPUs were seen"),
    ("MPIJOB_PROGRESS_FILE", "file for the number of the step, for `--stall-timeout`"),
    ("MPIJOB_PREEMPTION_FILE", "file that exists once the job is to end"),
)

NEVER = (
    *("NCCL_ALGO", "NCCL_PROTO", "NCCL_P2P_LEVEL", "NCCL_NVLS_ENABLE", "NCCL_NTHREADS"),
    *("NCCL_NET_GDR_LEVEL", "NCCL_MIN_NCHANNELS", "NCCL_SOCKET_NTHREADS", "NCCL_NSOCKS_PERTHREAD"),
)

OUTCOME = """\
```json
{"outcome": "succeeded|failed|preempted|not_started", "exit_code": 3, "reason": "…",
 "first_failure": {"rank": 3, "host": "train-worker-3", "exit_code": 3, "signal": null,
                   "cause": "…", "evidence": ["…"]},
 "ranks_started": 8, "world_size": 8, "hosts": [{"name": "…", "ranks": [0]}],
 "network": {"name": "eth0", "family": "IPv4", "interfaces": {"train-worker-0": "eth0"},
             "mbit_per_second": null, "others": {}},
 "phases_seconds": {"wait": 0.3, "start": 0.9, "run": 61.7}}
```"""


def reference() -> Iterator[str]:
    """Yield the lines of the reference."""
    yield "# Reference"
    yield ""
    yield "Made by `tools/reference.py` from the code; a test keeps it true."
    yield from section("Commands", commands())
    yield "All variables: [reference/environment.md](reference/environment.md)."
    yield from section("Exit codes", exit_codes())
    yield from section("The outcome", outcome())


def environment() -> Iterator[str]:
    """Yield the lines of the page about variables."""
    yield "# Variables"
    yield ""
    yield "Made by `tools/reference.py` from the code; a test keeps it true."
    yield from section(
        "What this package reads",
        table(
            ("variable", "flag", "default", "meaning"),
            (
                (f"`{v.name}`", f"`{v.flag}`" if v.flag else "", v.default, v.meaning)
                for v in VARIABLES
            ),
        ),
    )
    yield from section("What each rank is told", told_ranks())
    yield from section("What ranks get that have none of that name", rank_defaults())
    yield from section("What is set for mpirun", mpirun_defaults())


def told_ranks() -> Iterator[str]:
    """Yield the table of variables that say to a rank where it is."""
    yield from table(
        ("variable", "meaning"), ((f"`{name}`", meaning) for name, meaning in TOLD_RANKS)
    )


def rank_defaults() -> Iterator[str]:
    """Yield the table of the ranks' defaults."""
    yield (
        "Decided at the start gate by what the hosts show; `mpijob-runtime plan --probe-hosts` "
        "shows the values. `{interface}` is the data network's on the rank's host: the one on "
        "which every host reaches the next, the fastest if there are several."
    )
    yield ""
    yield from table(
        ("variable", "value", "since", "when", "why", "source"),
        (
            (
                f"`{d.name}`",
                f"`{d.value}`",
                d.since,
                d.condition + "".join(f"; not beside `{name}`" for name in d.unless),
                d.why,
                d.source,
            )
            for d in RANK_DEFAULTS
        ),
    )
    yield ""
    yield (
        "Never set, because they are for debugging and turn a good choice of NCCL into a bad one: "
        + ", ".join(f"`{name}`" for name in NEVER)
        + "."
    )


def mpirun_defaults() -> Iterator[str]:
    """Yield the table of mpirun's defaults."""
    yield from table(
        ("variable", "Open MPI", "value", "when", "why", "source"),
        (
            (
                f"`{d.name}`",
                d.since or {4: "4.0 to 4.1", 5: "5.0"}.get(d.major or 0, "all"),
                f"`{d.value}`",
                d.condition,
                d.why,
                d.source,
            )
            for d in DEFAULTS
        ),
    )


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


PAGES = {"reference.md": reference, "reference/environment.md": environment}
"""Path in docs/ -> its lines."""


def page(name: str) -> str:
    """Return the text of a page."""
    lines = "\n".join(PAGES[name]()).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    for name in PAGES:
        path = Path(__file__).parents[1] / "docs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(name), encoding="utf-8")
