import json
import threading
import time

import pytest

from mpijob_runtime import readiness
from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError
from mpijob_runtime.follow import RecordFollower
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
    good, other = make_server(), make_server(host_key="stranger")
    good.start()
    other.start()
    with pytest.raises(ConfigurationError, match=f"{other.address}: host key"):
        wait(good, other, timeout_seconds=20)


def write_record(server, event, rank, at, **more):
    """Append a record to a server's file, as the wrapper on that host does."""
    directory = server.directory / "attempts"
    directory.mkdir(exist_ok=True)
    record = {
        "event": event,
        "rank": rank,
        "world_size": 2,
        "host": server.address,
        "boot_id": "b",
        "time": 1000.0 + at,
    }
    with open(directory / "1-a", "a", encoding="utf-8") as file:
        file.write(json.dumps(record | more) + "\n")


@pytest.fixture
def followed(wait, make_server, tmp_path):
    """Return two servers, a follower over both that has started, and what it noted."""
    servers = [make_server(), make_server()]
    for server in servers:
        server.start()
    noted = []
    follower = RecordFollower(
        wait(*servers), attempt="1-a", run_dir=str(tmp_path / "local"), on_record=noted.append
    )
    follower.start()
    return servers, follower, noted


def wait_until(predicate, seconds=5):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not predicate() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert predicate()


def test_records_arrive_while_the_job_runs(followed):
    """A record is noted soon after it was written, without a collection."""
    servers, _, noted = followed
    write_record(servers[0], "start", 0, 0.0)
    write_record(servers[1], "start", 1, 0.1)
    wait_until(lambda: {record.rank for record in noted} == {0, 1})


def test_records_are_collected_at_the_end(followed):
    """Whatever the stream has shown, the final reading has everything, once and in order."""
    servers, follower, noted = followed
    write_record(servers[1], "start", 1, 0.1)
    write_record(servers[0], "start", 0, 0.0)
    write_record(servers[0], "exit", 0, 5.0, exit_code=3)
    records, lost = follower.collect()
    assert [(r.event, r.rank, r.exit_code) for r in records] == [
        ("start", 0, None),
        ("start", 1, None),
        ("exit", 0, 3),
    ]
    assert lost == []
    assert sorted(noted, key=lambda r: r.time_seconds) == records


def test_a_lost_host_is_named_and_its_streamed_records_are_kept(followed):
    """A worker that dies takes its file along, not what was read before."""
    servers, follower, noted = followed
    write_record(servers[0], "start", 0, 0.0)
    write_record(servers[1], "start", 1, 0.1)
    wait_until(lambda: len(noted) == 2)
    servers[1].stop()
    write_record(servers[0], "exit", 0, 5.0, signal=15)
    began = time.monotonic()
    records, lost = follower.collect()
    assert time.monotonic() - began < 10
    assert lost == [servers[1].address]
    assert [(r.event, r.rank) for r in records] == [("start", 0), ("start", 1), ("exit", 0)]


def test_without_records_a_host_is_not_lost(followed):
    """A host on which no rank ran has nothing to tell, and that is no failure."""
    _, follower, _ = followed
    assert follower.collect() == ([], [])
