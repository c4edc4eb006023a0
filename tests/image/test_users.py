"""Every user, capability and key mode: each works, or ends with 78 and its remedy."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from jobs import Job, run_job

HELLO = ("mpirun", "-n", "2", "sh", "-c", 'echo "rank $RANK on $(hostname) as $(id -u):$(id -g)"')
RESTRICTED = {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}
HOME = "/home/mpiuser/.ssh"


class Case(NamedTuple):
    """A way to run the pods."""

    ssh_path: str
    pod: dict[str, Any]
    container: Mapping[str, Any] = MappingProxyType({})
    options: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()


WORKING = {
    "root-at-root": Case("/root/.ssh", {"runAsUser": 0}),
    "root-elsewhere-0644": Case("/etc/job-keys", {"runAsUser": 0}),
    "root-fsgroup-0640": Case("/root/.ssh", {"runAsUser": 0, "fsGroup": 2000}),
    "uid-1000": Case(HOME, {"runAsUser": 1000}),
    "uid-1000-fsgroup": Case("/root/.ssh", {"runAsUser": 1000, "fsGroup": 2000}),
    "uid-1000-odd-mount": Case("/srv/a/b", {"runAsUser": 1000}),
    "random-uid": Case(HOME, {"runAsUser": 12345, "runAsGroup": 0}, RESTRICTED),
    "random-uid-nologin": Case(
        HOME, {"runAsUser": 1000680000, "runAsGroup": 0}, RESTRICTED, ("--passwd-entry", "nologin")
    ),
    "random-uid-other-group": Case(HOME, {"runAsUser": 12345, "runAsGroup": 6789}, RESTRICTED),
    "random-uid-fsgroup": Case(
        "/keys", {"runAsUser": 12345, "runAsGroup": 0, "fsGroup": 2000}, RESTRICTED
    ),
    "read-only-root": Case(
        HOME,
        {"runAsUser": 12345, "runAsGroup": 0},
        {**RESTRICTED, "readOnlyRootFilesystem": True},
        (),
        (("tmp", "/tmp"),),
    ),
    "read-only-root-without-tmp": Case(
        HOME,
        {"runAsUser": 12345, "runAsGroup": 0},
        {**RESTRICTED, "readOnlyRootFilesystem": True},
    ),
}


@pytest.mark.image
@pytest.mark.parametrize("case", WORKING.values(), ids=WORKING.keys())
def test_a_rank_runs_on_each_worker(case, image, tmp_path):
    """The job spreads over both workers whoever the pods run as."""
    job = Job(
        "users",
        image,
        HELLO,
        ssh_path=case.ssh_path,
        pod_security=case.pod,
        container_security=case.container,
        volumes=case.volumes,
    )

    ended = run_job(job, tmp_path, *case.options)

    assert ended.exit_code == 0, ended.text
    uid = case.pod["runAsUser"]
    assert f"rank 0 on users-worker-0 as {uid}:" in ended.stdout
    assert f"rank 1 on users-worker-1 as {uid}:" in ended.stdout
    assert "2 ranks on 2 hosts" in ended.stderr


@pytest.mark.image
def test_a_key_that_cannot_be_read_ends_with_78_and_its_remedy(image, tmp_path):
    """A root-owned 0600 key and a non-root user cannot work: both sides say so, and the cure."""
    job = Job("closedkey", image, HELLO, ssh_path="/root/.ssh", pod_security={"runAsUser": 1000})

    ended = run_job(job, tmp_path)

    assert ended.exit_code == 78, ended.text
    assert "next: set sshAuthMountPath to a path other than /root/.ssh" in ended.text
    assert "UID 1000 can read" in ended.text


@pytest.mark.image
def test_root_without_capabilities_ends_with_78_and_its_remedy(podman, image, tmp_path):
    """An sshd that could never log anybody in does not start."""
    (tmp_path / "id_rsa").write_text("-----BEGIN EC PRIVATE KEY-----\n", encoding="utf-8")
    done = podman.run(
        *("run", "--rm", "--user=0", "--cap-drop=all", "--entrypoint=/usr/sbin/sshd"),
        *(f"--volume={tmp_path}:/root/.ssh:ro", image, "-De"),
        accept=(),
    )

    assert done.exit_code == 78, done.stderr
    assert "SYS_CHROOT" in done.stderr
    assert "next: run as a non-root UID" in done.stderr


# who asks -> id -un, id -u of that name, home; without our ENTRYPOINT, nothing can be written
NAMES = {
    "1234567:0": "mpiuser 1234567 /home/mpiuser",
    "1234567:99": "mpiuser 1234567 /home/mpiuser",
    "1000:0": "mpiuser 1000 /home/mpiuser",
    "0:0": "root 0 /root",
    "33:33": "www-data 33 /var/www",
    "499:0": "none",
}


@pytest.mark.image
@pytest.mark.parametrize("nologin", [False, True], ids=["containerd", "CRI-O"])
def test_every_uid_has_a_name_from_the_first_process_on(podman, image, nologin):
    """A random UID is mpiuser, with a shell; it is nobody else, and nobody else is it."""
    ask = (
        "id -un >/dev/null 2>&1 || { echo none; exit; }; env -i sh -c 'name=$(id -un); "
        'echo "$name $(id -u $name) $(getent passwd $name | cut -d: -f6)"\'; '
        "getent passwd 7654321"
    )
    asked = {who: NAMES[who] for who in NAMES if not nologin or who.startswith("1234567")}
    for who, wanted in asked.items():
        entry = f"{who.partition(':')[0]}:x:1234567:0::/:/sbin/nologin"
        done = podman.run(
            *("run", "--rm", "--network=none", "--read-only", f"--user={who}", "--passwd=false"),
            *((f"--passwd-entry={entry}", "--passwd=true") if nologin else ()),
            *("--entrypoint=/bin/sh", image, "-c", ask),
            accept=(),
        )
        assert done.stdout == f"{wanted}\n", (who, done.stderr)
