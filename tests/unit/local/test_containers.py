from dataclasses import replace
from pathlib import Path

import pytest
from manifests import LAUNCHER_POD, WORKER_POD, job

from mpijob_local.containers import Attachment, ImageConfig, Placement, run_arguments
from mpijob_local.layout import lay_out

ALIAS = "alias=pi-worker-0.pi.default.svc"
PLACE = Placement(
    run="r1",
    attachments=(Attachment("mpijob.default.pi", "eth0", "10.1.0.2"),),
    hosts_file=Path("/s/hosts"),
    termination_log=Path("/s/log"),
    log_file=Path("/s/pod.log"),
    volumes={name: Path("/s") / name for name in ("ssh-auth", "mpi-job-config", "a,b", "data")},
)


def worker_arguments(*changes, place=PLACE):
    """Return the arguments of podman for the first worker of a changed job."""
    return run_arguments(lay_out(job(*changes)).workers[0], place)


def container(**fields):
    """Return the change that gives the worker a container with these fields."""
    return f"{WORKER_POD}.containers", [{"name": "main", "image": "pi", **fields}]


def test_identity():
    """Name, labels, network and names of a pod are those of the job."""
    arguments = worker_arguments()

    assert arguments[:4] == ("run", "--detach", "--pull=never", "--name=mpijob.default.pi-worker-0")
    assert "--label=mpijob.local/job=default/pi" in arguments
    assert "--hostname=pi-worker-0" in arguments
    (network,) = networks_of(arguments)
    assert network[:3] == ["mpijob.default.pi:ip=10.1.0.2", "interface_name=eth0", ALIAS]


def networks_of(arguments):
    """Return the fields of each ``--network``."""
    option = "--network="
    return [it.removeprefix(option).split(",") for it in arguments if it.startswith(option)]


def test_several_networks():
    """Each network has its own interface and address; names belong to the pod network alone."""
    second = Attachment("mpijob.default.pi.net1", "net1", "10.2.0.2")
    place = replace(PLACE, attachments=(*PLACE.attachments, second))

    arguments = worker_arguments(place=place)

    first, other = networks_of(arguments)
    assert ALIAS in first
    assert other == ["mpijob.default.pi.net1:ip=10.2.0.2", "interface_name=net1"]
    assert "--label=mpijob.local/ip=10.1.0.2" in arguments
    assert "--label=mpijob.local/ips=10.1.0.2,10.2.0.2" in arguments


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, ('--entrypoint=["/usr/sbin/sshd", "-De"]', "pi")),
        ({"command": ["a", "b"]}, ('--entrypoint=["a", "b"]', "pi")),
        ({"args": ["c"]}, ("pi", "c")),
        ({"command": ["a"], "args": ["c"]}, ('--entrypoint=["a"]', "pi", "c")),
        (
            {"command": ["$(X)"], "args": ["$(X)$$(X)$(Y)"], "env": [{"name": "X", "value": "v"}]},
            ('--entrypoint=["v"]', "pi", "v$(X)$(Y)"),
        ),
    ],
)
def test_program(fields, end):
    """Command replaces ENTRYPOINT, args replace CMD, and references are expanded."""
    assert end == worker_arguments(container(**fields))[-len(end) :]


def test_environment():
    """Variables see those before them and the pod's own fields; the operator's win."""
    fields = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "URL", "value": "http://$(IP)/$(POD)"},
        {"name": "K_MPI_JOB_ROLE", "value": "mine"},
    ]
    variables = [it for it in worker_arguments(container(env=fields)) if it.startswith("--env=")]

    assert variables == [
        "--env=IP=10.1.0.2",
        "--env=POD=pi-worker-0",
        "--env=URL=http://10.1.0.2/pi-worker-0",
        "--env=K_MPI_JOB_ROLE=worker",
    ]


@pytest.mark.parametrize(
    ("pod", "own", "expected"),
    [
        ({}, {}, []),
        ({"runAsUser": 1000}, {}, ["--user=1000"]),
        ({"runAsUser": 1000}, {"runAsUser": 7, "runAsGroup": 0}, ["--user=7:0"]),
        ({"runAsGroup": 5}, {}, ["--user=1001:5"]),
        ({"fsGroup": 2000}, {}, ["--group-add=2000"]),
        ({"fsGroup": 2, "supplementalGroups": [3]}, {}, ["--group-add=3", "--group-add=2"]),
        ({}, {"capabilities": {"drop": ["ALL"]}}, ["--cap-drop=ALL"]),
        ({}, {"capabilities": {"add": ["IPC_LOCK"]}}, ["--cap-add=IPC_LOCK"]),
        ({}, {"allowPrivilegeEscalation": False}, ["--security-opt=no-new-privileges"]),
        ({}, {"readOnlyRootFilesystem": True}, ["--read-only", "--read-only-tmpfs=false"]),
    ],
)
def test_security(pod, own, expected):
    """Each setting of the security contexts is one of podman's options."""
    place = Placement(**{**fields_of(PLACE), "image": ImageConfig(user="1001")})
    changes = (container(securityContext=own), (f"{WORKER_POD}.securityContext", pod))
    prefixes = ("--user", "--group-add", "--cap", "--security-opt", "--read-only")

    arguments = worker_arguments(*changes, place=place)

    assert expected == [it for it in arguments if it.startswith(prefixes)]


def fields_of(place):
    """Return the fields of a placement, to make one that differs."""
    return {name: getattr(place, name) for name in place.__dataclass_fields__}


def test_passwd_entry():
    """A UID without a name gets no entry, or the one that CRI-O would inject."""
    user = container(securityContext={"runAsUser": 12345, "runAsGroup": 7})
    cri_o = Placement(
        **{**fields_of(PLACE), "nologin_entry": True, "image": ImageConfig(home="/home/m")}
    )

    assert "--passwd=false" in worker_arguments(user)
    entry = "--passwd-entry=12345:x:12345:0:12345 user:/home/m:/sbin/nologin"
    assert entry in worker_arguments(user, place=cri_o)


def test_limits():
    """Limits of memory and cpu are enforced, without swap."""
    arguments = worker_arguments(container(resources={"limits": {"memory": "64Mi", "cpu": "250m"}}))

    assert {"--memory=67108864", "--memory-swap=67108864", "--cpus=0.25"} <= set(arguments)


def test_mounts():
    """Volumes are mounted where the manifest says, with commas quoted."""
    changes = (
        container(
            volumeMounts=[
                {"name": "a,b", "mountPath": "/x", "subPath": "s", "readOnly": True},
                {"name": "shm", "mountPath": "/dev/shm"},
            ]
        ),
        (
            f"{WORKER_POD}.volumes",
            [
                {"name": "a,b", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            ],
        ),
    )
    mounts = [it for it in worker_arguments(*changes) if it.startswith("--mount=")]

    assert mounts[2:] == [
        '--mount=type=bind,"source=/s/a,b/s",target=/x,readonly=true',
        "--mount=type=tmpfs,target=/dev/shm,tmpfs-mode=1777,tmpfs-size=1073741824",
        "--mount=type=bind,source=/s/ssh-auth,target=/root/.ssh,readonly=true",
    ]


def test_launcher_has_its_config():
    """The launcher's hostfile is mounted read-only at /etc/mpi."""
    changes = ((f"{LAUNCHER_POD}.containers.workingDir", "/data"),)
    arguments = run_arguments(lay_out(job(*changes)).attempt("abcde"), PLACE)

    mount = "--mount=type=bind,source=/s/mpi-job-config,target=/etc/mpi,readonly=true"
    assert mount in arguments
    assert "--workdir=/data" in arguments
