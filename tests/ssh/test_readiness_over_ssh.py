import threading
import time

import pytest

from mpijob_runtime import readiness
from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError
from mpijob_runtime.probes.ssh import probe_ssh
from mpijob_runtime.readiness import wait_for_hosts


@pytest.fixture
def wait(identity):
    """Return a function that waits for servers by address; connections are closed at the end."""
    opened = {}

    def call(*servers, timeout_seconds=10.0, on_change=lambda _change: None):
        ports = {server.address: server.port for server in servers}

        def connect(host):
            return probe_ssh(host, port=ports[host], identity=identity, timeout_seconds=5.0)

        found = wait_for_hosts(
            list(ports), connect, timeout_seconds=timeout_seconds, on_change=on_change
        )
        opened.update(found)
        return found

    yield call
    for connection in opened.values():
        connection.close()


def test_all_hosts_are_ready_with_a_usable_connection_each(wait, make_server):
    """Three workers, three logins."""
    servers = [make_server() for _ in range(3)]
    for server in servers:
        server.start()
    found = wait(*servers)
    for server in servers:
        output = found[server.address].run("echo $MPIJOB_RUN_DIR").stdout
        assert output == f"{server.directory}\n"


def test_a_host_that_comes_late_is_ready_soon_after(wait, make_server):
    """Half a second late, and seen within another second."""
    early, late = make_server(), make_server()
    early.start()
    started = []

    def start_late():
        late.start()
        started.append(time.monotonic())

    timer = threading.Timer(0.5, start_late)
    timer.start()
    changes = []
    found = wait(early, late, on_change=changes.append)
    ended = time.monotonic()
    timer.join()
    assert set(found) == {early.address, late.address}
    assert ended - started[0] < 2.0
    steps = [c.refusal.step if c.refusal else None for c in changes if c.host == late.address]
    assert (steps[0], steps[-1]) == ("tcp", None)


def test_a_host_that_never_comes_is_named(wait, make_server):
    """The one that runs is not in the list."""
    early, never = make_server(), make_server()
    early.start()
    with pytest.raises(HostsNotReadyError) as caught:
        wait(early, never, timeout_seconds=0.6)
    assert list(caught.value.reasons) == [never.address]
    assert "tcp: Connection refused" in caught.value.reasons[never.address]


def test_a_host_with_another_key_is_a_configuration_error(wait, make_server, monkeypatch):
    """A worker of another job answers: 78, long before the deadline."""
    monkeypatch.setattr(readiness, "LASTING_SECONDS", 0.3)
    good, other = make_server(), make_server(authority="stranger")
    good.start()
    other.start()
    with pytest.raises(ConfigurationError, match=f"{other.address}: host key"):
        wait(good, other, timeout_seconds=20)
