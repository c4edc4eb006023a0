"""Hosts' agents asking each other: real poll loops on loopback addresses, one thread each."""

import os
import socket
import time

import pytest
from link_host import Host

from mpijob_runtime.agent import links as links_module

HERE, THERE = "127.0.0.1", "127.0.0.2"
REACH = {"bytes": str(1 << 16), "seconds": "4", "interface": "lo", "id": "1.0"}


@pytest.fixture
def make_host():
    """Return a function that makes a host that listens; at the end nothing of it is left open."""
    made = []

    def make(*addresses):
        host = Host()
        said = host.links.listen(addresses)
        made.append(host.start())
        return host, said

    yield make
    for host in made:
        host.close()


def ask(host, said, *, to=THERE, source=HERE, **changes):
    """Let a host ask another."""
    port = said["ports"].get(to, 0)
    command = {**REACH, "to": to, "port": str(port), "word": said["word"], "source": source}
    host.do(lambda: host.links.ask(command | changes))


def test_a_host_that_is_reached_has_got_every_byte(make_host):
    """Open, then done, with how much and how long."""
    asker, _ = make_host()
    _, said = make_host(THERE)
    ask(asker, said)
    done = asker.event("done")
    assert [event["state"] for event in asker.events] == ["open", "done"]
    assert done["id"] == "1.0"
    assert done["bytes"] == 1 << 16
    assert 0 < done["seconds"] < 10


def test_a_host_is_reached_by_ipv6(make_host):
    """An address with colons is one of IPv6."""
    asker, _ = make_host()
    _, said = make_host("::1")
    ask(asker, said, to="::1", source="::1")
    assert asker.event("done")["bytes"] == 1 << 16


def test_a_measurement_ends_in_time(make_host):
    """However much there is to send: a rate needs no more than that time."""
    asker, _ = make_host()
    _, said = make_host(THERE)
    ask(asker, said, bytes=str(1 << 40), seconds="0.2")
    done = asker.event("done")
    assert 1 << 17 < done["bytes"] < 1 << 40
    assert 0.2 <= done["seconds"] < 8


def test_a_host_may_ask_itself_and_be_asked_at_one_time(make_host):
    """A ring of hosts asks all at once, on all networks."""
    host, said = make_host(HERE, THERE)
    for number in range(8):
        ask(host, said, to=(HERE, THERE)[number % 2], id=f"1.{number}")
    deadline = time.monotonic() + 10
    while sum(e["state"] == "done" for e in host.events) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {e["id"] for e in host.events if e["state"] == "done"} == {f"1.{n}" for n in range(8)}


def test_another_host_at_the_address_is_told_apart(make_host):
    """Container bridges have the same address on every machine."""
    asker, _ = make_host()
    _, said = make_host(THERE)
    ask(asker, said | {"word": "0" * 32})
    assert asker.event("failed")["why"] == "another host answers there"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "another host answers there"),
        (b"x" * 5000, "another host answers there"),
        (b"", "no answer"),
    ],
)
def test_a_stranger_at_the_port_is_no_network(answer, why, make_host):
    """Whatever it says."""
    asker, _ = make_host()
    with socket.create_server((THERE, 0)) as stranger:
        ask(asker, {"word": "0" * 32, "ports": {THERE: stranger.getsockname()[1]}})
        peer, _ = stranger.accept()
        peer.sendall(answer)
        peer.close()
        assert asker.event("failed")["why"] == why


def test_a_stranger_that_counts_for_ever_is_not_kept_in_memory(make_host):
    """What is no count of the bytes that were sent is the end."""
    asker, _ = make_host()
    word = b"0" * 32
    with socket.create_server((THERE, 0)) as stranger:
        ask(asker, {"word": word.decode(), "ports": {THERE: stranger.getsockname()[1]}})
        peer, _ = stranger.accept()
        peer.sendall(word)
        asker.event("open")
        while peer.recv(1 << 16):
            pass
        peer.sendall(b"7" * 500)
        assert asker.event("failed")["why"] == "the connection broke off"
        peer.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"port": "1"}, "Connection refused"),
        ({"port": "0"}, "."),
        ({"source": "192.0.2.77"}, "Cannot assign requested address"),
        ({"to": "no address"}, "."),
    ],
)
def test_what_cannot_be_reached_says_why(changes, why, make_host):
    """In the system's words."""
    asker, _ = make_host()
    ask(asker, {"word": "0" * 32, "ports": {}}, **changes)
    assert why in asker.event("failed")["why"] + "."


@pytest.mark.parametrize("interface", ["nosuch0", "x" * 40])
def test_an_interface_that_has_gone_ends_the_question_and_not_the_agent(interface, make_host):
    """ENODEV, or gVisor's ENOPROTOOPT, are no reason for the ranks' agent to end."""
    asker, _ = make_host()
    _, said = make_host(THERE)
    ask(asker, said, interface=interface)
    assert asker.event("done")


def test_silence_is_left_to_the_launcher(make_host):
    """Who never says its word is waited for until the gate opens; then nothing is left open."""
    asker, _ = make_host()
    with socket.create_server((THERE, 0)) as silent:
        ask(asker, {"word": "0" * 32, "ports": {THERE: silent.getsockname()[1]}})
        peer, _ = silent.accept()
        time.sleep(0.3)
        assert asker.events == []
        asker.do(asker.links.close)
        peer.settimeout(10)
        assert peer.recv(1) == b""
        peer.close()


def test_a_gate_that_opens_in_the_middle_of_a_transfer_ends_it(make_host):
    """The asker hears of it at once; ranks do not compete with the survey."""
    asker, _ = make_host()
    asked, said = make_host(THERE)
    ask(asker, said, bytes=str(1 << 40), seconds="30")
    asker.event("open")
    time.sleep(0.1)
    asked.do(asked.links.close)
    failed = asker.event("failed")
    assert failed["why"] in ("Connection reset by peer", "Broken pipe", "the connection broke off")


def test_after_the_gate_nobody_is_let_in(make_host):
    """No port stays open on a host while the ranks run."""
    host, said = make_host(THERE)
    host.do(host.links.close)
    deadline = time.monotonic() + 10
    while host.links._sockets and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((THERE, said["ports"][THERE]), timeout=5)


def test_no_more_than_64_hosts_are_answered_at_one_time(make_host):
    """Descriptors are bounded; addresses of one's own do not count."""
    host, said = make_host(*[f"127.0.1.{number}" for number in range(1, 80)])
    address = "127.0.1.79"
    port = said["ports"][address]
    with_word, without = [], []
    peers = [socket.create_connection((address, port), timeout=10) for _ in range(70)]
    for peer in peers:
        (with_word if peer.recv(64) else without).append(peer)
    assert (len(with_word), len(without)) == (64, 6)
    for peer in peers:
        peer.close()
    asker, _ = make_host()
    deadline = time.monotonic() + 10
    while host.links._peers and time.monotonic() < deadline:
        time.sleep(0.01)
    ask(asker, said, to=address)
    assert asker.event("done")


def test_a_stranger_that_comes_and_goes_is_no_harm(make_host):
    """Reset before its turn, half a word, bytes without end: the next host is answered."""
    asker, _ = make_host()
    host, said = make_host(THERE)
    place = (THERE, said["ports"][THERE])
    for _ in range(20):
        stranger = socket.create_connection(place, timeout=10)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        stranger.close()
    with socket.create_connection(place, timeout=10) as noisy:
        noisy.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        ask(asker, said)
        assert asker.event("done")
    assert host.events == []


def test_an_address_that_is_gone_is_not_listened_on():
    """The others are."""
    host = Host()
    said = host.links.listen(["192.0.2.77", HERE])
    assert list(said["ports"]) == [HERE]
    host.start().close()


def test_words_are_as_long_as_others_expect_and_differ():
    """What one host reads at once is the whole word."""
    words = {Host().links.listen([])["word"] for _ in range(3)}
    assert len(words) == 3
    assert {len(word) for word in words} == {links_module._WORD_BYTES}


@pytest.fixture
def pair(start_agent):
    """Return two real agents on one machine, each for another job of one launcher."""

    def start(**hello):
        return [start_agent(attempt, keep="1-a,1-b", **hello) for attempt in ("1-a", "1-b")]

    return start


def test_agents_ask_each_other_as_they_are_told(pair):
    """The launcher's command over the real line; the gate closes every socket of it."""
    asker, asked = pair(links=1)
    machine = asker.event("hello")["machine"]
    said = asked.event("hello")["links"]
    if not machine["interfaces"]:
        pytest.skip("this machine has no interface but loopback")
    address, port = next(iter(said["ports"].items()))
    name = next(
        i["name"]
        for i in machine["interfaces"]
        if address in [text.partition("/")[0] for text in i["addresses"]]
    )
    command = REACH | {"to": address, "port": port, "word": said["word"], "source": address}
    asker.tell(do="ask", **(command | {"interface": name}))
    assert asker.event("link", state="done")["id"] == "1.0"
    for agent in (asker, asked):
        assert _tcp_sockets(agent.process.pid) > 0
        agent.tell(do="go")
        agent.tell(do="stacks")
    deadline = time.monotonic() + 10
    while any(_tcp_sockets(a.process.pid) for a in (asker, asked)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [_tcp_sockets(agent.process.pid) for agent in (asker, asked)] == [0, 0]


def test_an_agent_that_is_not_asked_for_links_listens_nowhere(start_agent):
    """A job of one host needs none, and has no open port."""
    agent = start_agent()
    hello = agent.event("hello")
    assert "links" not in hello
    assert hello["machine"]["cpus"] >= 1
    assert _tcp_sockets(agent.process.pid) == 0


def _tcp_sockets(pid):
    """Return how many TCP sockets a process has open."""
    inodes = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    known = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:
            known |= {line.split()[9] for line in file.readlines()[1:]}
    return len(inodes & known)
