import pytest

from mpijob_runtime.facts import HostFacts, LimitFacts, RdmaFacts
from mpijob_runtime.host_differences import (
    describe_directories,
    find_host_differences,
    format_host_differences,
)

RDMA = RdmaFacts("mlx5_0", "infiniband", "ACTIVE", "r", usable=True)
MIB = 1 << 20


def hosts(*facts):
    """Return hosts of a job with these facts."""
    return {f"w{number}.job": found for number, found in enumerate(facts)}


def limited(name, most, **more):
    """Return the facts of a host with one limit."""
    return HostFacts(limits=(LimitFacts(name, most),), **more)


@pytest.mark.parametrize(
    ("name", "low", "high", "label", "shown"),
    [
        ("nofile", 1024, 1 << 20, "open files", ["1024", "65536 or more"]),
        ("nproc", 100, None, "processes", ["100", "32768 or more"]),
        ("stack", 8 * MIB, None, "stack", ["8192 KiB", "unlimited"]),
        ("core", 0, None, "size of core files", ["0 KiB", "any"]),
    ],
)
def test_a_limit_that_differs_is_told_with_its_hosts(name, low, high, label, shown):
    """What a program meets on one host only; and where limits come from."""
    found = find_host_differences(hosts(limited(name, low), limited(name, high)))
    assert found == {label: dict(zip(shown, (["w0.job"], ["w1.job"]), strict=True))}
    text = format_host_differences(found)
    assert label in text
    assert "\n  next: " in text


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("nofile", 1 << 20, 1073741816),
        ("nproc", 1 << 17, None),
        ("core", 4096, None),
        ("memlock", 8 * MIB, None),
        ("nice", 0, 1),
    ],
)
def test_limits_that_are_enough_are_alike(name, one, other):
    """Container runtimes differ in large numbers, and TCP locks no memory."""
    assert find_host_differences(hosts(limited(name, one), limited(name, other))) == {}


def test_locked_memory_matters_to_rdma():
    """On any host of the job."""
    found = find_host_differences(
        hosts(limited("memlock", 8 * MIB, rdma=(RDMA,)), limited("memlock", None))
    )
    assert found == {"locked memory": {"8192 KiB": ["w0.job"], "unlimited": ["w1.job"]}}


def test_the_umask_is_octal():
    """As umask(1) shows it; limits are no remedy for it."""
    usual = [HostFacts(umask=0o022)] * 9
    text = format_host_differences(find_host_differences(hosts(*usual, HostFacts(umask=0o077))))
    assert "w0, w1 … and 7 more" in text
    assert "0022" in text
    assert "0077" in text
    assert "next:" not in text


LACKING = HostFacts(missing_directory="/tmp/code", home="/home/m")


def test_a_directory_of_the_launcher_alone_is_told(make_record):
    """Where it is missing, and where the ranks are in its place."""
    starts = [
        make_record("start", rank, host=f"w{rank // 2}.job", directory="/home/m")
        for rank in (3, 0, 2, 1)
    ]
    text = describe_directories(starts, hosts(LACKING, LACKING))
    assert text.splitlines()[0] == (
        "working directory /tmp/code is not on w0, w1; ranks start in /home/m"
    )
    assert "\n  next: " in text


@pytest.mark.parametrize(
    ("facts", "directory"),
    [(LACKING, "/data"), (HostFacts(home="/home/m"), "/home/m"), (HostFacts(), "")],
)
def test_a_directory_that_was_asked_for_is_no_news(facts, directory, make_record):
    """By -wdir, or because the launcher itself is in its home."""
    starts = [make_record("start", 0, host="w0.job", directory=directory)]
    assert describe_directories(starts, hosts(facts)) == ""
    assert describe_directories(starts, {}) == ""
