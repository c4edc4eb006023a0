"""``mpijob-runtime wait``."""

import json
import time

import click

from mpijob_runtime.cli.options import (
    host_options,
    json_option,
    make_console,
    read_settings,
    verbosity_options,
    wait_options,
)
from mpijob_runtime.errors import HostsNotReadyError, MpiJobError
from mpijob_runtime.settings import Flags


@click.command("wait")
@host_options
@wait_options
@json_option
@verbosity_options
def command(
    *,
    hostfile: str | None,
    host: str | None,
    timeout_seconds: float | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Wait until every host accepts the job's ssh login.

    \b
    Examples:
      mpijob-runtime wait --timeout 60
      mpijob-runtime wait --host worker-0,worker-1 --json
    """
    from mpijob_runtime.crew import wait_for_logins
    from mpijob_runtime.launch import make_plan

    settings = read_settings(Flags(hostfile=hostfile, host=host, timeout_seconds=timeout_seconds))
    console = make_console(settings, quiet=quiet or as_json, verbose=verbose)
    plan, facts = make_plan(settings, ("true",))
    began = time.monotonic()
    missing: dict[str, str] = {}
    failure: MpiJobError | None = None
    try:
        for connection in wait_for_logins(settings, plan, facts, console).values():
            connection.close()
    except MpiJobError as error:
        if not as_json:
            raise
        failure = error
        missing = error.reasons if isinstance(error, HostsNotReadyError) else {}
    if as_json:
        names = [host.name for host in plan.hosts.hosts]
        known = failure is None or bool(missing)
        data = {
            "ready": [name for name in names if known and name not in missing],
            "missing": missing,
            "error": None if failure is None else failure.message,
            "waited_seconds": round(time.monotonic() - began, 3),
        }
        click.echo(json.dumps(data, indent=2))
    return 0 if failure is None else failure.exit_code
