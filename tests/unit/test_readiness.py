import threading
import time

import pytest

from mpijob_runtime import readiness
from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError
from mpijob_runtime.probes.ssh import HostRefusal
from mpijob_runtime.readiness import longest_delay_seconds, wait_for_hosts

REFUSED = ("tcp", "Connection refused (10.0.0.1 port 2222)")


class Connection:
    """A connection that notes whether it was closed."""

    def __init__(self, host):
        self.host = host
        self.closed = False

    def close(self):
        """Note it."""
        self.closed = True


class Cluster:
    """Hosts that refuse some number of times, each in its own way, before they come."""

    def __init__(self, **refusals):
        self.refusals = {host: list(steps) for host, steps in refusals.items()}
        self.connections = []
        self.probes = []
        self.changes = []

    def connect(self, host):
        """Refuse with the next refusal, the last one for ever if it is marked by None."""
        self.probes.append(host)
        steps = self.refusals.get(host, [])
        if steps:
            step = steps[0] if steps[-1] is None and len(steps) == 2 else steps.pop(0)
            raise HostRefusal(*step[:2], lasting=step[2:] == (True,))
        self.connections.append(Connection(host))
        return self.connections[-1]

    def wait(self, *hosts, timeout_seconds=10.0):
        """Wait for hosts of this cluster."""
        return wait_for_hosts(
            hosts, self.connect, timeout_seconds=timeout_seconds, on_change=self.changes.append
        )


def test_all_ready_gives_a_connection_for_each_host_in_order():
    """Each host has its open connection."""
    cluster = Cluster()
    found = cluster.wait("w2", "w0", "w1")
    assert list(found) == ["w2", "w0", "w1"]
    assert all(connection.host == host for host, connection in found.items())
    assert not any(connection.closed for connection in found.values())


def test_no_hosts_are_ready_at_once():
    """Nothing to wait for is no wait."""
    assert Cluster().wait() == {}


def test_a_host_that_comes_late_is_tried_again():
    """Refusals are forgotten once a login works."""
    cluster = Cluster(w1=[REFUSED, REFUSED, ("banner", "no answer")])
    assert set(cluster.wait("w0", "w1")) == {"w0", "w1"}
    assert cluster.probes.count("w1") == 4
    assert cluster.probes.count("w0") == 1


def test_each_change_is_told_once():
    """The same refusal twice is one line; a new reason and readiness are each one more."""
    cluster = Cluster(w1=[REFUSED, REFUSED, ("banner", "no answer"), ("banner", "no answer")])
    cluster.wait("w1")
    told = [(c.host, c.refusal.step if c.refusal else None, c.ready) for c in cluster.changes]
    assert told == [("w1", "tcp", 0), ("w1", "banner", 0), ("w1", None, 1)]
    assert [change.total for change in cluster.changes] == [1, 1, 1]
    waited = [change.waited_seconds for change in cluster.changes]
    assert waited == sorted(waited)


def test_a_host_that_never_comes_is_named_with_its_reason_within_the_deadline():
    """69, the host, why, and no other host; open connections are closed."""
    cluster = Cluster(w1=[REFUSED, None])
    began = time.monotonic()
    with pytest.raises(HostsNotReadyError) as caught:
        cluster.wait("w0", "w1", timeout_seconds=0.4)
    assert 0.35 < time.monotonic() - began < 2
    assert caught.value.exit_code == 69
    assert caught.value.reasons == {"w1": "tcp: Connection refused (10.0.0.1 port 2222)"}
    assert "1 of 2 hosts not ready after 0.4 s" in str(caught.value)
    assert [connection.closed for connection in cluster.connections] == [True]


def test_a_host_that_hangs_does_not_hold_the_deadline():
    """A probe that does not return leaves the wait bounded, and says that nothing came yet."""
    release = threading.Event()

    def connect(host):
        release.wait(5)
        raise HostRefusal(*REFUSED)

    began = time.monotonic()
    with pytest.raises(HostsNotReadyError, match="w0: tcp: no answer yet"):
        wait_for_hosts(["w0"], connect, timeout_seconds=0.2)
    assert time.monotonic() - began < 2
    release.set()


def test_a_connection_that_comes_after_the_deadline_is_closed():
    """Nothing stays open that nobody will use."""
    release = threading.Event()
    connection = Connection("w0")

    def connect(host):
        release.wait(5)
        return connection

    with pytest.raises(HostsNotReadyError):
        wait_for_hosts(["w0"], connect, timeout_seconds=0.1)
    release.set()
    deadline = time.monotonic() + 5
    while not connection.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert connection.closed


@pytest.mark.parametrize("step", ["host key", "authentication", "session"])
def test_a_host_that_keeps_saying_no_is_a_configuration_error(step, monkeypatch):
    """A wrong key does not become right by waiting: 78 long before the deadline."""
    monkeypatch.setattr(readiness, "LASTING_SECONDS", 0.2)
    cluster = Cluster(w1=[(step, "no", True), None])
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=f"w1: {step}: no") as caught:
        cluster.wait("w0", "w1", timeout_seconds=30)
    assert time.monotonic() - began < 5
    assert caught.value.exit_code == 78
    assert "w0" not in str(caught.value)
    assert all(connection.closed for connection in cluster.connections)


def test_a_no_that_passes_is_no_configuration_error(monkeypatch):
    """A worker whose sshd restarts with the right key is waited for."""
    monkeypatch.setattr(readiness, "LASTING_SECONDS", 5.0)
    cluster = Cluster(w1=[("host key", "other"), REFUSED, ("authentication", "no")])
    assert set(cluster.wait("w1")) == {"w1"}


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), MemoryError(), SystemExit(3)])
def test_an_unexpected_exception_surfaces(error):
    """A bug in a probe ends the wait at once with its own name."""

    def connect(host):
        if host == "w1":
            raise error
        return Connection(host)

    began = time.monotonic()
    with pytest.raises(type(error)):
        wait_for_hosts(["w0", "w1"], connect, timeout_seconds=30)
    assert time.monotonic() - began < 5


def test_hosts_are_probed_in_parallel():
    """Sixteen slow hosts take as long as one."""
    barrier = threading.Barrier(16, timeout=5)

    def connect(host):
        barrier.wait()
        return Connection(host)

    hosts = [f"w{number}" for number in range(16)]
    assert set(wait_for_hosts(hosts, connect, timeout_seconds=10)) == set(hosts)


def test_more_hosts_than_threads_all_come():
    """Hosts wait for a free thread, none is forgotten."""
    hosts = [f"w{number}" for number in range(300)]
    cluster = Cluster(w7=[REFUSED], w299=[REFUSED, REFUSED])
    assert list(cluster.wait(*hosts)) == hosts
    assert cluster.changes[-1].ready == 300


def test_a_hanging_host_does_not_delay_the_others():
    """The line of readiness of other hosts comes while one hangs."""
    release = threading.Event()
    came = threading.Event()

    def connect(host):
        if host == "slow":
            assert came.wait(5)
        return Connection(host)

    def note(change):
        if change.host == "quick":
            came.set()

    found = wait_for_hosts(["slow", "quick"], connect, timeout_seconds=10, on_change=note)
    release.set()
    assert set(found) == {"slow", "quick"}


@pytest.mark.parametrize(
    ("missing", "waited", "expected"),
    [
        (1, 0.0, 0.2),
        (32, 0.0, 0.2),
        (64, 0.0, 0.4),
        (1024, 0.0, 6.4),
        (1, 121.0, 0.2),
        (8, 599.0, 0.2),
        (64, 121.0, 1.6),
        (128, 121.0, 2.0),
        (1024, 121.0, 6.4),
    ],
)
def test_pauses_grow_with_missing_hosts_and_time(missing, waited, expected):
    """Short for few, longer for many and after two minutes; a late image is seen as soon."""
    assert longest_delay_seconds(missing, waited_seconds=waited) == pytest.approx(expected)


@pytest.mark.parametrize("late", ["one", "all"])
def test_eight_hosts_are_ready_half_a_second_after_the_last_start(late):
    """However long they were not there: the pauses stay short. A login takes 0.1 s of the rest."""
    hosts = [f"w{number}" for number in range(8)]
    coming = threading.Event()

    def connect(host):
        if (late == "all" or host == "w7") and not coming.is_set():
            raise HostRefusal(*REFUSED)
        return Connection(host)

    came = []
    timer = threading.Timer(1.5, lambda: came.append(time.monotonic()) or coming.set())
    timer.start()
    wait_for_hosts(hosts, connect, timeout_seconds=30)
    assert time.monotonic() - came[0] < 0.4


def test_the_last_of_many_hosts_is_asked_as_often_as_one_of_few():
    """Hosts that are ready need no pauses for their sake."""
    hosts = [f"w{number}" for number in range(500)]
    coming = threading.Event()

    def connect(host):
        if host == "w7" and not coming.is_set():
            raise HostRefusal(*REFUSED)
        return Connection(host)

    came = []
    timer = threading.Timer(2.5, lambda: came.append(time.monotonic()) or coming.set())
    timer.start()
    wait_for_hosts(hosts, connect, timeout_seconds=30)
    assert time.monotonic() - came[0] < 0.4


def test_a_long_wait_for_many_hosts_is_cheap():
    """160 probes a second that fail at once take a small part of one core."""
    hosts = [f"w{number}" for number in range(500)]

    def connect(host):
        raise HostRefusal(*REFUSED)

    began = time.process_time()
    with pytest.raises(HostsNotReadyError):
        wait_for_hosts(hosts, connect, timeout_seconds=4.0)
    assert time.process_time() - began < 1.2
