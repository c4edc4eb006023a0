"""Which job a command means, given what the user typed."""

from collections.abc import Sequence

from mpijob_runtime.errors import UsageError


def select_job(name: str | None, jobs: Sequence[str]) -> str:
    """Return the one job (``namespace/name``) that is meant.

    Args:
        name: ``name`` or ``namespace/name``; None means the only job there is.
        jobs: the jobs there are.

    Raises:
        UsageError: none or more than one fits.
    """
    fitting = [job for job in jobs if name is None or name in (job, job.partition("/")[2])]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(jobs) or "none"
    if fitting:
        raise UsageError(f"more than one job: {', '.join(fitting)}", remedy="name one of them")
    what = f"no job {name}" if name else "no job"
    raise UsageError(f"{what} on this machine (known: {known})", remedy="mpijob-local ps")
