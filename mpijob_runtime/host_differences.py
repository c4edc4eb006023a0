"""What differs between the hosts of a job's ranks and ought not to: limits, umask, directory.

Layer: pure; imports differences for the table, facts, hosts, lists, records.
"""

from collections.abc import Iterable, Mapping

from mpijob_runtime.differences import format_table
from mpijob_runtime.facts import HostFacts
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
from mpijob_runtime.records import RankRecord

_SHOWN_HOSTS = 2
_KIB = 1 << 10
_NO_LIMIT = "unlimited"
_LABELS = {
    "nofile": "open files",
    "nproc": "processes",
    "memlock": "locked memory",
    "stack": "stack",
    "core": "size of core files",
}
_ENOUGH = {"nofile": 1 << 16, "nproc": 1 << 15, "core": 1}
"""From here on one limit is as good as another: container runtimes differ, and nobody minds."""

_COUNTS = frozenset({"nofile", "nproc"})
_HOW_TO_LIMIT = (
    "  next: give the nodes' container runtimes the same limits, or set them by ulimit in the"
    " workers' command"
)


def find_host_differences(hosts: Mapping[str, HostFacts]) -> dict[str, dict[str, list[str]]]:
    """Return label -> value -> its hosts, for each limit and the umask, if they differ.

    Args:
        hosts: those with ranks. How much memory may be locked matters to RDMA alone.
    """
    rdma = any(facts.usable_rdma for facts in hosts.values())
    found: dict[str, dict[str, list[str]]] = {}
    for host, facts in hosts.items():
        for label, value in _compared(facts, rdma=rdma).items():
            found.setdefault(label, {}).setdefault(value, []).append(host)
    return {label: values for label, values in found.items() if len(values) > 1}


def format_host_differences(differences: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return a table for people with the next step, or nothing if there is no difference."""
    table = format_table("hosts differ in what they should have alike:", differences, _names)
    return f"{table}\n{_HOW_TO_LIMIT}" if differences.keys() & {*_LABELS.values()} else table


def describe_directories(starts: Iterable[RankRecord], hosts: Mapping[str, HostFacts]) -> str:
    """Return a sentence if ranks start in their homes for want of the launcher's directory.

    Ranks that start elsewhere were told to by ``-wdir``: those miss nothing.

    Args:
        starts: the ranks' own.
        hosts: by the names that the records have.
    """
    lacking: dict[tuple[str, str], list[str]] = {}
    for record in sorted(starts, key=lambda start: start.rank):
        facts = hosts.get(record.host)
        if facts is not None and facts.missing_directory and record.directory == facts.home:
            where = lacking.setdefault((facts.missing_directory, facts.home), [])
            where.extend([record.host] if record.host not in where else [])
    sentences = (
        f"working directory {directory} is not on {_names(names)}; ranks start in {home}"
        for (directory, home), names in lacking.items()
    )
    text = "\n".join(sentences)
    remedy = "put it into the image or on a volume of all pods, or name another by -wdir"
    return f"{text}\n  next: {remedy}" if text else ""


def _compared(facts: HostFacts, *, rdma: bool) -> dict[str, str]:
    limits = {
        _LABELS[limit.name]: _show(limit.name, limit.most)
        for limit in facts.limits
        if limit.name in _LABELS and (rdma or limit.name != "memlock")
    }
    return limits | ({} if facts.umask is None else {"umask": f"{facts.umask:04o}"})


def _show(name: str, most: int | None) -> str:
    enough = _ENOUGH.get(name)
    if enough is not None and (most is None or most >= enough):
        return "any" if name == "core" else f"{enough} or more"
    if most is None:
        return _NO_LIMIT
    return str(most) if name in _COUNTS else f"{most // _KIB} KiB"


def _names(hosts: list[str]) -> str:
    return format_list([short_name(host) for host in hosts], most=_SHOWN_HOSTS)
