import json

import pytest

from mpijob_local.links import (
    check_can_shape,
    choose_congestion_control,
    run_command,
    shape_link,
)
from mpijob_runtime.errors import ConfigurationError

NAMESPACE = "/run/netns/x"
INSIDE = ("nsenter", f"--net={NAMESPACE}", "--")
ALL_CAPABILITIES = 2**41 - 1


class FakeKernel:
    """Answers tc and ip for one cable, eth0 in the pod and veth7 on this machine."""

    def __init__(self, rate_in_force=None, peer=7):
        """Take the rate in bytes per second that tc shows; None shows what was set."""
        self._rate, self._peer = rate_in_force, peer
        self.buckets = {}

    def run(self, argv):
        """Do one command."""
        where = "pod" if argv[:3] == INSIDE else "machine"
        words = argv[3:] if where == "pod" else argv
        if words[:3] == ("tc", "qdisc", "replace"):
            self.buckets[where, words[4]] = words[5:]
            return ""
        if words[:2] == ("tc", "-json"):
            rate = self.buckets[where, words[-1]][3].removesuffix("bit")
            bucket = {"rate": self._rate or int(rate) // 8}
            return json.dumps([{"kind": "tbf", "root": True, "options": bucket}])
        links = [{"ifname": "lo", "ifindex": 1}, {"ifname": "veth7", "ifindex": 7}]
        own = [{"ifname": "eth0", "ifindex": 2, "link_index": self._peer}]
        return json.dumps(own if where == "pod" else links)


def test_both_ends_are_shaped():
    """What a pod sends and what it receives is limited to one rate; the sending end is stricter."""
    kernel = FakeKernel()

    shape_link(NAMESPACE, "eth0", 10**8, run=kernel.run)

    rate, latency = ("root", "tbf", "rate", "100000000bit"), ("latency", "50ms")
    assert kernel.buckets == {
        ("pod", "eth0"): (*rate, "burst", "131072", *latency),
        ("machine", "veth7"): (*rate, "burst", "262144", *latency),
    }


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (FakeKernel(rate_in_force=1), r"found .*, wanted 100 Mbit/s"),
        (FakeKernel(peer=9), "no other end of eth0"),
    ],
)
def test_a_link_that_is_not_shaped_is_an_error(kernel, message):
    """Nothing runs on a link whose rate is another than asked for."""
    with pytest.raises(ConfigurationError, match=message):
        shape_link(NAMESPACE, "eth0", 10**8, run=kernel.run)


@pytest.mark.parametrize(
    ("rootless", "capabilities", "message"),
    [
        (True, ALL_CAPABILITIES, "podman is rootless"),
        (False, 0, "lacks CAP_NET_ADMIN and CAP_SYS_ADMIN"),
        (False, ALL_CAPABILITIES & ~(1 << 12), "lacks CAP_NET_ADMIN"),
    ],
)
def test_who_cannot_shape_is_told(rootless, capabilities, message):
    """Links are never left unshaped in silence."""
    with pytest.raises(ConfigurationError, match=message):
        check_can_shape(rootless=rootless, effective_capabilities=capabilities)


def test_missing_tc_is_told(monkeypatch):
    """A machine without iproute2 is told the package."""
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(ConfigurationError, match="tc is not installed") as caught:
        check_can_shape(rootless=False, effective_capabilities=ALL_CAPABILITIES)

    assert "iproute2" in caught.value.remedy


def test_words_of_a_command_that_fails():
    """The words of the command that failed are in the error, and the command itself."""
    with pytest.raises(ConfigurationError, match="sh -c echo no >&2; exit 2: no"):
        run_command(("sh", "-c", "echo no >&2; exit 2"))


@pytest.mark.parametrize(
    ("allowed", "expected"), [("reno bbr\n", "reno"), ("reno cubic\n", "cubic")]
)
def test_congestion_control(allowed, expected):
    """Pods with shaped links have cubic where they may, reno elsewhere, and never BBR."""
    assert choose_congestion_control(allowed) == expected
