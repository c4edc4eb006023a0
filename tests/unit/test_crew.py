import io
import subprocess
import sys

import pytest

from mpijob_runtime.console import Console
from mpijob_runtime.crew import (
    _check_control_network,
    _check_daemon,
    _check_nodes,
    check_crew,
    say_change,
)
from mpijob_runtime.environ import Variable
from mpijob_runtime.errors import ConfigurationError, SpreadError
from mpijob_runtime.probes.ssh import HostRefusal
from mpijob_runtime.readiness import HostChange
from mpijob_runtime.watch import HostWatch


@pytest.fixture
def console():
    """Return a console, and what was said as its attribute."""
    console = Console(stream=io.StringIO())
    console.said = console._stream.getvalue
    return console


def crew(*boots, **hello):
    """Return a watch for each boot id."""
    watches = [HostWatch(f"w{number}.job.svc", None, None) for number in range(len(boots))]
    for watch, boot in zip(watches, boots, strict=True):
        watch.hello = {"boot_id": boot, **hello}
    return watches


def test_hosts_on_one_node_are_said(console, make_settings):
    """A warning that names who is together with whom."""
    _check_nodes(crew("a", "b", "a", "c"), make_settings(), console)
    assert "warning: 4 hosts are on 3 physical nodes; together are w0, w2" in console.said()


def test_hosts_on_one_node_are_an_error_if_asked(console, make_settings):
    """--distinct-nodes: 76, before anything runs, with a next step."""
    with pytest.raises(SpreadError, match="together are w0, w1") as caught:
        _check_nodes(crew("a", "a"), make_settings(distinct_nodes=True), console)
    assert caught.value.exit_code == 76
    assert "anti-affinity" in caught.value.remedy


@pytest.mark.parametrize("distinct", [False, True])
def test_hosts_on_nodes_of_their_own_are_no_news(distinct, console, make_settings):
    """Nothing is said."""
    _check_nodes(crew("a", "b"), make_settings(distinct_nodes=distinct), console)
    assert console.said() == ""


def test_a_thousand_hosts_on_one_node_do_not_fill_the_screen(console, make_settings):
    """Names are cut."""
    _check_nodes(crew(*["a"] * 1000), make_settings(), console)
    assert len(console.said()) < 300


@pytest.mark.parametrize(
    ("major", "daemons", "words"),
    [
        (4, ["prted"], "found prted, wanted orted of Open MPI 4"),
        (5, ["orted"], "found orted, wanted prted of Open MPI 5"),
        (5, [], "found neither orted nor prted on PATH, wanted prted"),
        (4, None, "found neither orted nor prted"),
    ],
)
def test_another_open_mpi_on_a_host_is_refused(major, daemons, words):
    """78 with both sides, instead of an mpirun that hangs."""
    (watch,) = crew("a", daemons=daemons)
    with pytest.raises(ConfigurationError, match=words) as caught:
        _check_daemon(watch, major)
    assert "w0.job.svc" in str(caught.value)
    assert "same image" in caught.value.remedy


@pytest.mark.parametrize(("major", "daemons"), [(4, ["orted"]), (5, ["orted", "prted"])])
def test_the_same_open_mpi_is_fine(major, daemons):
    """Both generations on one host are no harm."""
    (watch,) = crew("a", daemons=daemons)
    assert _check_daemon(watch, major) is None


class FakePlan:
    """Stands in for a plan: whether the launcher is one of its hosts, and mpirun's variables."""

    def __init__(self, *, aliases=(), environ=()):
        self.aliases = aliases
        self.environ = dict(environ)


def test_what_an_earlier_attempt_left_is_said(console, make_settings):
    """Only where something was."""
    watches = [*crew("a", ended=3), *crew("b", ended=0)]
    check_crew(watches, FakePlan(aliases={"here": "here"}), make_settings(), console)
    assert console.said() == (
        "mpijob: warning: w0.job.svc: ended 3 processes of an earlier attempt\n"
    )


@pytest.mark.parametrize(("aliases", "warned"), [({}, False), ({"w1": "w1.job.svc"}, True)])
def test_a_launcher_without_ranks_may_share_a_node(aliases, warned, console, make_settings):
    """Only hosts of the job count; the launcher's own is the last."""
    check_crew(crew("a", "a"), FakePlan(aliases=aliases), make_settings(), console)
    assert ("physical nodes" in console.said()) == warned


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (None, "mpijob: [1/2]   3.1 s  w0: ready\n"),
        (HostRefusal("tcp", "refused"), "mpijob: [1/2]   3.1 s  w0: not ready: tcp: refused\n"),
    ],
)
def test_a_hosts_change_is_one_line(refusal, words, console):
    """How many are ready, since when, who, and why not."""
    say_change(console, HostChange("w0", refusal, 1, 2, 3.14))
    assert console.said() == words


OOB = "OMPI_MCA_oob_tcp_if_include"


def with_interfaces(*names):
    """Return a watch whose host has these interfaces."""
    found = [{"name": name, "mtu": 1500, "addresses": ["10.0.0.1/8"]} for name in names]
    return crew("a", machine={"interfaces": found})[0]


@pytest.mark.parametrize("name", [OOB, "PRTE_MCA_prte_if_include"])
@pytest.mark.parametrize(("has", "words"), [(["ens3", "net1"], "ens3, net1"), ([], r"\(none\)")])
def test_a_host_without_the_daemons_network_is_refused(name, has, words):
    """78 with both sides and a way out, instead of a daemon that cannot call back."""
    plan = FakePlan(environ={name: Variable("eth0", "probed", "")})
    with pytest.raises(
        ConfigurationError, match=f"found interfaces {words}, wanted eth0"
    ) as caught:
        _check_control_network(with_interfaces(*has), plan)
    assert caught.value.exit_code == 78
    assert str(caught.value).startswith("w0.job.svc: ")
    assert f"set {name}" in caught.value.remedy


@pytest.mark.parametrize(
    ("environ", "watch"),
    [
        ({OOB: Variable("eth0", "probed", "")}, with_interfaces("net1", "eth0")),
        ({OOB: Variable("10.0.0.0/8", "user", "")}, with_interfaces("ens3")),
        ({}, with_interfaces("ens3")),
        ({OOB: Variable("eth0", "probed", "")}, crew("a")[0]),
    ],
    ids=["it is there", "the user's own", "not told", "an agent that does not say"],
)
def test_a_host_that_daemons_can_work_on_is_taken(environ, watch):
    """The user's word is not held against interfaces: it may be a subnet."""
    assert _check_control_network(watch, FakePlan(environ=environ)) is None


def test_mpirun_starts_before_the_ssh_library_is_imported():
    """That takes a third of a launch's own time, and nothing needs it before the first login."""
    script = "import sys, mpijob_runtime.launch; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert not {"paramiko", "cryptography"} & loaded
