"""What an agent says of its host, as facts.

A host's word is not trusted: what is not as it should be is left out.

Layer: pure; imports cpu_lists, facts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface

from mpijob_runtime.cpu_lists import parse_cpu_list
from mpijob_runtime.facts import HostFacts, InterfaceFacts, LimitFacts, RdmaFacts

_MOST_ITEMS = 4096
_LONGEST_TEXT = 64
_LONGEST_PATH = 4096
_MOST_PORTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a host's agent can be asked by others.

    Attributes:
        word: by which they know it; empty if it has said none.
        ports: address -> TCP port.
    """

    word: str
    ports: Mapping[str, int]


def parse_host_facts(said: Mapping[str, object]) -> HostFacts:
    """Return the facts in an agent's description of its machine (machine.py)."""
    return HostFacts(
        cpus=max(1, _whole(said.get("cpus"), 1)),
        interfaces=tuple(_interfaces(said.get("interfaces"))),
        rdma=tuple(_rdma(said.get("rdma"))),
        memlock_bytes=_not_negative(said.get("memlock_bytes")),
        shm_bytes=_whole(said.get("shm_bytes"), 0),
        shm_free_bytes=_not_negative(said.get("shm_free_bytes")),
        gpu_driver=said.get("gpu_driver") is True,
        limits=tuple(_limits(said.get("limits"))),
        umask=_not_negative(said.get("umask")),
        missing_directory=_path(said.get("missing_directory")),
        home=_path(said.get("home")),
        cpu_nodes=tuple(_cpu_nodes(said)),
    )


def parse_listening(said: object) -> Listening:
    """Return what an agent answers to ``links``: it goes to other hosts as it is."""
    links = _mapping(said)
    word, ports = _text(links.get("word")), _mapping(links.get("ports"))
    known = {name: _whole(port, 0) for name, port in ports.items()}
    return Listening(
        word=word if word.isalnum() else "",
        ports={name: port for name, port in known.items() if 0 < port < _MOST_PORTS},
    )


def _cpu_nodes(said: Mapping[str, object]) -> Iterable[tuple[int, ...]]:
    allowed = {cpu for cpu in _list(said.get("allowed_cpus")) if isinstance(cpu, int)}
    for text in _list(said.get("cpu_nodes")):
        try:
            node = parse_cpu_list(text if isinstance(text, str) else "")
        except ValueError:
            continue
        cpus = tuple(cpu for cpu in node if cpu in allowed)
        if cpus:
            yield cpus


def _interfaces(items: object) -> Iterable[InterfaceFacts]:
    for item in _mappings(items):
        name, speed = _text(item.get("name")), _whole(item.get("speed"), -1)
        addresses = tuple(text for text in _texts(item.get("addresses")) if _is_address(text))
        if name and addresses:
            mtu = _whole(item.get("mtu"), 0)
            yield InterfaceFacts(name, mtu, speed if speed > 0 else None, addresses)


def _rdma(items: object) -> Iterable[RdmaFacts]:
    for item in _mappings(items):
        name, kind, state, rate = (_text(item.get(k)) for k in ("name", "kind", "state", "rate"))
        yield RdmaFacts(name, kind, state, rate, usable=item.get("usable") is True)


def _limits(said: object) -> Iterable[LimitFacts]:
    for name, most in _mapping(said).items():
        if _text(name):
            yield LimitFacts(name, _not_negative(most))


def _is_address(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return True


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _not_negative(value: object) -> int | None:
    number = _whole(value, -1)
    return number if number >= 0 else None


def _path(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST_PATH and text.isprintable() else ""


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST_TEXT and text.isprintable() else ""


def _list(value: object) -> list[object]:
    return value[:_MOST_ITEMS] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [text for item in _list(value) if (text := _text(item))]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) and len(value) <= _MOST_ITEMS else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [found for item in _list(value) if (found := _mapping(item))]
