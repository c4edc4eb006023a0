import ipaddress
import os
import socket

import pytest

from mpijob_runtime.interfaces import _Kernel, list_interfaces, parse_if_inet6

GLOBAL = "20010db8000000000000000000000001 02 40 00 80     eth0"


def test_interfaces_of_this_host_have_addresses_that_can_be_bound():
    """What the kernel answers through ioctl is what a socket accepts."""
    for interface in list_interfaces():
        assert interface["name"] in dict(map(reversed, socket.if_nameindex()))
        assert interface["name"] != "lo"
        for text in interface["addresses"]:
            address = ipaddress.ip_interface(text).ip
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            with socket.socket(family) as probe:
                probe.bind((str(address), 0))


def test_mtu_and_speed_are_the_kernels():
    """The same numbers that sysfs shows; a speed that the driver does not know is -1."""
    for interface in list_interfaces():
        with open(f"/sys/class/net/{interface['name']}/mtu", encoding="ascii") as file:
            assert interface["mtu"] == int(file.read())
        assert interface["speed"] == -1 or interface["speed"] >= 0


def test_loopback_has_an_address_but_is_left_out():
    """The reading itself works on it: it is passed over on purpose."""
    kernel = _Kernel()
    assert kernel.addresses4("lo") == ["127.0.0.1/8"]
    kernel.close()
    assert "lo" not in [interface["name"] for interface in list_interfaces()]


@pytest.mark.parametrize("name", ["nosuch0", "x" * 60, "\udcff"])
def test_what_the_kernel_does_not_know_is_nothing(name):
    """An interface may go while it is looked at, and its name be any bytes."""
    kernel = _Kernel()
    assert kernel.addresses4(name) == []
    assert kernel.number(0x8921, name, size=4) == 0
    kernel.close()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GLOBAL, {"eth0": ["2001:db8::1/64"]}),
        (GLOBAL.replace(" 00 80", " 20 80"), {}),  # link-local
        (GLOBAL.replace(" 00 80", " 10 80"), {}),  # the host's own
        (GLOBAL.replace(" 00 80", " 00 08"), {}),  # duplicate
        (GLOBAL.replace(" 00 80", " 00 20"), {}),  # deprecated
        (GLOBAL.replace(" 00 80", " 00 40"), {}),  # tentative
        ("", {}),
        ("a line of something else", {}),
    ],
)
def test_only_ipv6_addresses_that_others_can_use_count(line, expected):
    """Scope and flags as linux/if_addr.h has them."""
    assert parse_if_inet6(line) == expected


def test_an_interface_may_have_several_ipv6_addresses():
    """They come in the kernel's order."""
    other = GLOBAL.replace("0001 02", "0002 02").replace(" 40 ", " 80 ")
    assert parse_if_inet6(f"{GLOBAL}\n{other}\n") == {"eth0": ["2001:db8::1/64", "2001:db8::2/128"]}


def test_looking_leaves_no_descriptor_open():
    """The agent lives as long as the job."""
    before = os.listdir("/proc/self/fd")
    list_interfaces()
    assert os.listdir("/proc/self/fd") == before
