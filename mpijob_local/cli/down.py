"""``mpijob-local down``."""

import click

from mpijob_local.cli.selection import select_job
from mpijob_local.machine import podman_for
from mpijob_local.output import Reporter, make_console
from mpijob_local.removal import list_jobs, remove_job, stop_owner
from mpijob_local.settings import LocalSettings
from mpijob_runtime.errors import UsageError


@click.command(epilog="Examples: mpijob-local down pi; mpijob-local down --all")
@click.argument("job", required=False)
@click.option("--all", "every", is_flag=True, help="Remove every job of this machine.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.pass_context
def down(context: click.Context, *, job: str | None, every: bool, quiet: bool) -> None:
    """Remove a JOB (name or namespace/name): its pods, networks and files, running or not.

    Touches nothing without the label mpijob.local/job.
    """
    if every == (job is not None):
        message = "give either a job or --all"
        raise UsageError(message, remedy="mpijob-local ps lists the jobs")
    settings: LocalSettings = context.obj
    engine, _ = podman_for(settings)
    reporter = Reporter(make_console(coloured=settings.coloured), quiet)
    jobs = list_jobs(engine)
    for name in jobs if every else (select_job(job, jobs),):
        stop_owner(name, home=settings.home)
        pods = remove_job(engine, name, home=settings.home)
        reporter.step(f"{name}: removed, with its networks and {pods} pods")
