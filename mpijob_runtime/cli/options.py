"""Options that several subcommands share, and how they become settings."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mpijob_runtime.console import Console, Level
from mpijob_runtime.first_process import restore_environ
from mpijob_runtime.operators import HOSTFILE
from mpijob_runtime.settings import BIND_TO, FORMS, STALL_ACTIONS, Flags, Settings
from mpijob_runtime.values import TIME_WANTED, parse_seconds

F = TypeVar("F", bound=Callable[..., Any])

PROGRAM_SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}


class Time(click.FloatRange):
    """A time in seconds, or with units: ``90``, ``10m``, ``1h30m``."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        seconds = parse_seconds(str(value))
        if seconds is None:
            self.fail(f"found {str(value)[:40]!r}, wanted {TIME_WANTED}", param, ctx)
        return float(super().convert(seconds, param, ctx))


def host_options(command: F) -> F:
    """Add ``--hostfile`` and ``--host``."""
    hostfile = click.option(
        "--hostfile",
        metavar="PATH",
        help="Hosts of the job.  [default: $MPIJOB_HOSTFILE, else /etc/mpi/hostfile]",
    )
    host = click.option(
        "--host",
        metavar="NAME[:N],…",
        help="Hosts by name; 'localhost' asks for a run in this container.",
    )
    return hostfile(host(command))


def launch_options(command: F) -> F:
    """Add the options that ``launch`` and ``plan`` have in common."""
    ranks = click.option(
        "-n", "ranks", type=int, metavar="RANKS", help="How many ranks.  [default: all slots]"
    )
    env = click.option(
        "--env",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="A variable for the ranks; NAME or 'PATTERN*' takes the launcher's. Repeatable.",
    )
    binding = click.option(
        "--bind-to",
        type=click.Choice(BIND_TO),
        help="Processors of a rank: a NUMA node where its threads fit, none, or Open MPI's own "
        "way.  [default: $MPIJOB_BIND_TO, else auto]",
    )
    distinct = click.option(
        "--distinct-nodes",
        is_flag=True,
        help="Two hosts on one physical node are an error (76).",
    )
    with_output = output_options(stall_options(ending_options(binding(distinct(command)))))
    return ranks(host_options(wait_options(env(with_output))))


def wait_options(command: F) -> F:
    """Add ``--timeout``."""
    return click.option(
        "--timeout",
        "timeout_seconds",
        type=Time(0),
        metavar="TIME",
        help="Time for all hosts to accept a login, as 90 (seconds) or 10m.  "
        "[default: $MPIJOB_TIMEOUT, else 600]",
    )(command)


def ending_options(command: F) -> F:
    """Add ``--grace`` and ``--report``."""
    grace = click.option(
        "--grace",
        "grace_seconds",
        type=Time(0),
        metavar="TIME",
        help="Time for ranks to end after SIGTERM.  [default: $MPIJOB_GRACE, else 20]",
    )
    report = click.option(
        "--report", metavar="PATH", help="Write the outcome as JSON.  [default: $MPIJOB_REPORT]"
    )
    return grace(report(command))


def output_options(command: F) -> F:
    """Add ``--output`` and ``--log-dir``."""
    form = click.option(
        "--output",
        type=click.Choice(FORMS),
        help="Ranks' lines: '[3 worker-1] line', the line alone, an object a line, or "
        "mpirun's own.  [default: $MPIJOB_OUTPUT, else prefix]",
    )
    log_dir = click.option(
        "--log-dir",
        metavar="DIR",
        help="Write each rank's output to a file, too: START/rank-N.log, START being the id of "
        "this start, so that a retry touches no earlier log.  [default: $MPIJOB_LOG_DIR]",
    )
    return form(log_dir(command))


def stall_options(command: F) -> F:
    """Add ``--stall-timeout`` and ``--stall-action``."""
    timeout = click.option(
        "--stall-timeout",
        "stall_timeout_seconds",
        type=Time(0),
        metavar="TIME",
        help="Without progress for so long, show the ranks' stacks.  "
        "[default: $MPIJOB_STALL_TIMEOUT, else never]",
    )
    action = click.option(
        "--stall-action",
        type=click.Choice(STALL_ACTIONS),
        help="Then end the job (75), or let it go on.  [default: $MPIJOB_STALL_ACTION, else fail]",
    )
    return timeout(action(command))


def verbosity_options(command: F) -> F:
    """Add ``-q`` and ``-v``."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Say only warnings and errors.")
    verbose = click.option("-v", "--verbose", is_flag=True, help="Say more.")
    return quiet(verbose(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")


def read_settings(flags: Flags) -> Settings:
    """Return the settings of this process: flags over its environment."""
    restore_environ(os.environ)
    exists = os.path.exists(HOSTFILE)
    return Settings.from_environ(os.environ, flags=flags, hostfile_exists=exists)


def make_console(settings: Settings, *, quiet: bool, verbose: bool) -> Console:
    """Return the console that the flags and the environment ask for."""
    colour = False if settings.environ.get("NO_COLOR") else None
    least: Level = "warning" if quiet else "debug" if verbose else "info"
    return Console(log_format=settings.log_format, least=least, colour=colour)
