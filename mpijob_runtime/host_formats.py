"""Hosts as others than Open MPI and mpi-operator's hostfile write them.

Hydra (``HYDU_parse_hostfile`` of MPICH 4 and Intel MPI), Volcano's comma lists and files, the
hostfile of training-operator v1, and what ``discover_hosts.sh`` prints. All are as strict as
``parse_hostfile``, and end in the same errors.

Layer: pure; imports hosts.
"""

from collections.abc import Mapping
from types import MappingProxyType

from mpijob_runtime.hosts import (
    Host,
    Hostfile,
    LineError,
    at_least_one,
    content,
    parse_lines,
    shown,
    split_name,
)

_HYDRA_KEYS = ("binding", "user")


def parse_hydra_hostfile(data: bytes, *, path: str) -> Hostfile:
    """Read ``NAME[:N] [binding=…] [user=…]`` lines.

    The two keys say how Hydra starts its own proxies; their form is checked, and they are left
    out. A host without a number has one slot.

    Raises:
        HostfileError: with every wrong line, or if there is no host.
    """
    return at_least_one(parse_lines(data, _hydra_line, path=path), data, path=path)


def parse_volcano_hosts(text: str, *, source: str) -> Hostfile:
    """Read Volcano's hosts: ``NAME,NAME`` of a variable, or a ``.host`` file's lines.

    Volcano knows no slots: each host has one.

    Args:
        text: the list; a comma at the end, as upstream's examples make it, is no host.
        source: the variable or the file, for messages.

    Raises:
        HostfileError: with every wrong name, or if there is none.
    """
    data = text.replace(",", "\n").encode(errors="surrogateescape")
    return at_least_one(parse_lines(data, _volcano_line, path=source), data, path=source)


def parse_training_operator_hostfile(data: bytes, *, path: str) -> Hostfile:
    """Read training-operator v1's ``POD slots=N`` lines.

    The names are those of pods, as ``kubectl exec`` takes them; no name service knows them.

    Raises:
        HostfileError: with every wrong line, or if there is no host.
    """
    hosts = parse_lines(data, _training_operator_line, path=path)
    return at_least_one(hosts, data, path=path)


def parse_discovered_hosts(
    data: bytes,
    *,
    path: str,
    slots: Mapping[str, int] = MappingProxyType({}),
    default_slots: int = 1,
) -> tuple[Host, ...]:
    """Read what a script for host discovery prints: ``NAME`` or ``NAME:N`` lines.

    No host at all is an answer, too: no worker runs yet.

    Args:
        data: the script's output.
        path: the script, for messages.
        slots: name -> slots, for lines that give none.
        default_slots: for those that are not in ``slots`` either.

    Raises:
        HostfileError: with every wrong line.
    """

    def line(raw: str) -> Host | None:
        word = content(raw)
        return _name_and_count(word, slots.get(word, default_slots))

    return parse_lines(data, line, path=path)


def format_discovered_hosts(hosts: tuple[Host, ...]) -> str:
    """Return ``NAME:N`` lines, as ``horovodrun --host-discovery-script`` wants them."""
    return "".join(f"{host.name}:{host.slots}\n" for host in hosts)


def _hydra_line(raw: str) -> Host | None:
    words = content(raw).split()
    seen = set()
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key not in _HYDRA_KEYS or not equals or not value:
            raise LineError(shown(word), "'binding=…' or 'user=…'")
        if key in seen:
            raise LineError(f"{shown(key)} a second time", f"the {key} once")
        seen.add(key)
    return _name_and_count(words[0], 1) if words else None


def _volcano_line(raw: str) -> Host | None:
    word = content(raw)
    if not word:
        return None
    name, count = split_name(word)
    if count is not None:
        raise LineError(shown(word), "a name alone: Volcano's lists have no slots")
    return Host(name)


def _training_operator_line(raw: str) -> Host | None:
    name, _, slots = content(raw).partition(" ")
    if not name:
        return None
    if "." in name:
        raise LineError(shown(name), "a pod's bare name, as kubectl exec takes it")
    key, equals, number = slots.strip().partition("=")
    if key != "slots" or not equals:
        raise LineError(shown(slots.strip()), "'slots=N'")
    return _name_and_count(f"{name}:{number}", 1)


def _name_and_count(word: str, default_slots: int) -> Host | None:
    if not word:
        return None
    name, count = split_name(word)
    return Host(name, default_slots if count is None else count)
