"""The data network that is found between real hosts, and what their ranks are told of it."""

import json
import os
import re
import shutil
import subprocess

import pytest
from jobs import Job, RunningJob, run_job

pytestmark = pytest.mark.cluster
as_root = pytest.mark.skipif(
    shutil.which("nft") is None or os.geteuid() != 0, reason="needs nft and root"
)

NAMES = (
    "NCCL_SOCKET_IFNAME",
    "GLOO_SOCKET_IFNAME",
    "OMPI_MCA_btl_tcp_if_include",
    "UCX_NET_DEVICES",
    "NCCL_IB_DISABLE",
    "NCCL_DEBUG",
    "MPIJOB_HOSTS",
    "MPIJOB_NODE_RANK",
)
SHOW = "echo " + " ".join(f"{name}=${name}" for name in ("RANK", *NAMES))
LAUNCH = f"mpijob-runtime launch --report /tmp/report.json -- sh -c '{SHOW}'"
SHOW_REPORT = 'echo "report $(tr -d "\\n" < /tmp/report.json)"'
PLAN = 'echo "plan $(mpijob-runtime plan -q --probe-hosts --json -- true | tr -d "\\n")"'
WAIT = "until test -e /tmp/go; do sleep 0.1; done"


def ranks(text):
    """Return rank -> its variables, as they were printed."""
    lines = [line for line in text.splitlines() if "RANK=" in line]
    found = [
        dict(word.split("=", 1) for word in line[line.index("RANK=") :].split()) for line in lines
    ]
    return {int(of.pop("RANK")): of for of in found}


def said(text, what):
    """Return the JSON after a word."""
    (line,) = (line for line in text.splitlines() if f"| {what} {{" in line)
    return json.loads(line.partition(f"| {what} ")[2])


def test_every_rank_is_told_the_network_that_works(image, tmp_path):
    """One choice for all libraries; plan shows it before, and the report after."""
    script = f"{PLAN}; {LAUNCH} && {SHOW_REPORT}"
    job = Job("told", image, ("bash", "-c", script), workers=3, slots=2)

    ended = run_job(job, tmp_path)

    assert ended.exit_code == 0, ended.text
    hosts = [f"told-worker-{number}.told.default.svc" for number in range(3)]
    found = ranks(ended.stdout)
    assert sorted(found) == list(range(6))
    for rank, variables in found.items():
        assert variables == {
            "NCCL_SOCKET_IFNAME": "=eth0",
            "GLOO_SOCKET_IFNAME": "eth0",
            "OMPI_MCA_btl_tcp_if_include": "eth0",
            "UCX_NET_DEVICES": "eth0",
            "NCCL_IB_DISABLE": "1",
            "NCCL_DEBUG": "WARN",
            "MPIJOB_HOSTS": ",".join(hosts),
            "MPIJOB_NODE_RANK": str(rank // 2),
        }
    network = said(ended.stdout, "report")["network"]
    assert (network["name"], network["family"]) == ("eth0", "IPv4")
    assert network["interfaces"] == dict.fromkeys(hosts, "eth0")
    planned = said(ended.stdout, "plan")["rank_environ"]
    for name in NAMES[:6]:
        assert planned[name]["value"] == found[0][name]


def test_what_the_worker_has_stays(image, tmp_path):
    """The user knows better, on the worker as on the launcher."""
    mine = {"NCCL_SOCKET_IFNAME": "^lo", "OMPI_MCA_btl_tcp_if_exclude": "lo"}
    job = Job("mine", image, ("bash", "-c", LAUNCH), worker_env=mine, env={"NCCL_DEBUG": "INFO"})

    ended = run_job(job, tmp_path)

    assert ended.exit_code == 0, ended.text
    for variables in ranks(ended.stdout).values():
        assert variables["NCCL_SOCKET_IFNAME"] == "^lo"
        assert variables["OMPI_MCA_btl_tcp_if_include"] == ""
        assert variables["GLOO_SOCKET_IFNAME"] == "eth0"
        assert variables["NCCL_DEBUG"] == "INFO"


@as_root
def test_two_workers_that_cannot_reach_each_other_are_named(podman, image, tmp_path):
    """With the address; the job starts all the same, five seconds later."""
    script = f"{WAIT}; {LAUNCH} && {SHOW_REPORT}"
    job = Job("cut", image, ("bash", "-c", script), workers=3)
    with RunningJob(job, tmp_path) as running:
        running.wait_for("launcher started")
        address = _address(podman, _container(podman, "cut-worker-1"))
        _drop_from(podman, _container(podman, "cut-worker-0"), address)
        podman.run("exec", _container(podman, "cut-launcher"), "touch", "/tmp/go")
        ended = running.end()

    assert ended.exit_code == 0, ended.text
    assert "no network was found on which each host reaches the next" in ended.text
    assert f"eth0: cut-worker-0 to cut-worker-1 ({address}): no answer within 5 s" in ended.text
    found = ranks(ended.text)
    assert sorted(found) == [0, 1, 2]
    assert all(variables["NCCL_SOCKET_IFNAME"] == "" for variables in found.values())
    assert '"network": null' in ended.text


@as_root
def test_of_two_networks_the_fast_one_is_told(image, tmp_path):
    """By what was measured: the pods' own network is the slow one."""
    job = Job(
        "fast",
        image,
        ("bash", "-c", f"{LAUNCH} && {SHOW_REPORT}"),
        worker_annotations={"k8s.v1.cni.cncf.io/networks": "fast"},
    )

    ended = run_job(job, tmp_path, "--networks", "2")

    assert ended.exit_code == 0, ended.text
    assert [of["NCCL_SOCKET_IFNAME"] for of in ranks(ended.stdout).values()] == ["=net1"] * 2
    network = said(ended.stdout, "report")["network"]
    assert network["name"] == "net1"
    assert 0 < network["others"]["eth0"] < network["mbit_per_second"]
    assert re.search(r"data network: net1 \(\d+ Mbit/s; eth0 \d+ Mbit/s\)", ended.text)


def _container(podman, pod):
    """Return a pod's container; a launcher's has a name for each attempt."""
    (name,) = podman.run("ps", "--format={{.Names}}", f"--filter=name={pod}").stdout.split()
    return name


def _address(podman, container):
    form = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return podman.run("inspect", form, container).stdout.strip()


def _drop_from(podman, container, address):
    """Drop what comes from an address, in a container's own network."""
    pid = podman.run("inspect", "--format={{.State.Pid}}", container).stdout.strip()
    rules = (
        "add table ip cut",
        "add chain ip cut in { type filter hook input priority 0; }",
        f"add rule ip cut in ip saddr {address} drop",
    )
    for rule in rules:
        subprocess.run(("nsenter", f"--net=/proc/{pid}/ns/net", "nft", rule), check=True)
