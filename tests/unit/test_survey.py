import io
import json
import time

import pytest
from fake_watches import FakeWatch, machine, watches

from mpijob_runtime.console import Console
from mpijob_runtime.survey import Survey

EARLY, LATE = 0.0, time.monotonic() + 3600.0


@pytest.fixture
def console():
    """Return a console that says everything, and what was said as its attribute."""
    console = Console(stream=io.StringIO(), least="debug")
    console.said = console._stream.getvalue
    return console


@pytest.fixture
def survey(console):
    """Return a survey that has not begun."""
    return Survey(console)


def answer(survey, crew, reply, already=None):
    """Answer every question asked until there is none; ``reply`` gives an event's fields.

    Args:
        survey: takes the answers.
        crew: fake agents.
        reply: gets the asker and the command; None says nothing.
        already: how many commands of each host were answered before.
    """
    done = already if already is not None else dict.fromkeys((watch.host for watch in crew), 0)
    progress = True
    while progress:
        progress = False
        for watch in crew:
            for command in watch.asked(done[watch.host]):
                done[watch.host] += 1
                progress = True
                fields = reply(watch.host, command)
                for event in [fields] if isinstance(fields, dict) else fields or ():
                    survey.note(watch.host, {"event": "link", "id": command["id"], **event})
    return done


def done(_host, command, mbit_per_second=1000.0):
    """Reply that all arrived, at a rate."""
    size = int(command["bytes"]) // 64
    return {"state": "done", "bytes": size, "seconds": size * 8 / 1e6 / mbit_per_second}


def failed(why="Connection refused"):
    """Reply that it did not work."""
    return {"state": "failed", "why": why}


def test_each_host_asks_the_next_one_on_its_own_address(survey):
    """From its own interface, to the other's address and port, with the other's word."""
    crew = watches(3, "eth0")
    survey.begin(crew)
    (first,), (_,), (last,) = (watch.asked() for watch in crew)
    assert (first["source"], first["to"], first["port"]) == ("10.0.0.1", "10.0.0.2", 4000)
    assert first["interface"] == "eth0"
    assert first["word"] == crew[1].hello["links"]["word"]
    assert (last["source"], last["to"]) == ("10.0.0.3", "10.0.0.1")
    assert not survey.decided


def test_one_network_that_works_is_taken_without_a_measurement(survey, console):
    """One question of each host, and no news for people."""
    crew = watches(3, "eth0")
    survey.begin(crew)
    answer(survey, crew, done)
    assert survey.decided
    assert survey.network.candidate.label == "eth0"
    assert survey.network.mbit_per_second is None
    assert [len(watch.asked()) for watch in crew] == [1, 1, 1]
    assert console.said() == "mpijob: data network: eth0\n"


def test_of_several_the_fastest_is_taken_by_its_slowest_pair(survey, console):
    """A ring is as fast as its slowest pair; who measures, measures alone."""
    crew = watches(3, "eth0", "net1")
    rates = {"eth0": {"w0.job": 95.0, "w1.job": 900.0, "w2.job": 900.0}, "net1": {}}
    survey.begin(crew)

    def reply(host, command):
        rate = rates[command["interface"]].get(host, 480.0)
        return done(host, command, rate)

    answer(survey, crew, reply)
    assert survey.decided
    assert survey.network.candidate.label == "net1"
    assert survey.network.mbit_per_second == pytest.approx(480.0)
    assert survey.network.others == {"eth0": pytest.approx(95.0)}
    assert "data network: net1 (480 Mbit/s; eth0 95 Mbit/s)" in console.said()


def test_networks_are_measured_one_after_the_other(survey):
    """Two at a time would share the processor, and often the wire."""
    crew = watches(2, "eth0", "net1")
    survey.begin(crew)
    waiting = answer(survey, crew, done_reach_only)
    measuring = [watch.asked()[-1] for watch in crew]
    assert {command["interface"] for command in measuring} == {"eth0"}
    assert all(command["bytes"] > 1 << 16 and command["seconds"] < 1 for command in measuring)
    for watch in crew:
        survey.note(watch.host, {"id": measuring[0]["id"], **done(watch.host, measuring[0])})
    assert {watch.asked()[-1]["interface"] for watch in crew} == {"net1"}
    assert not survey.decided
    assert waiting


def done_reach_only(host, command):
    """Reply in the first round, and keep silent while measured."""
    return done(host, command) if int(command["bytes"]) == 1 << 16 else None


def test_a_pair_that_cannot_reach_each_other_is_named(survey, console):
    """With the address that was tried, and why; the job goes on."""
    crew = watches(3, "eth0")
    survey.begin(crew)
    broken = {"w1.job": failed("No route to host")}
    answer(survey, crew, lambda host, command: broken.get(host) or done(host, command))
    assert survey.decided
    assert survey.network is None
    assert "warning: no network was found on which each host reaches the next" in console.said()
    assert "eth0: w1 to w2 (10.0.0.3): No route to host" in console.said()


def test_a_network_with_a_broken_pair_leaves_the_other(survey, console):
    """It is told beside the one that was chosen."""
    crew = watches(3, "eth0", "net1")
    survey.begin(crew)

    def reply(host, command):
        bad = command["interface"] == "eth0" and host == "w2.job"
        return failed("another host answers there") if bad else done(host, command)

    answer(survey, crew, reply)
    assert survey.network.candidate.label == "net1"
    assert survey.network.others == {"eth0": "w2 to w0 (10.0.0.1): another host answers there"}
    assert "warning" not in console.said()


def test_a_network_that_breaks_while_it_is_measured_is_not_taken(survey):
    """What works for 64 KiB may not work for more."""
    crew = watches(2, "eth0", "net1")
    survey.begin(crew)

    def reply(host, command):
        measured = int(command["bytes"]) > 1 << 16
        broken = measured and command["interface"] == "eth0"
        return failed("Connection reset by peer") if broken else done(host, command)

    answer(survey, crew, reply)
    assert survey.network.candidate.label == "net1"
    assert "Connection reset by peer" in survey.network.others["eth0"]


def test_silence_ends_at_the_deadline(survey, console):
    """A policy that drops packets costs five seconds, and is told."""
    crew = watches(2, "eth0")
    survey.begin(crew)
    survey.act(time.monotonic())
    assert not survey.decided
    survey.act(time.monotonic() + 5.1)
    assert survey.decided
    assert survey.network is None
    assert "w0 to w1 (10.0.0.2): no answer within 5 s" in console.said()


def test_packets_that_are_too_large_for_the_way_show(survey, console):
    """The connection opens and the bytes do not arrive."""
    crew = watches(2, "eth0")
    survey.begin(crew)
    answer(survey, crew, lambda host, command: [{"state": "open"}])
    assert not survey.decided
    survey.act(LATE)
    assert "w0 to w1 (10.0.0.2): what was sent did not arrive within 5 s" in console.said()


def test_a_late_answer_is_none_of_the_next_round(survey):
    """What was asked of another network must not be taken for a rate of this one."""
    crew = watches(2, "slow", "eth0", "net1")
    survey.begin(crew)
    first = crew[0].asked()[0]
    answer(survey, crew, lambda h, c: done(h, c) if c["interface"] != "slow" else None)
    survey.act(LATE)
    for watch in crew:
        survey.note(watch.host, {"id": first["id"], **done(watch.host, first, 0.1)})
    before = {watch.host: len(watch.asked()) - 1 for watch in crew}
    answer(survey, crew, done, before)
    assert survey.network.candidate.label == "eth0"
    assert survey.network.mbit_per_second == pytest.approx(1000.0)


def test_the_time_to_ask_a_thousand_hosts_is_not_the_answers(survey, monkeypatch):
    """The deadline begins when the last one has been asked."""
    now = [100.0]
    monkeypatch.setattr("mpijob_runtime.survey.time.monotonic", lambda: now[0])
    crew = watches(2, "eth0")
    crew[1].tell = lambda **command: now.__setitem__(0, 190.0)
    survey.begin(crew)
    survey.act(194.0)
    assert not survey.decided
    survey.act(195.1)
    assert survey.decided


@pytest.mark.parametrize(
    "odd",
    [FakeWatch("w1.job", machine(1, "eth0"), links=False), FakeWatch("w1.job", links=False)],
    ids=["no links", "no machine"],
)
def test_an_agent_of_another_version_is_said(odd, survey, console):
    """Nobody asks it what it does not know, and nobody waits."""
    crew = [*watches(1, "eth0"), odd]
    survey.begin(crew)
    assert survey.decided
    assert survey.network is None
    assert "w1 has another version of mpijob-runtime (1 in all)" in console.said()
    assert not any(watch.told for watch in crew)


@pytest.mark.parametrize("hosts", [0, 1])
def test_one_host_alone_needs_no_network(hosts, survey, console):
    """Nothing is asked, and nothing said."""
    survey.begin(watches(hosts, "eth0"))
    assert survey.decided
    assert console.said() == ""


def test_hosts_without_a_network_in_common_are_told_so(survey, console):
    """At once: there is nothing to ask."""
    crew = [FakeWatch("w0", machine(0, "eth0")), FakeWatch("w1", machine(1))]
    survey.begin(crew)
    assert survey.decided
    assert "no interface in common" in console.said()


def test_a_host_that_is_lost_in_the_middle_is_as_one_that_is_silent(survey, console):
    """Its own question and the one to it have no answer; the others' have."""
    crew = watches(4, "eth0")
    survey.begin(crew)
    answer(survey, crew, lambda h, c: done(h, c) if h in ("w0.job", "w2.job") else None)
    survey.act(LATE)
    assert survey.decided
    assert "w1 to w2" in console.said()
    assert "w0 to w1" not in console.said()


def test_a_thousand_broken_pairs_do_not_fill_the_screen(survey, console):
    """The first three tell what it is."""
    survey.begin(watches(1000, "eth0"))
    survey.act(LATE)
    assert console.said().count("no answer") == 3
    assert "… and 997 more" in console.said()


def test_different_packet_sizes_are_warned_of(survey, console):
    """A working small exchange does not rule out that large frames are lost."""
    crew = [FakeWatch(f"w{n}", machine(n, "eth0", mtu=mtu)) for n, mtu in enumerate((1500, 9000))]
    survey.begin(crew)
    answer(survey, crew, done)
    assert "warning: MTUs of eth0 differ: 1500 on w0; 9000 on w1" in console.said()


@pytest.mark.parametrize(
    "event",
    [
        {"id": "1.0"},
        {"id": "1.0", "state": "done"},
        {"id": "1.0", "state": "done", "bytes": 10**400, "seconds": 1},
        {"id": "1.0", "state": "done", "bytes": 1, "seconds": 10**400},
        {"id": "1.0", "state": "done", "bytes": 1, "seconds": float("nan")},
        {"id": "1.0", "state": "done", "bytes": 1 << 16, "seconds": 1e-320},
        {"id": "1.0", "state": "done", "bytes": -1, "seconds": 1.0},
        {"id": "1.0", "state": "failed", "why": ["x"] * 1000},
    ],
)
def test_odd_words_of_a_host_decide_something_and_break_nothing(event, survey):
    """The report stays JSON."""
    crew = watches(2, "eth0")
    survey.begin(crew)
    for watch in crew:
        survey.note(watch.host, event)
    assert survey.decided
    network = survey.network and survey.network.to_json()
    assert json.dumps(network, allow_nan=False)


@pytest.mark.parametrize("id_", ["1.9", "0", None, "2.0", ["1.0"]])
def test_answers_to_nothing_are_passed_over(id_, survey):
    """A host may say anything at any time."""
    survey.note("w0.job", {"id": id_, "state": "done"})
    crew = watches(2, "eth0")
    survey.begin(crew)
    survey.note("w0.job", {"id": id_, "state": "done"})
    survey.note("stranger", {"id": "1.0", "state": "done"})
    assert not survey.decided


@pytest.mark.parametrize("word", ["x\ndo=kill", "x\0do=kill", 7, None])
@pytest.mark.parametrize("port", [-1, 1 << 70, "22\0do=kill", None])
def test_a_host_cannot_put_words_into_our_commands(word, port, survey):
    """What it says goes to another host: only a plain word and a port do."""
    crew = watches(2, "eth0")
    crew[1].hello["links"] = {"word": word, "ports": {"10.0.0.2": port}}
    survey.begin(crew)
    (command,) = crew[0].asked()
    assert (command["word"], command["port"]) == ("", 0)


def test_a_survey_that_is_stopped_says_nothing_more(survey, console):
    """The gate has opened without it: its deadline is nobody's news."""
    crew = watches(2, "eth0")
    survey.begin(crew)
    survey.stop()
    survey.act(LATE)
    answer(survey, crew, done)
    assert survey.decided
    assert survey.network is None
    assert console.said() == ""


def test_no_deadline_passes_before_its_time(survey):
    """The tick comes many times a second."""
    survey.act(EARLY)
    survey.begin(watches(2, "eth0"))
    survey.act(EARLY)
    assert not survey.decided
