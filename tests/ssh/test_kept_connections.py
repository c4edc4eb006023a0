"""Connections that stay open while a job runs: cheap while nothing comes, and broken in time."""

import re
import socket
import time
from pathlib import Path

import pytest

from mpijob_runtime.probes.ssh import probe_ssh


@pytest.fixture
def connect(server, identity):
    """Return a function that logs in to the server; connections are closed at the end."""
    opened = []

    def call():
        opened.append(
            probe_ssh(server.address, port=server.port, identity=identity, timeout_seconds=5)
        )
        return opened[-1]

    yield call
    for connection in opened:
        connection.close()


def count_wakings():
    """Return how often the threads of this process have slept and woken up."""
    states = (path.read_text() for path in Path("/proc/self/task").glob("*/status"))
    counts = re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", "".join(states), re.MULTILINE)
    return sum(map(int, counts))


def test_open_connections_do_not_wake_the_launcher(connect):
    """1,000 of them looked around ten times a second each, with paramiko's defaults."""
    for _ in range(5):
        connect()
    time.sleep(0.3)  # what comes after a login has come
    before = count_wakings()
    time.sleep(1.0)
    assert count_wakings() - before < 25


def test_closing_ends_the_thread_and_the_servers_session_at_once(connect, server):
    """A thread that sleeps in a read is woken, and sshd sees the end."""
    connection = connect()
    assert connection.run(":").exit_code == 0
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    assert children.read_text()
    connection.close()
    connection._transport.join(1.0)
    assert not connection._transport.is_alive()
    deadline = time.monotonic() + 2
    while children.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not children.read_text()


def test_closing_twice_is_no_error(connect):
    """Whoever gives up a host last need not know who did before."""
    connection = connect()
    connection.close()
    connection.close()


def test_a_lost_host_breaks_its_connection_within_15_seconds(connect):
    """The kernel is told so; no packet of a dead host would."""
    told = connect()._transport.sock
    asked = [
        told.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]
    waits = told.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
    assert told.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert asked[0] + asked[1] * asked[2] < 15
    assert waits + asked[1] < 15
