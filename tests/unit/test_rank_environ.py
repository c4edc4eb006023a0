import dataclasses
import json

import pytest

from mpijob_runtime import carried
from mpijob_runtime.agent.wrapper import _MOST_PACKET_BYTES
from mpijob_runtime.bind_to import Binding
from mpijob_runtime.data_network import Candidate, DataNetwork, End
from mpijob_runtime.defaults import RANK_DEFAULTS
from mpijob_runtime.facts import HostFacts, RankFacts, RdmaFacts
from mpijob_runtime.frames import format_command, parse_command
from mpijob_runtime.rank_environ import (
    Findings,
    gate_words,
    rank_facts,
    show_binding,
    show_rank_environ,
)

CLOSED = RdmaFacts("mlx5_0", "infiniband", "ACTIVE", "400 Gb/sec", usable=False)
OPEN = RdmaFacts("mlx5_0", "infiniband", "ACTIVE", "400 Gb/sec", usable=True)
ONE_HOST_OPEN = {"w0": HostFacts(cpus=8), "w1": HostFacts(cpus=8, rdma=(CLOSED, OPEN))}
PLACES = {"w0": [0, 1, 2], "w1": [3]}


def network(family=4, **interfaces):
    """Return a network: host -> its interface."""
    ends = {host: End(name, "10.0.0.1", 1500) for host, name in interfaces.items()}
    return DataNetwork(Candidate("net", family, ends))


def words(hosts, found=None, places=PLACES):
    """Return host -> what it is told of its ranks' variables."""
    told = gate_words(hosts, places, Findings(hosts, found))
    return {host: {k.removeprefix("all."): v for k, v in of.items()} for host, of in told.items()}


def plain(number=2, **more):
    """Return so many hosts with nothing special."""
    return {f"w{n}": HostFacts(cpus=8, **more) for n in range(number)}


def test_each_host_has_its_own_interface_of_the_network():
    """Names may differ; every library gets the same, in its own form."""
    told = words(plain(), network(w0="eth0", w1="ens3"))
    for host, name in (("w0", "eth0"), ("w1", "ens3")):
        assert told[host]["NCCL_SOCKET_IFNAME"] == f"={name}"
        for variable in ("GLOO_SOCKET_IFNAME", "HOROVOD_GLOO_IFACE", "UCX_NET_DEVICES"):
            assert told[host][variable] == name
        assert told[host]["OMPI_MCA_btl_tcp_if_include!OMPI_MCA_btl_tcp_if_exclude"] == name


def test_without_a_network_no_interface_is_named():
    """What was not found to work is not told."""
    told = words(plain())
    assert not any("IF" in name or "DEVICES" in name for name in told["w0"])
    assert told["w0"]["NCCL_DEBUG"] == "WARN"


@pytest.mark.parametrize(("cpus", "ranks", "threads"), [(8, 3, "2"), (2, 4, "1"), (1, 1, "1")])
def test_threads_are_the_hosts_processors_over_its_ranks(cpus, ranks, threads):
    """Never fewer than one."""
    told = words({"w0": HostFacts(cpus=cpus)}, places={"w0": list(range(ranks))})
    assert told["w0"]["OMP_NUM_THREADS"] == threads


TWO_NODES = {"w0": HostFacts(cpus=4, cpu_nodes=((0, 1), (2, 3)))}


def test_ranks_of_a_host_with_numa_nodes_are_bound_to_them():
    """In rank order; the wrapper leaves alone what is bound already."""
    told = gate_words(TWO_NODES, {"w0": [5, 4, 7, 6]}, Findings(TWO_NODES))["w0"]
    cpus = {name: value for name, value in told.items() if carried.CPUS in name}
    assert cpus == {f"{rank}.MPIJOB_CPUS": "0,1" if rank < 6 else "2,3" for rank in (4, 5, 6, 7)}
    shown = show_binding({"w0": 4}, Findings(TWO_NODES), Binding())
    assert shown == {"w0": "1 thread a rank: 2 on 0-1, 2 on 2-3"}


def test_the_gate_binds_nothing_that_mpirun_was_asked_to_bind():
    """And says nothing of hosts."""
    elsewhere = Binding(at_gate=False)
    told = gate_words(TWO_NODES, {"w0": [0, 1, 2, 3]}, Findings(TWO_NODES), elsewhere)["w0"]
    assert not any(carried.CPUS in name for name in told)
    assert show_binding({"w0": 4}, Findings(TWO_NODES), elsewhere) == {}


def test_ranks_that_wait_give_their_processor_up_where_there_are_more_of_them():
    """By the cgroup's processors, which Open MPI does not see, and host by host."""
    told = words({"w0": HostFacts(cpus=2), "w1": HostFacts(cpus=2)}, places=PLACES)
    assert told["w0"]["OMPI_MCA_mpi_yield_when_idle"] == "1"
    assert "OMPI_MCA_mpi_yield_when_idle" not in told["w1"]


def test_rdma_anywhere_is_not_switched_off_anywhere():
    """Ranks with and without it could not talk to each other."""
    told = words(ONE_HOST_OPEN, network(w0="eth0", w1="eth0"))
    for host in told:
        assert told[host].keys().isdisjoint({"NCCL_IB_DISABLE", "UCX_NET_DEVICES", "OMPI_MCA_pml"})


def test_rdma_on_every_host_is_left_to_open_mpi():
    """Debian's Open MPI 4.1 would take TCP; windows are UCX's then."""
    for of_host in words(plain(rdma=(OPEN,))).values():
        assert of_host["OMPI_MCA_pml"] == "^monitoring"
        assert not any(name.startswith("OMPI_MCA_osc") for name in of_host)


def test_windows_follow_a_users_own_way_of_sending():
    """Without UCX where we say ob1; where a user says ucx, windows may need it."""
    assert words(plain())["w0"]["OMPI_MCA_osc!OMPI_MCA_pml"] == "^ucx"


def test_rdma_that_nobody_may_open_leaves_mpi_on_tcp():
    """NCCL and UCX may still look, MPI need not."""
    told = words(plain(rdma=(CLOSED,)), network(w0="eth0", w1="eth0"))
    assert told["w0"]["OMPI_MCA_pml"] == "ob1"
    assert told["w0"].keys().isdisjoint({"NCCL_IB_DISABLE", "UCX_NET_DEVICES"})


def test_without_any_device_nobody_looks_for_one():
    """All ranks know it alike."""
    told = words(plain())
    assert [of["NCCL_IB_DISABLE"] for of in told.values()] == ["1", "1"]


def test_a_host_of_which_nothing_is_known_may_have_rdma():
    """Absence must be seen, not assumed."""
    told = gate_words(["w0", "w1"], PLACES, Findings(plain(1)))
    assert "all.NCCL_IB_DISABLE" not in told["w0"]
    assert set(told["w1"]) == {"all.MPIJOB_HOSTS", "all.MPIJOB_NODE_RANK"}


def test_a_host_outside_of_the_plan_is_one_of_the_ranks_hosts():
    """A user's own mpirun line may name it; it has no agent of ours to tell."""
    told = words(plain(), places=PLACES | {"stranger": [4]})
    assert told["w0"]["MPIJOB_HOSTS"] == "w0,w1,stranger"
    assert told["stranger"]["MPIJOB_NODE_RANK"] == "2"


def test_ipv6_is_told_to_nccl_only_where_it_is_the_one_that_works():
    """And not to a user who has chosen an interface."""
    six = words(plain(), network(6, w0="eth0", w1="eth0"))["w0"]
    assert six["NCCL_SOCKET_FAMILY!NCCL_SOCKET_IFNAME"] == "AF_INET6"
    four = words(plain(), network(w0="eth0", w1="eth0"))["w0"]
    assert not any(name.startswith("NCCL_SOCKET_FAMILY") for name in four)


@pytest.mark.parametrize("number", [1, 64, 1000, 5000])
def test_what_ranks_of_many_hosts_are_told_fits_every_way_it_goes(number):
    """One line to the agent, one packet to the wrapper, one variable of 128 KiB at most."""
    hosts = {
        f"a-rather-long-job-name-worker-{n}.job.namespace.svc": HostFacts() for n in range(number)
    }
    places = {host: [rank] for rank, host in enumerate(hosts)}
    first = next(iter(hosts))
    told = gate_words([first], places, Findings(hosts))[first]
    assert parse_command(format_command({"do": "go", **told})) == {"do": "go", **told}
    assert sum(len(name) + len(value) + 2 for name, value in told.items()) < _MOST_PACKET_BYTES / 2
    assert all(len(name) + len(value) < 128 * 1024 - 1 for name, value in told.items())
    assert ("all.MPIJOB_HOSTS" in told) == (number < 5000)


@pytest.mark.parametrize("row", RANK_DEFAULTS, ids=lambda row: row.name)
def test_every_row_can_be_told(row):
    """No place in a value is left unfilled, and no name has a separator in it."""
    facts = RankFacts(
        interface="eth0",
        family=6,
        rdma_seen=False,
        rdma_usable=False,
        threads=2,
        gpus=1,
        crowded=True,
    )
    everywhere = dataclasses.replace(facts, rdma_usable=True, rdma_everywhere=True)
    assert row.applies(facts) or row.applies(everywhere)
    value = row.value.format(interface=facts.interface, threads=facts.threads)
    assert value
    assert not set("{}\n\0") & set(value)
    assert not set("!.=") & set(row.name)


def test_plan_shows_conditions_before_the_hosts_are_asked():
    """What is decided at launch has no value yet, and says on what it depends."""
    shown = show_rank_environ({}, {})
    assert list(shown) == list(dict.fromkeys(row.name for row in RANK_DEFAULTS))
    assert shown["NCCL_DEBUG"].value == "WARN"
    assert shown["GLOO_SOCKET_IFNAME"].value is None
    assert "if the network was found" in shown["GLOO_SOCKET_IFNAME"].why
    assert shown["OMP_NUM_THREADS"].value is None
    for condition in ("if no host has an RDMA device", "if every host has an RDMA device"):
        assert condition in shown["OMPI_MCA_pml"].why


def test_plan_shows_a_variable_of_mpirun_once():
    """Ranks have it from mpirun already, so that they lack nothing."""
    assert "OMPI_MCA_osc" in show_rank_environ({}, {})
    assert "OMPI_MCA_osc" not in show_rank_environ({}, {}, of_mpirun=["OMPI_MCA_osc"])


@pytest.mark.parametrize("where", ["given", "forwarded"])
def test_plan_shows_what_the_user_has_set(where):
    """On the launcher or by --env; that is what ranks get."""
    shown = show_rank_environ(**({"given": {}, "forwarded": {}} | {where: {"NCCL_DEBUG": "INFO"}}))
    assert (shown["NCCL_DEBUG"].value, shown["NCCL_DEBUG"].source) == ("INFO", "user")


def test_plan_leaves_out_what_the_users_choice_speaks_against():
    """As the wrapper does: no interface for Open MPI beside the user's own exclusion."""
    shown = show_rank_environ({"OMPI_MCA_btl_tcp_if_exclude": "eth9"}, {})
    assert "OMPI_MCA_btl_tcp_if_include" not in shown
    assert "GLOO_SOCKET_IFNAME" in shown


def test_plan_shows_values_that_differ_by_host():
    """Once the hosts have been asked."""
    facts = rank_facts({"w0": 1, "w1": 4}, Findings(plain(), network(w0="eth0", w1="ens3")))
    shown = show_rank_environ({}, {}, facts)
    assert shown["GLOO_SOCKET_IFNAME"].by_host == {"w0": "eth0", "w1": "ens3"}
    assert shown["OMP_NUM_THREADS"].by_host == {"w0": "8", "w1": "2"}
    assert shown["NCCL_DEBUG"].by_host == {}
    assert "NCCL_SOCKET_FAMILY" not in shown


def test_plan_and_gate_say_the_same():
    """Nothing decides twice: what plan shows is what ranks are told."""
    hosts, found = plain(), network(w0="eth0", w1="eth0")
    shown = show_rank_environ({}, {}, rank_facts({"w0": 3, "w1": 1}, Findings(hosts, found)))
    told = words(hosts, found)
    for host in hosts:
        of_host = {name.partition("!")[0]: value for name, value in told[host].items()}
        for name, variable in shown.items():
            assert of_host[name] == variable.by_host.get(host, variable.value)
        assert of_host.keys() - shown.keys() == {carried.HOSTS, carried.NODE_RANK}
    assert json.dumps([dict(variable.by_host) for variable in shown.values()])
