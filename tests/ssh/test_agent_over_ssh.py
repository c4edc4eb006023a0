"""The agent of a host, started over a real ssh connection, with real ranks on the other side."""

import os
import time

import pytest

from mpijob_runtime import carried, watch
from mpijob_runtime.probes.ssh import HostRefusal
from mpijob_runtime.watch import finish

ATTEMPT = "1700000000-abcd-1"


def test_a_rank_goes_the_whole_way(join, start_rank):
    """Hello, start, gate, output, exit, finished: in this order, over one session."""
    host, heard = join()
    assert host.hello["host"] == os.uname().nodename
    assert host.hello["boot_id"]
    rank = start_rank(0, "sh", "-c", "echo out; echo err >&2; exit 3")
    heard.wait_for(lambda h: h.named("start"))
    time.sleep(0.2)
    assert rank.poll() is None
    assert not heard.named("running")
    host.tell(do="go")
    heard.wait_for(lambda h: h.named("exit"))
    assert rank.wait(5) == 3
    assert sorted(heard.output) == [(0, 1, b"out\n"), (0, 2, b"err\n")]
    assert finish([host]) == []
    assert [e["event"] for e in heard.events] == ["start", "running", "exit", "finished"]


def test_a_lost_connection_is_told_and_ends_the_ranks(join, start_rank, server):
    """The launcher learns that a host is gone, and the host that its launcher is."""
    host, heard = join()
    rank = start_rank(0, "sleep", "60")
    heard.wait_for(lambda h: h.named("start"))
    host.tell(do="go")
    heard.wait_for(lambda h: h.named("running"))
    host.connection.close()
    heard.wait_for(lambda h: h.lost)
    assert heard.lost == [server.address]
    rank.wait(10)


def test_a_newer_attempt_ends_what_an_older_one_has_left(join, start_rank):
    """Ranks of the last attempt do not hold what the next one needs."""
    older, heard = join()
    rank = start_rank(0, "sleep", "60")
    heard.wait_for(lambda h: h.named("start"))
    older.tell(do="go")
    heard.wait_for(lambda h: h.named("running"))
    newer, _ = join("1700000001-efgh-1")
    assert rank.wait(5) != 0
    assert int(newer.hello["ended"]) >= 1
    heard.wait_for(lambda h: h.named("finished") or h.lost)


def test_an_older_attempt_gives_way(join):
    """A launcher that was thought lost must not end the ranks of its successor."""
    join("1700000001-efgh-1")
    with pytest.raises(HostRefusal, match="newer attempt") as caught:
        join(ATTEMPT)
    assert not caught.value.lasting


def test_two_jobs_of_one_launcher_live_together(join, start_rank):
    """A script may run two mpiruns at a time."""
    first, heard = join()
    rank = start_rank(0, "sleep", "60")
    heard.wait_for(lambda h: h.named("start"))
    first.tell(do="go")
    heard.wait_for(lambda h: h.named("running"))
    join("1700000001-abcd-2", keep=ATTEMPT)
    time.sleep(0.3)
    assert rank.poll() is None


def test_an_ending_host_takes_part_in_nothing_new(join, server):
    """A pod that has got SIGTERM says so, and its successor is waited for."""
    (server.directory / carried.ENDING).touch()
    with pytest.raises(HostRefusal, match="about to end") as caught:
        join()
    assert not caught.value.lasting


def test_a_host_without_our_agent_is_told_apart(join, monkeypatch):
    """Another image on a worker: no retry will help, and the shell's own words say why."""
    monkeypatch.setattr(watch, "AGENT", "/no/such/agent")
    with pytest.raises(HostRefusal, match="no agent of mpijob-runtime") as caught:
        join()
    assert caught.value.lasting
    assert "/no/such/agent" in caught.value.reason
