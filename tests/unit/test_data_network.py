import json

import pytest

from mpijob_runtime.data_network import (
    Candidate,
    DataNetwork,
    End,
    choose_network,
    describe_mtus,
    describe_network,
    find_candidates,
    interface_with,
    worth_measuring,
)
from mpijob_runtime.facts import HostFacts, InterfaceFacts


def host(mtu=1500, **addresses):
    """Return the facts of a host: interface -> its addresses, with spaces between."""
    found = (
        InterfaceFacts(name, mtu, None, tuple(texts.split())) for name, texts in addresses.items()
    )
    return HostFacts(interfaces=tuple(found))


def labels(*hosts):
    """Return the candidates of hosts w0, w1, … as people read them."""
    return [str(c) for c in find_candidates({f"w{n}": facts for n, facts in enumerate(hosts)})]


def candidate(label, family=4):
    """Return a candidate of two hosts."""
    return Candidate(label, family, {h: End(label, f"10.0.0.{h}", 1500) for h in ("1", "2")})


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([{"eth0": "10.0.0.1/24"}, {"eth0": "10.0.0.2/24"}], ["eth0"]),
        ([{"eth0": "10.244.1.5/24"}, {"eth0": "10.244.2.7/24"}], ["eth0"]),
        ([{"eth0": "10.0.0.1/32"}, {"eth0": "10.0.0.2/32"}], ["eth0"]),
        ([{"eth0": "10.0.0.1/24"}, {"ens3": "10.0.0.2/24"}], ["10.0.0.0/24"]),
        ([{"eth0": "10.0.0.1/24"}, {"ens3": "10.0.1.2/24"}], []),
        ([{"eth0": "fd00::1/64"}, {"eth0": "fd00::2/64"}], ["eth0 (IPv6)"]),
        (
            [{"eth0": "10.0.0.1/8 fd00::1/64"}, {"eth0": "10.0.0.2/8 fd00::2/64"}],
            ["eth0", "eth0 (IPv6)"],
        ),
        ([{"eth0": "10.0.0.1/8 fd00::1/64"}, {"eth0": "fd00::2/64"}], ["eth0 (IPv6)"]),
        ([{"eth0": "10.0.0.1/8"}, {"eth0": "fd00::2/64"}], []),
        ([{"eth0": "10.0.0.1/8", "net1": "10.9.0.1/16"}, {"eth0": "10.0.0.2/8"}], ["eth0"]),
        ([{}, {"eth0": "10.0.0.2/8"}], []),
        ([], []),
    ],
)
def test_networks_of_all_hosts_are_candidates(hosts, expected):
    """By name, whatever the subnets are; by subnet where names differ; IPv4 first."""
    assert labels(*[host(**addresses) for addresses in hosts]) == expected


def test_names_that_are_exchanged_leave_the_subnets():
    """Interfaces may come up in another order; then only the subnets tell what belongs together."""
    found = find_candidates(
        {
            "w0": host(eth0="10.0.0.1/24", eth1="192.168.0.1/24"),
            "w1": host(eth0="192.168.0.2/24", eth1="10.0.0.2/24"),
        }
    )
    assert [str(c) for c in found] == ["eth0", "eth1", "10.0.0.0/24", "192.168.0.0/24"]
    assert [end.interface for end in found[2].ends.values()] == ["eth0", "eth1"]


def test_the_first_address_of_an_interface_counts():
    """As kernels have it: the others are aliases."""
    (found,) = find_candidates({"w0": host(eth0="10.0.0.1/24 10.7.0.1/24")})
    assert found.ends["w0"] == End("eth0", "10.0.0.1", 1500)


def test_a_host_with_hundreds_of_interfaces_does_not_ask_for_hours():
    """The first ones count."""
    many = {f"net{n}": f"10.{n}.0.1/24" for n in range(200)}
    assert len(labels(host(**many), host(**many))) == 16


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({"eth0": None}, "eth0"),
        ({"eth0": 95.0, "net1": 478.0}, "net1"),
        ({"eth0": 478.0, "net1": 95.0}, "eth0"),
        ({"eth0": 450.0, "net1": 478.0}, "eth0"),
        ({"eth0": 0.0, "net1": 0.0}, "eth0"),
        ({"eth0": None, "net1": 1.0}, "net1"),
    ],
)
def test_the_fastest_network_is_chosen_and_the_first_of_those_alike(rates, chosen):
    """Within a tenth there is nothing to choose by a short measurement."""
    found = choose_network({candidate(label): rate for label, rate in rates.items()}, {})
    assert found.candidate.label == chosen
    assert found.mbit_per_second == rates[chosen]
    assert found.others.keys() == rates.keys() - {chosen}


def test_no_network_that_works_is_none():
    """However many there are."""
    assert choose_network({}, {candidate("eth0"): "w0 to w1: no answer"}) is None


def test_what_does_not_work_is_told_beside_the_one_that_does():
    """For the report and the line for people."""
    found = choose_network({candidate("net1"): None}, {candidate("eth0"): "no answer"})
    assert found.others == {"eth0": "no answer"}
    assert describe_network(found) == "net1 (eth0 no answer)"


def test_both_families_of_one_interface_are_two_networks():
    """One name, two words."""
    both = {candidate("eth0"): None, candidate("eth0", 6): None}
    assert choose_network(both, {}).others == {"eth0 (IPv6)": "not measured"}


def test_ipv6_is_measured_only_where_ipv4_does_not_work():
    """On the same wires it is no faster."""
    four, six = candidate("eth0"), candidate("eth0", 6)
    assert worth_measuring([six, four]) == (four,)
    assert worth_measuring([six]) == (six,)
    assert worth_measuring([]) == ()


def test_different_packet_sizes_are_said_with_their_hosts():
    """A frame that is too large for one end is lost on many switches."""
    ends = {"w0": End("eth0", "1", 9000), "w1": End("eth0", "2", 1500)}
    found = describe_mtus(Candidate("eth0", 4, ends))
    assert found == "MTUs of eth0 differ: 1500 on w1; 9000 on w0"
    assert describe_mtus(candidate("eth0")) == ""


def test_a_network_is_plain_data():
    """As the report has it."""
    network = DataNetwork(candidate("net1"), 478.26, {"eth0": 95.04, "x": "no answer"})
    assert json.loads(json.dumps(network.to_json())) == {
        "name": "net1",
        "family": "IPv4",
        "interfaces": {"1": "net1", "2": "net1"},
        "mbit_per_second": 478.3,
        "others": {"eth0": 95.0, "x": "no answer"},
    }
    assert describe_network(network) == "net1 (478 Mbit/s; eth0 95 Mbit/s; x no answer)"


@pytest.mark.parametrize(
    ("address", "expected"), [("10.0.0.1", "eth0"), ("fd00::1", "eth0"), ("10.0.0.9", None)]
)
def test_an_interface_is_found_by_its_address(address, expected):
    """For the interface of this host's own name."""
    assert interface_with(address, host(eth0="10.0.0.1/8 fd00::1/64").interfaces) == expected
