import io
import time

import pytest
from fake_watches import FakeWatch, machine, watches

from mpijob_runtime.bind_to import Binding
from mpijob_runtime.console import Console
from mpijob_runtime.gate import Gate

PLACES = {"w0.job": [0, 1], "w1.job": [2, 3]}


@pytest.fixture
def opened():
    """Return what is put in when a gate opens."""
    return []


@pytest.fixture
def gate(opened):
    """Return a gate; what it says is its attribute."""
    stream = io.StringIO()
    gate = Gate(Console(stream=stream), on_open=lambda: opened.append(1), binding=Binding())
    gate.said = stream.getvalue
    return gate


def answer(gate, crew):
    """Let every host answer its question well."""
    for watch in crew:
        for command in watch.asked():
            event = {"id": command["id"], "state": "done", "bytes": 65536, "seconds": 0.01}
            gate.note(watch.host, event)


def go(watch):
    """Return what an agent was told at the gate."""
    (found,) = (command for command in watch.told if command["do"] == "go")
    return found


@pytest.mark.parametrize("ranks_first", [True, False])
def test_the_gate_waits_for_the_ranks_and_for_the_survey(ranks_first, gate, opened):
    """Whichever comes last opens it, once."""
    crew = watches(2, "eth0")
    gate.begin(crew, members=crew)
    steps = [lambda: gate.let_through(PLACES), lambda: answer(gate, crew)]
    first, second = steps if ranks_first else reversed(steps)
    first()
    assert opened == []
    assert gate.network is None
    second()
    gate.act(time.monotonic() + 60)
    gate.open()
    assert opened == [1]
    assert gate.opened_at is not None
    assert [go(watch)["all.NCCL_SOCKET_IFNAME"] for watch in crew] == ["=eth0", "=eth0"]
    assert gate.network["name"] == "eth0"


def test_ranks_know_all_hosts_and_their_own_place_among_them(gate):
    """In the order of their first ranks, not of the plan; a host without ranks is none of them."""
    crew = watches(3, "eth0")
    gate.begin(crew, members=crew)
    gate.let_through({"w0.job": [1], "w1.job": [0], "w2.job": []})
    answer(gate, crew)
    told = [go(watch) for watch in crew]
    assert told[0]["all.MPIJOB_HOSTS"] == "w1.job,w0.job"
    assert [words.get("all.MPIJOB_NODE_RANK") for words in told] == ["1", "0", None]


def test_a_survey_in_vain_opens_the_gate_all_the_same(gate, opened):
    """Five seconds late and with a warning; ranks choose their networks by themselves."""
    crew = watches(2, "eth0")
    gate.begin(crew, members=crew)
    gate.let_through(PLACES)
    gate.act(time.monotonic() + 5.1)
    assert opened == [1]
    assert gate.network is None
    assert "no network was found" in gate.said()
    assert "all.NCCL_SOCKET_IFNAME" not in go(crew[0])
    assert go(crew[0])["all.OMP_NUM_THREADS"] == "2"


def test_a_gate_that_has_to_open_tells_nothing_that_others_may_not_know(gate, opened):
    """Ranks are on hosts that nobody asked; and the survey has nothing more to say."""
    crew = watches(2, "eth0")
    gate.begin(crew, members=crew)
    gate.open()
    assert opened == [1]
    gate.act(time.monotonic() + 60)
    answer(gate, crew)
    assert [go(watch) for watch in crew] == [{"do": "go"}, {"do": "go"}]
    assert gate.network is None
    assert gate.said() == ""


def test_the_launchers_own_agent_is_told_too(gate, opened):
    """It is no member, has no rank, and is not asked for networks."""
    crew = watches(2, "eth0")
    launcher = FakeWatch("launcher", machine(7, "eth0"), links=False)
    gate.begin([*crew, launcher], members=crew)
    gate.let_through(PLACES)
    answer(gate, crew)
    assert opened == [1]
    assert go(launcher) == {"do": "go"}


def test_ranks_on_one_host_wait_for_nothing(gate, opened):
    """No network: no question, and no name of an interface."""
    crew = watches(1, "eth0")
    gate.begin(crew, members=crew)
    gate.let_through({"w0.job": [0, 1]})
    assert opened == [1]
    words = go(crew[0])
    assert words["all.MPIJOB_HOSTS"] == "w0.job"
    assert not any("{" in value or "None" in value for value in words.values())


def test_ranks_that_came_before_the_survey_are_let_through_by_the_next_tick(gate, opened):
    """A job on this host alone may be that quick."""
    gate.let_through({"w0.job": [0]})
    crew = watches(1, "eth0")
    gate.begin(crew, members=crew)
    gate.act(time.monotonic())
    assert opened == [1]


def test_advice_is_given_before_the_ranks_run(gate):
    """With the number of ranks that the host really has."""
    crew = watches(2, "eth0", shm_bytes=64 << 20)
    gate.begin(crew, members=crew)
    gate.let_through({"w0.job": [0, 1], "w1.job": [2]})
    gate.open()
    assert "warning: w0: /dev/shm has 64 MiB for 2 ranks" in gate.said()
    assert "w1: /dev/shm" not in gate.said()


def test_a_host_without_facts_gets_its_place_and_no_guesses(gate):
    """Nothing of it is known: neither its processors nor its RDMA devices."""
    crew = [*watches(1, "eth0"), FakeWatch("w1.job", links=False)]
    gate.begin(crew, members=crew)
    gate.let_through(PLACES)
    words = [go(watch) for watch in crew]
    assert set(words[1]) == {"do", "all.MPIJOB_HOSTS", "all.MPIJOB_NODE_RANK"}
    assert "all.NCCL_IB_DISABLE" not in words[0]
    assert "all.OMPI_MCA_pml" not in words[0]
