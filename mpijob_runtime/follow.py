"""Gathers the ranks' records while a job runs: over ssh from other hosts, from a file here.

Layer: effects (threads, ssh); imports carried, probes.ssh, records.
"""

import shlex
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from mpijob_runtime import carried
from mpijob_runtime.probes.ssh import HostRefusal, SshConnection
from mpijob_runtime.records import RankRecord, parse_record

_FINAL_SECONDS = 5.0
_MOST_THREADS = 64


class RecordFollower:
    """Follows the records of one attempt on all hosts.

    Args:
        connections: host -> its connection; the follower does not close them.
        attempt: the attempt's id.
        run_dir: our own run directory, for ranks that run beside us.
        on_record: called for each record as it arrives, one call at a time.
    """

    def __init__(
        self,
        connections: Mapping[str, SshConnection],
        *,
        attempt: str,
        run_dir: str,
        on_record: Callable[[RankRecord], None],
    ) -> None:
        self._connections = connections
        self._attempt = attempt
        self._local = carried.records_file(run_dir, attempt)
        self._on_record = on_record
        self._lock = threading.Lock()
        self._seen: set[RankRecord] = set()

    def start(self) -> None:
        """Follow every host in a thread of its own; threads end with their connections."""
        command = follow_command(self._attempt)
        for host, connection in self._connections.items():
            thread = threading.Thread(
                target=lambda c=connection: self._take(c.lines(command)),
                daemon=True,
                name=f"follow-{host}",
            )
            thread.start()

    def collect(self) -> tuple[list[RankRecord], list[str]]:
        """Read every file once more, now that the job is over.

        Returns:
            All records, and the names of hosts that did not answer any more.
        """
        command = read_command(self._attempt)
        lost: list[str] = []
        if self._connections:
            with ThreadPoolExecutor(min(_MOST_THREADS, len(self._connections))) as pool:
                results = pool.map(lambda c: _read_host(c, command), self._connections.values())
                for host, text in zip(self._connections, results, strict=True):
                    if text is None:
                        lost.append(host)
                    else:
                        self._take(text.splitlines())
        self._take(_read_local(self._local))
        return sorted(self._seen, key=lambda r: (r.time_seconds, r.rank)), lost

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            record = parse_record(line)
            with self._lock:
                if record is None or record in self._seen:
                    continue
                self._seen.add(record)
                self._on_record(record)


def follow_command(attempt: str) -> str:
    """Return the shell command that streams a host's records until its ssh session ends."""
    file = _remote_file(attempt)
    return (
        f'umask 077; mkdir -p "${{{carried.RUN_DIR}}}/attempts" && : >> {file} '
        f"&& exec tail -n +1 -f --pid=$PPID {file}"
    )


def read_command(attempt: str) -> str:
    """Return the shell command that prints a host's records."""
    return f"cat {_remote_file(attempt)} 2>/dev/null || :"


def _remote_file(attempt: str) -> str:
    path = carried.records_file("", attempt)
    return f'"${{{carried.RUN_DIR}}}"{shlex.quote(path)}'


def _read_host(connection: SshConnection, command: str) -> str | None:
    try:
        return connection.run(command, timeout_seconds=_FINAL_SECONDS).stdout
    except HostRefusal:
        return None


def _read_local(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
