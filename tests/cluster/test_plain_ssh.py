"""ssh, scp and sftp as people and their programs call them, in a job's launcher and workers.

One job does it all, because a job costs seconds and a login little. What a wrong host key comes to
in each case: tests/ssh/test_plain_ssh.py.
"""

import pytest
from engines import VERSIONS, existing_image
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

SCRIPT = r"""
others=$(awk -v own=$HOSTNAME 'index($1, own) != 1 {print $1}' /etc/mpi/hostfile)
set -- $others
first=$1 last=$2
until ssh -o ConnectTimeout=3 -o BatchMode=yes $first true 2>/dev/null; do sleep 0.5; done
until ssh -o BatchMode=yes $last true; do sleep 0.5; done
check() { name=$1; shift; echo "$name: $("$@" </dev/null 2>&1)"; }

check 'long name' ssh $first hostname
check 'short name' ssh $(echo $first | cut -d. -f1-2) hostname
check 'DeepSpeed' ssh -o PasswordAuthentication=no $first hostname
check 'unchecked' ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null $first hostname
check 'path' /usr/bin/ssh $first hostname
check 'no environment' env -i /usr/bin/ssh $first hostname
check 'login shell' bash -lc "ssh $first hostname"
check 'worker to worker' ssh $first ssh $last hostname
check 'PATH there' ssh $first 'echo $(which python3 mpirun)'
check 'user' ssh $first 'id -un; id -u' | tr '\n' ' '; echo
check 'whoami' env -i /usr/bin/whoami

echo content > /tmp/sent
scp -q /tmp/sent $first:/tmp/there && scp -q $first:/tmp/there /tmp/back
check 'scp' cat /tmp/back
scp -q -O $first:/tmp/there /tmp/older
check 'scp by its older protocol' cat /tmp/older
echo 'get /tmp/there /tmp/got' | sftp -q -b - $first >/dev/null
check 'sftp' cat /tmp/got

check 'wrong host' ssh -o HostKeyAlias=$last $first hostname
check 'stranger' sh -c 'ssh -G github.com true | grep -E "^(port|stricthost)" | tr "\n" " "'
"""

# Plain Open MPI starts its daemons by plain ssh.
PLAIN_MPIRUN = r"""
plain() { MPIJOB_SHIM=off mpirun --hostfile /etc/mpi/hostfile -n 2 hostname 2>/dev/null; }
echo "plain mpirun: $(plain | sort | tr '\n' ' ')"
"""

LAUNCHER_AS_NODE = r"""
own=$(awk 'NR == 1 {print $1}' /etc/mpi/hostfile)
/usr/sbin/sshd -f /home/mpiuser/.sshd_config
check 'worker to launcher' ssh $last ssh $own hostname
"""

MPIRUN = r"""
echo "mpirun: $(mpirun hostname | sort | tr '\n' ' ')"
"""

RESTRICTED = {
    "capabilities": {"drop": ["ALL"]},
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
}


def lines(*, first, last, uid):
    """Return what the script says in a container where all is well."""
    return {
        "long name": first,
        "short name": first,
        "DeepSpeed": first,
        "unchecked": first,
        "path": first,
        "no environment": first,
        "login shell": first,
        "worker to worker": last,
        "PATH there": "/opt/venv/bin/python3 /usr/local/bin/mpirun",
        "user": f"mpiuser {uid} ",
        "whoami": "mpiuser",
        "scp": "content",
        "scp by its older protocol": "content",
        "sftp": "content",
        "stranger": "port 22 stricthostkeychecking ask ",
    }


def said(ended):
    """Return what each check of the script has said."""
    pairs = (line.partition(": ") for line in ended.stdout.splitlines())
    return {name: words for name, _, words in pairs}


def test_ssh_works_before_anything_of_ours_has_run(image, tmp_path):
    """The loop of public manifests comes first; then whatever people do with ssh, then mpirun."""
    job = Job(
        "plainssh",
        image,
        ("bash", "-c", SCRIPT + PLAIN_MPIRUN + MPIRUN),
        pod_security={"runAsUser": 1000},
    )

    ended = run_job(job, tmp_path, "-q")

    found = said(ended)
    first, last = "plainssh-worker-0", "plainssh-worker-1"
    wanted = lines(first=first, last=last, uid=1000)
    assert {name: found.get(name) for name in wanted} == wanted, ended.text
    assert found["wrong host"].startswith("Certificate invalid: name is not a listed principal")
    assert found["plain mpirun"] == found["mpirun"] == f"{first} {last} "
    assert ended.exit_code == 0


def test_ssh_works_for_a_random_uid_without_rights(podman, tmp_path):
    """OpenShift's UID with CRI-O's nologin entry, a read-only root, Trainer's launcher as node."""
    job = Job(
        "plainnode",
        existing_image(podman, f"mpijob-runtime:runtime-ompi{VERSIONS[-1]}"),
        ("bash", "-c", SCRIPT + LAUNCHER_AS_NODE + MPIRUN),
        launcher_as_worker=True,
        pod_security={"runAsUser": 1000680000, "runAsGroup": 0},
        container_security=RESTRICTED,
        volumes=(("tmp", "/tmp"),),
    )

    ended = run_job(job, tmp_path, "-q", "--operator", "trainer", "--passwd-entry", "nologin")

    found = said(ended)
    own, first, last = "plainnode-launcher-0-0", "plainnode-node-0-0", "plainnode-node-0-1"
    wanted = lines(first=first, last=last, uid=1000680000) | {"worker to launcher": own}
    assert {name: found.get(name) for name in wanted} == wanted, ended.text
    assert found["mpirun"] == f"{own} {first} {last} "
    assert ended.exit_code == 0
