"""``mpijob-local logs``."""

import time
from collections.abc import Iterator, Sequence

import click

from mpijob_local.cli.selection import select_job
from mpijob_local.logs import LogFollower, LogLine
from mpijob_local.machine import podman_for
from mpijob_local.output import LogPrinter
from mpijob_local.podman import Engine
from mpijob_local.removal import PodStatus, list_jobs, list_pods
from mpijob_local.settings import LocalSettings
from mpijob_local.state import JobState
from mpijob_runtime.errors import UsageError

_POLL_SECONDS = 0.2
_POLLS_PER_LOOK = 10


@click.command(epilog="Examples: mpijob-local logs pi; mpijob-local logs pi --pod pi-worker-0 -f")
@click.argument("job", required=False)
@click.option("--pod", metavar="NAME", help="Only this pod, without its name before each line.")
@click.option("-f", "--follow", is_flag=True, help="Go on until no pod of the job runs.")
@click.pass_context
def logs(context: click.Context, *, job: str | None, pod: str | None, follow: bool) -> None:
    """Print what the pods of a JOB wrote; without JOB, of the only one there is."""
    settings: LocalSettings = context.obj
    engine, _ = podman_for(settings)
    name = select_job(job, list_jobs(engine))
    pods = _wanted(list_pods(engine, name), pod)
    printer = LogPrinter(
        max(len(it.pod) for it in pods), coloured=settings.coloured, bare=pod is not None
    )
    namespace, _, job_name = name.partition("/")
    state = JobState.of(settings.home, namespace=namespace, job=job_name)
    follower = LogFollower()
    for each in pods:
        follower.add(each.pod, state.logs / f"{each.pod}.log")
    for source, line in _lines(follower, engine, name if follow else None):
        printer.write(source, line)
        printer.flush()


def _lines(
    follower: LogFollower, engine: Engine, followed_job: str | None
) -> Iterator[tuple[str, LogLine]]:
    """Yield what there is, and what comes while the followed job has running pods."""
    while followed_job and any(pod.exit_code is None for pod in list_pods(engine, followed_job)):
        for _ in range(_POLLS_PER_LOOK):
            yield from follower.poll()
            time.sleep(_POLL_SECONDS)
    yield from follower.finish()


def _wanted(pods: Sequence[PodStatus], name: str | None) -> Sequence[PodStatus]:
    wanted = [pod for pod in pods if name in (None, pod.pod)]
    if not wanted:
        known = ", ".join(pod.pod for pod in pods) or "none"
        raise UsageError(f"no pod {name or 'yet'} (known: {known})", remedy="mpijob-local ps")
    return wanted
