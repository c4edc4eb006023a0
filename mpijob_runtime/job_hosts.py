"""Which names are this job's hosts: those that the operator lists, and the pods beside this one.

Layer: pure; imports nothing of ours.
"""

from collections.abc import Iterable, Iterator


def is_job_host(name: str, *, listed: Iterable[str], own: Iterable[str]) -> bool:
    """Tell whether a host belongs to this job.

    Workers are given no list. But operators call every pod ``JOB-…`` and put it into the domain of
    a service of the job's name, so a pod knows its peers by its own full name. Both are asked for:
    a job that is called ``dev`` does not own ``git.dev``.

    Args:
        name: as somebody types it, long or short.
        listed: hosts that the operator's files name.
        own: names of this container.
    """
    wanted = name.rstrip(".").lower()
    names = {host.lower() for host in (*listed, *own)}
    if any(wanted in name_forms(known) or _is_longer(wanted, known) for known in names):
        return True
    return any(_is_beside(wanted, known) for known in own)


def parse_listed(text: str) -> tuple[str, ...]:
    """Return the hosts of a hostfile, or of a script that says ``echo`` for each.

    It takes what it finds: a wrong hostfile is told by the launch, in full.
    """
    lines = (line.partition("#")[0].strip().removeprefix("echo ") for line in text.splitlines())
    return tuple(line.split()[0].partition(":")[0] for line in lines if line.split())


def names_in(hosts_text: str, hostname: str) -> Iterator[str]:
    """Yield the address and the names on each line of /etc/hosts that has this host's name."""
    for line in hosts_text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if hostname in names:
            yield from (name for name in names if not name.startswith("localhost"))
            if not address.startswith("127.") and address != "::1":
                yield address


def name_forms(name: str) -> Iterator[str]:
    """Yield a name and what remains of it without its last labels; an address only whole."""
    labels = [name] if _is_address(name) else name.split(".")
    yield from (".".join(labels[:count]) for count in range(1, len(labels) + 1) if labels[0])


def _is_longer(wanted: str, known: str) -> bool:
    """Tell whether a name is a listed one with more of its domain: ``w0.job.ns`` for ``w0.job``."""
    return "." in known and not _is_address(known) and wanted.startswith(f"{known}.")


def _is_beside(wanted: str, own: str) -> bool:
    """Tell whether a name is that of a pod in the same service as this one."""
    _, *domain = [own] if _is_address(own) else own.lower().split(".")
    pod, *rest = wanted.split(".")
    return bool(domain) and pod.startswith(f"{domain[0]}-") and rest == domain[: len(rest)]


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()
