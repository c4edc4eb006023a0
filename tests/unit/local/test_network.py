import json
from ipaddress import IPv4Network

import pytest
from fakes import FakePodman

from mpijob_local.network import create_networks, free_subnets
from mpijob_runtime.errors import ConfigurationError


def test_free_subnets_avoid_what_is_taken():
    """A subnet that overlaps another network or route is passed over."""
    taken = [IPv4Network("10.180.0.0/23"), IPv4Network("10.180.2.128/25")]

    assert str(next(free_subnets(9, taken))) == "10.180.3.0/24"


@pytest.mark.parametrize(("pods", "prefix"), [(1, 24), (252, 24), (253, 23), (1000, 22)])
def test_subnets_have_room(pods, prefix):
    """A job of any size fits into its subnet."""
    subnet = next(free_subnets(pods, ()))

    assert subnet.prefixlen == prefix
    assert subnet.num_addresses >= pods + 3


def test_create():
    """The network is internal and carries the job's label; pods' addresses follow the gateway."""
    podman = FakePodman(network_ls="a\n", network_inspect="10.180.0.0/24 fd00::/64 ")

    (network,) = create_networks(podman, [None], namespace="team", job="pi", pods=3, run="r1")

    command = podman.commands[-1]
    assert command[:3] == ("network", "create", "--internal")
    assert "--label=mpijob.local/job=team/pi" in command
    assert command[-1] == network.name == "mpijob.team.pi"
    assert str(network.subnet) != "10.180.0.0/24"
    assert network.address(0) == network.subnet[2]


def test_create_several():
    """Further networks are named as Multus names their interfaces, and have no names of pods."""
    podman = FakePodman()

    networks = create_networks(podman, [10**8, None], namespace="team", job="pi", pods=3, run="r1")

    made = [command for command in podman.commands if command[:2] == ("network", "create")]
    assert [(it.name, it.interface, it.bits_per_second) for it in networks] == [
        ("mpijob.team.pi", "eth0", 10**8),
        ("mpijob.team.pi.net1", "net1", None),
    ]
    assert ["--disable-dns" in command for command in made] == [False, True]
    assert all("--label=mpijob.local/job=team/pi" in command for command in made)


def test_create_gives_up():
    """When podman refuses every subnet its own words are in the error."""
    podman = FakePodman(network_create=125)

    with pytest.raises(ConfigurationError, match=r"no network mpijob\.team\.pi"):
        create_networks(podman, [None], namespace="team", job="pi", pods=3, run="r1")

    assert json.dumps(podman.commands).count("create") == 20
