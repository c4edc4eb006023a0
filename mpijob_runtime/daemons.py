"""Starts mpirun's daemons over the connections that readiness has opened.

Layer: effects (sockets, threads); imports carried, hosts, refusal, run_dir.
"""

from __future__ import annotations

import os
import shlex
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mpijob_runtime import carried
from mpijob_runtime.hosts import short_name
from mpijob_runtime.refusal import HostRefusal
from mpijob_runtime.run_dir import at_socket

if TYPE_CHECKING:
    from mpijob_runtime.probes.ssh import SshChannel, SshConnection

_LONGEST_REQUEST = 1 << 20
_BACKLOG = 1024
_TELL = "exit $?"
"""Keeps a shell, which tells a daemon's signal as 128 + n; ssh's own word for it is not read."""


class DaemonStarter:
    """Serves mpirun's calls of our remote shell (rsh.py) on a socket in the run directory.

    mpirun may call before a host is ready: the call waits for the host. The last host's waits
    until all checks are over, so that no rank can start before.

    Args:
        hosts: the remote hosts of the plan.
        attempt: the attempt's id; every daemon has it in its environment.
        run_dir: where the socket is made.
        on_outsider: called with the name of a host that is not of the plan.

    Attributes:
        contacted: hosts to which daemons were sent.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        attempt: str,
        run_dir: str,
        on_outsider: Callable[[str], None],
    ) -> None:
        self._names = {short_name(host): host for host in hosts} | {host: host for host in hosts}
        self._missing = len(hosts)
        self._attempt = attempt
        self._run_dir = run_dir
        self._name = carried.rsh_socket(attempt)
        self._on_outsider = on_outsider
        self._changed = threading.Condition()
        self._connections: dict[str, SshConnection] = {}
        self._last: SshConnection | None = None
        self._closed = False
        self._without_tmp: set[str] = set()
        self.contacted: set[str] = set()
        self._daemons: dict[str, SshChannel] = {}

    @property
    def ended(self) -> dict[str, int]:
        """Host -> exit code of its daemon, 128 + n for a signal, as far as they have ended."""
        codes = {host: daemon.code_so_far for host, daemon in dict(self._daemons).items()}
        return {host: code for host, code in codes.items() if code is not None}

    def add(self, connection: SshConnection, *, tmp: bool = True) -> None:
        """Let mpirun start daemons on a host; on the last one only after ``complete``.

        Args:
            connection: to the host.
            tmp: whether its directory for temporary files is of use.
        """
        with self._changed:
            if not tmp:
                self._without_tmp.add(connection.host)
            self._missing -= 1
            if self._missing:
                self._connections[connection.host] = connection
            else:
                self._last = connection
            self._changed.notify_all()

    def complete(self) -> None:
        """All hosts are ready, and nothing speaks against the start."""
        with self._changed:
            if self._last is not None:
                self._connections[self._last.host] = self._last
            self._changed.notify_all()

    def start(self) -> None:
        """Listen, in threads that end with this process."""
        listener = socket.socket(socket.AF_UNIX)
        at_socket(self._run_dir, self._name, listener.bind)
        listener.listen(_BACKLOG)
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True, name="daemons").start()

    def close(self) -> None:
        """Take no more calls."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with suppress(OSError):
            os.unlink(f"{self._run_dir}/{self._name}")

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            request = caller.makefile("rb").read(_LONGEST_REQUEST).decode(errors="replace")
            host, _, command = request.partition("\0")
            if host not in self._names:
                self._on_outsider(host)
                caller.sendall(b"\0" + carried.BY_SSH + b"\n")
                return
            connection = self._wait_for(self._names[host])
            if connection is not None:
                self.contacted.add(connection.host)
                self._run(caller, connection, command)

    def _wait_for(self, host: str) -> SshConnection | None:
        """Return the connection to a host once it is ready, or None if all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or host in self._connections)
            return None if self._closed else self._connections.get(host)

    def _run(self, caller: socket.socket, connection: SshConnection, command: str) -> None:
        """Pass on what the daemon says, and at last its exit code."""
        prefix = f"export {carried.ATTEMPT}={shlex.quote(self._attempt)}; "
        if connection.host in self._without_tmp:
            prefix += "export TMPDIR=/dev/shm; "
        try:
            channel = connection.start(f"{prefix}{command}\n{_TELL}", merge_stderr=True)
            self._daemons[connection.host] = channel
            while data := channel.read():
                caller.sendall(data.replace(b"\0", b""))
            code = channel.exit_code()
        except HostRefusal as refusal:
            caller.sendall(f"mpijob: {connection.host}: {refusal}\n".encode())
            code = 255
        caller.sendall(f"\0{code}\n".encode())
