import json

import pytest
from fakes import FakePodman

from mpijob_local.cli.selection import select_job
from mpijob_local.removal import list_jobs, list_pods, remove_job
from mpijob_runtime.errors import UsageError

ROW = {
    "Names": ["mpijob.default.pi-worker-0"],
    "State": "exited",
    "ExitCode": 3,
    "Created": 1700000000,
    "Labels": {
        "mpijob.local/job": "default/pi",
        "mpijob.local/pod": "pi-worker-0",
        "mpijob.local/role": "worker",
        "mpijob.local/ip": "10.1.0.2",
        "mpijob.local/ips": "10.1.0.2,10.2.0.2",
    },
}
NETWORK = {"name": "mpijob.default.pi", "labels": {"mpijob.local/job": "default/pi"}}


def test_pods():
    """Pods are known by their labels."""
    (pod,) = list_pods(FakePodman(ps=json.dumps([ROW])))

    assert (pod.job, pod.pod, pod.exit_code) == ("default/pi", "pi-worker-0", 3)
    assert (pod.address, pod.addresses) == ("10.1.0.2", ("10.1.0.2", "10.2.0.2"))


def test_jobs_include_those_without_pods():
    """A job that has only a network left is still there to be removed."""
    podman = FakePodman(network_ls=json.dumps([NETWORK]))

    assert list_jobs(podman) == ("default/pi",)


def test_remove_touches_only_the_labelled(tmp_path):
    """Everything that is removed was found by the job's label."""
    networks = ("mpijob.default.pi", "mpijob.default.pi.net1")
    podman = FakePodman(ps=json.dumps([ROW]), network_ls="\n".join(networks))

    assert remove_job(podman, "default/pi", home=tmp_path) == 1

    for command in podman.commands:
        if command[0] == "ps" or command[:2] == ("network", "ls"):
            assert "--filter=label=mpijob.local/job=default/pi" in command or "--quiet" in command
    containers, removed = [command for command in podman.commands if "rm" in command]
    assert containers[-1] == "mpijob.default.pi-worker-0"
    assert removed[-2:] == networks


@pytest.mark.parametrize(
    ("name", "jobs", "expected"),
    [
        ("pi", ["default/pi"], "default/pi"),
        ("team/pi", ["default/pi", "team/pi"], "team/pi"),
        (None, ["default/pi"], "default/pi"),
    ],
)
def test_select(name, jobs, expected):
    """A job is found by its name, with or without its namespace, or by being the only one."""
    assert expected == select_job(name, jobs)


@pytest.mark.parametrize(
    ("name", "jobs", "message"),
    [
        ("pi", [], "known: none"),
        ("pi", ["a/pi", "b/pi"], "more than one"),
        (None, ["a/pi", "b/x"], "more than one"),
    ],
)
def test_select_refuses(name, jobs, message):
    """A name that fits none or several is refused with what there is."""
    with pytest.raises(UsageError, match=message):
        select_job(name, jobs)
