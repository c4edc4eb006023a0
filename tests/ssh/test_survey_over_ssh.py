"""What agents say of their hosts and networks, over real ssh connections."""

import os
import time
from dataclasses import replace

import pytest
from link_host import Host

from mpijob_runtime.host_facts import parse_host_facts, parse_listening
from mpijob_runtime.machine import describe_machine

QUESTION = {"do": "ask", "id": "1.0", "source": "127.0.0.1", "interface": "lo", "seconds": 4}


@pytest.fixture
def peer():
    """Return another host's end, on a loopback address of its own, and what it says."""
    host = Host()
    said = parse_listening(host.links.listen(["127.0.0.9"]))
    yield host.start(), said
    host.close()


def ask(host, said, size=1 << 16, **changes):
    """Let an agent ask."""
    place = {"to": "127.0.0.9", "port": said.ports["127.0.0.9"], "word": said.word}
    host.tell(**(QUESTION | place | {"bytes": size} | changes))


def test_hello_describes_the_machine(join):
    """What the agent saw there, after its way over ssh, is what is to be seen here."""
    host, _ = join(links=1)
    facts = parse_host_facts(host.hello["machine"])
    here = parse_host_facts(describe_machine())
    assert facts == replace(here, shm_free_bytes=facts.shm_free_bytes, home=facts.home)
    assert facts.home.startswith("/")
    assert 0 < facts.shm_free_bytes <= facts.shm_bytes
    assert facts.cpus >= 1
    addresses = {a.partition("/")[0] for i in facts.interfaces for a in i.addresses}
    listening = parse_listening(host.hello["links"])
    assert listening.word
    assert listening.ports.keys() == addresses


def test_hello_has_no_links_if_none_are_asked_for(join):
    """A job of one host opens no port."""
    host, _ = join()
    assert "links" not in host.hello


def test_a_question_is_answered_over_the_session(join, peer):
    """Open, then done, with all bytes counted at the other end."""
    host, heard = join(links=1)
    ask(host, peer[1])
    heard.wait_for(lambda h: len(h.named("link")) == 2)
    opened, done = heard.named("link")
    assert (opened["state"], done["state"]) == ("open", "done")
    assert (opened["id"], done["id"], done["bytes"]) == ("1.0", "1.0", 1 << 16)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"port": 1}, "Connection refused"), ({"word": "0" * 32}, "another host answers there")],
)
def test_a_question_in_vain_says_why(changes, why, join, peer):
    """And the agent lives on."""
    host, heard = join(links=1)
    ask(host, peer[1], **changes)
    heard.wait_for(lambda h: h.named("link"))
    assert heard.named("link")[0]["why"] == why
    ask(host, peer[1])
    heard.wait_for(lambda h: h.named("link")[-1]["state"] == "done")


def test_ranks_get_what_is_told_at_the_gate(join, start_rank, peer):
    """While a question is still open; it ends with the gate."""
    host, heard = join(links=1)
    rank = start_rank(0, "sh", "-c", 'echo "$NCCL_SOCKET_IFNAME"')
    heard.wait_for(lambda h: h.named("start"))
    ask(host, peer[1], 1 << 40, seconds=60)
    heard.wait_for(lambda h: h.named("link"))
    host.tell(do="go", **{"all.NCCL_SOCKET_IFNAME": "=eth0"})
    heard.wait_for(lambda h: h.named("exit"))
    assert rank.wait(5) == 0
    assert heard.output == [(0, 1, b"=eth0\n")]
    assert [event["state"] for event in heard.named("link")] == ["open"]


def test_probing_leaves_another_attempts_ranks_alone(join, start_rank, server):
    """Plan asks the hosts of a job that runs."""
    older, heard = join()
    rank = start_rank(0, "sleep", "60")
    heard.wait_for(lambda h: h.named("start"))
    older.tell(do="go")
    heard.wait_for(lambda h: h.named("running"))
    probing, asked = join("1700000001-efgh-1", probing=1, links=1)
    assert probing.hello["ended"] == 0
    probing.tell(do="finish")
    asked.wait_for(lambda h: h.named("finished"))
    assert rank.poll() is None
    assert not heard.lost
    _wait_for_sockets(server, ["agent-1700000000-abcd-1"])


def test_probing_is_not_refused_by_a_newer_attempt(join):
    """It takes nothing from anybody."""
    join("1700000001-efgh-1")
    host, _ = join(probing=1)
    assert "machine" in host.hello


def _wait_for_sockets(server, wanted):
    """An agent says that it has finished before it takes its socket away."""
    deadline = time.monotonic() + 10
    while (names := _sockets(server)) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert names == wanted


def _sockets(server):
    return [name for name in os.listdir(server.directory) if name.startswith("agent-")]
