"""Hosts and hostfiles: parse, format, count.

Two spellings of a line are read: ``NAME slots=N`` (Open MPI) and ``NAME:N`` (Hydra).
Stricter than Open MPI, whose versions disagree on most odd input: 5.0 takes a byte-order mark
for one more host and runs there.

Layer: pure; imports only errors.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mpijob_runtime.errors import HostfileError, Problem

MAX_SLOTS = 1_000_000
"""Upper bound for slots: far above any machine, far below integer trouble in mpirun."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_KEY = re.compile(r"([^\s=]+)\s*=\s*(\S+)")
_SLOTS_KEYS = frozenset({"slots", "cpu", "count"})
_MAX_SLOTS_KEYS = frozenset({"max_slots", "max-slots"})
_SHOWN_CHARACTERS = 60
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that ranks can run on.

    Attributes:
        name: the name as the hostfile has it, usually ``POD.JOB.NAMESPACE.svc``.
        slots: how many ranks it takes; at least 1.
    """

    name: str
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Hostfile:
    """The hosts of a job, in the order in which ranks fill them.

    Attributes:
        hosts: at least one.
        source: the path or flag they come from, for messages.
    """

    hosts: tuple[Host, ...]
    source: str

    @property
    def world_size(self) -> int:
        """The sum of all slots: how many ranks fit."""
        return sum(host.slots for host in self.hosts)


def short_name(name: str) -> str:
    """Return the first label of a name, which is the pod's; an address stays whole."""
    label = name.split(".", 1)[0]
    return name if label.isdigit() else label


class LineError(Exception):
    """What is wrong with one line: what was found and what was wanted.

    Never leaves this package's parsers, which collect all of a file's.
    """

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(found, wanted)
        self.found = found
        self.wanted = wanted


def parse_hostfile(data: bytes, *, path: str, default_slots: int = 1) -> Hostfile:
    """Read a hostfile's bytes.

    Args:
        data: the file as it is.
        path: its name, for messages.
        default_slots: slots of a line that gives none.

    Raises:
        HostfileError: with every wrong line, each with what was found and wanted.
    """
    hosts = parse_lines(data, lambda line: _parse_line(line, default_slots), path=path)
    return at_least_one(hosts, data, path=path)


def parse_lines(
    data: bytes, parse_line: Callable[[str], Host | None], *, path: str
) -> tuple[Host, ...]:
    """Read hosts line by line and collect everything that is wrong.

    Args:
        data: the file as it is.
        parse_line: gives a line's host, None for a line without one, or raises LineError.
        path: its name, for messages.

    Raises:
        HostfileError: with every wrong line, and every host that is there twice.
    """
    hosts: list[Host] = []
    problems: list[Problem] = []
    first_line: dict[str, int] = {}
    for number, raw in enumerate(_decode(data, path).split("\n"), start=1):
        try:
            host = parse_line(raw)
        except LineError as error:
            problems.append(Problem(number, error.found, error.wanted))
            continue
        if host is None:
            continue
        key = host.name.rstrip(".").lower()
        if key in first_line:
            wanted = f"each host once (it is on line {first_line[key]})"
            problems.append(Problem(number, f"host {host.name} a second time", wanted))
            continue
        first_line[key] = number
        hosts.append(host)
    if problems:
        raise HostfileError(path, problems, remedy=f"correct {path} and start the job again")
    return tuple(hosts)


def parse_host_list(text: str, *, source: str = "--host") -> Hostfile:
    """Read ``NAME[:N],NAME[:N]…``, the form of the ``--host`` flag.

    Raises:
        HostfileError: for an empty list, a wrong name or count, or a name given twice.
    """
    lines = text.replace(",", "\n")
    return parse_hostfile(lines.encode(errors="surrogateescape"), path=source)


def format_hostfile(hosts: Iterable[Host]) -> str:
    """Return ``NAME slots=N`` lines, which Open MPI 4 and 5 read alike."""
    return "".join(f"{host.name} slots={host.slots}\n" for host in hosts)


def at_least_one(hosts: tuple[Host, ...], data: bytes, *, path: str) -> Hostfile:
    """Return the hosts as a job's.

    Raises:
        HostfileError: if there is none; ``data`` says whether the file is empty.
    """
    if hosts:
        return Hostfile(hosts, path)
    found = "no host in it" if data.strip() else "an empty file"
    raise HostfileError(
        path,
        [Problem(0, found, "at least one line 'NAME slots=N'")],
        remedy="give the job worker replicas, or ask for a local run with --host localhost",
    )


def missing_hostfile(path: str, reason: str) -> HostfileError:
    """Return the error for a hostfile that cannot be read."""
    return HostfileError(
        path,
        [Problem(0, reason, "a readable file with a line 'NAME slots=N' per host")],
        remedy="check --hostfile, MPIJOB_HOSTFILE and the operator's mount /etc/mpi",
    )


def _decode(data: bytes, path: str) -> str:
    if b"\0" in data:
        raise HostfileError(
            path,
            [Problem(data.count(b"\n", 0, data.index(b"\0")) + 1, "a zero byte", "plain text")],
            remedy="give the hostfile, not a binary file",
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{data[error.start]:02x}, which is not UTF-8"
        raise HostfileError(path, [Problem(line, found, "plain text")]) from error


def _parse_line(raw: str, default_slots: int) -> Host | None:
    """Return the host of a line, or None for a blank line or a comment."""
    line = content(raw)
    if not line:
        return None
    word, *rest = line.split(None, 1)
    name, count = split_name(word)
    return Host(name, _parse_keys(rest[0] if rest else "", count, default_slots))


def content(raw: str) -> str:
    """Return what stands in a line besides spaces and a comment.

    Raises:
        LineError: for bytes that one Open MPI or another takes for part of a name.
    """
    if raw.startswith(_BYTE_ORDER_MARK):
        raise LineError("a byte-order mark", "UTF-8 without one")
    if "\r" in raw:
        raise LineError("a carriage return", "lines that end in a line feed alone")
    return raw.split("#", 1)[0].strip()


def split_name(word: str) -> tuple[str, int | None]:
    """Split ``NAME`` or ``NAME:N``.

    Raises:
        LineError: for what cannot be a host name, or a wrong count.
    """
    if word.count(":") > 1 or "[" in word:
        raise LineError(shown(word), "a host name (IPv6 literals have no meaning to ssh agents)")
    name, colon, count = word.partition(":")
    if not _NAME.fullmatch(name) or len(name) > 253:  # noqa: PLR2004 - RFC 1035's limit
        raise LineError(shown(word), "a host name of letters, digits, '-', '_' and '.'")
    return name, _parse_count(count, "slots") if colon else None


def _parse_keys(text: str, count: int | None, default_slots: int) -> int:
    """Read ``slots=N max_slots=M`` and return the slots."""
    slots, most = count, None
    rest = _KEY.sub("", text).strip()
    if rest:
        raise LineError(shown(rest), "'slots=N'")
    for key, value in _KEY.findall(text):
        if key in _SLOTS_KEYS and slots is None:
            slots = _parse_count(value, key)
        elif key in _SLOTS_KEYS:
            raise LineError(f"{shown(key)} a second time", "the slots once")
        elif key in _MAX_SLOTS_KEYS:
            most = _parse_count(value, key)
        else:
            raise LineError(f"key {shown(key)}", "'slots' or 'max_slots'")
    resolved = default_slots if slots is None else slots
    if most is not None and most < resolved:
        raise LineError(f"max_slots={most} below slots={resolved}", "max_slots of at least that")
    return resolved


def _parse_count(text: str, key: str) -> int:
    wanted = f"a whole number from 1 to {MAX_SLOTS}"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004 - digits
        raise LineError(f"{key} {shown(text)}", wanted)
    if not 1 <= int(text) <= MAX_SLOTS:
        raise LineError(f"{key} {text}", wanted)
    return int(text)


def shown(text: str) -> str:
    """Return text quoted for a message, without control characters and not too long."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
