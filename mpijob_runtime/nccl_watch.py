"""Which NCCL a job's ranks have loaded, and what its log says of how they are connected.

Layer: effects (clock); imports console, hosts, nccl_log, probes.nccl for the version, watch.
"""

import json
from collections.abc import Mapping, Sequence

from mpijob_runtime.console import Console
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
from mpijob_runtime.nccl_log import NcclLog
from mpijob_runtime.probes.nccl import decode_version
from mpijob_runtime.watch import HostWatch, tell_all

_ASKED_AFTER_SECONDS = (10.0, 60.0, 300.0)
"""A program has imported torch, and with it NCCL, by the first; big ones by the others."""

_SHOWN_HOSTS = 3


class NcclWatch:
    """Follows NCCL through a job.

    Args:
        watches: the hosts' agents.
        console: where to say that versions differ.
    """

    def __init__(self, watches: Sequence[HostWatch], console: Console) -> None:
        self._watches = watches
        self._console = console
        self._log = NcclLog()
        self._loaded: dict[str, str] = {}
        self._asked = 0
        self._said = False

    def read(self, rank: int, data: bytes) -> None:
        """Take what a rank has written."""
        self._log.add(rank, data)

    def note(self, host: str, event: Mapping[str, object]) -> None:
        """Take a host's word of the library that its ranks have loaded."""
        version = _version(str(event.get("answer")))
        if version:
            self._loaded[host] = version
        if len(set(self._loaded.values())) > 1 and not self._said:
            self._said = True
            self._console.warning(f"hosts have loaded different NCCLs: {self._describe_loaded()}")

    def act(self, passed_seconds: float) -> None:
        """Ask the hosts when it is time to, until one has answered.

        Args:
            passed_seconds: since the ranks' programs have started.
        """
        due = sum(1 for after in _ASKED_AFTER_SECONDS if passed_seconds >= after)
        if due > self._asked and not self._loaded:
            tell_all(self._watches, do="nccl")
        self._asked = max(self._asked, due)

    def to_json(self) -> dict[str, object] | None:
        """Return what is known, in words and as plain data; None if there was no NCCL."""
        summary = self._log.summary()
        words = summary.describe()
        if not self._loaded and not words:
            return None
        if not words:
            words = f"NCCL {self._describe_loaded()}; its log (NCCL_DEBUG=INFO) would tell its ways"
        return {"words": words, "loaded": dict(self._loaded), **summary.to_json()}

    def _describe_loaded(self) -> str:
        hosts: dict[str, list[str]] = {}
        for host, version in self._loaded.items():
            hosts.setdefault(version, []).append(short_name(host))
        if len(hosts) == 1:
            return next(iter(hosts))
        listed = {v: format_list(names, most=_SHOWN_HOSTS) for v, names in sorted(hosts.items())}
        parts = (f"{version} on {names}" for version, names in listed.items())
        return "; ".join(parts)


def _version(text: str) -> str | None:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    code = answer.get("code") if isinstance(answer, dict) else None
    return decode_version(code) if isinstance(code, int) and code > 0 else None
