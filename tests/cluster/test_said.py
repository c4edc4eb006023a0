"""What is said at the start of a job whose hosts differ, and what is not said."""

import re

import pytest
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

# Worker 1 is another than worker 0, as nodes and images of a cluster are.
WORKER = """
case $HOSTNAME in *-1)
  export TZ=XYZ-5 LD_LIBRARY_PATH=:/opt/a::/opt/a:
  umask 077
  ulimit -S -n 512;;
*)
  export LD_LIBRARY_PATH=/opt/a;;
esac
exec /usr/sbin/sshd -De
"""

# What people do in a launcher, each part with a heading; then a kubelet's tcpSocket probe.
LAUNCHER = """
part() { echo "== $1" >&2; }
umask 007; mkdir -p /tmp/code; cd /tmp/code
part differences; mpirun -n 2 pwd
part wdir; mpirun --wdir /usr -n 2 pwd
part everywhere; cd /usr; mpirun -n 2 pwd
part itself; mpirun -H localhost:2 -n 2 hostname
part mpich
env -u OMPI_MCA_orte_default_hostfile HYDRA_HOST_FILE=/etc/mpi/hostfile mpirun -n 2 hostname
echo "code $?" >&2
part probes
python3 - said-worker-0.said.default.svc <<'END'
import socket, struct, sys, time
for lingering in (0, 1):
    for seconds in (0, 0.2):
        probe = socket.create_connection((sys.argv[1], 2222))
        time.sleep(seconds)
        if lingering:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        probe.close()
other = socket.create_connection((sys.argv[1], 2222))
other.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
time.sleep(1)
END
"""


@pytest.fixture(scope="module")
def parts(image, tmp_path_factory):
    """Return heading -> what was said below it, of one job."""
    job = Job(
        "said",
        image,
        ("bash", "-c", LAUNCHER),
        worker_command=("bash", "-c", WORKER),
        probed_port=2222,
    )
    ended = run_job(job, tmp_path_factory.mktemp("said"))
    assert ended.exit_code == 0, ended.text
    lines = [line.partition(" | ")[2] for line in ended.stderr.splitlines()]
    found = {"all": ended.text}
    for line in lines:
        if line.startswith("== "):
            heading = line.removeprefix("== ")
            found[heading] = ""
        elif len(found) > 1:
            found[heading] += f"{line}\n"
    return found


def test_hosts_that_differ_are_named_with_what_differs(parts):
    """Case 10 and its kind: directory, umask, limits, time zone; each once, with a next step."""
    said = parts["differences"]
    directory = (
        "working directory /tmp/code is not on said-worker-0, said-worker-1;"
        " ranks start in /home/mpiuser"
    )
    assert said.count(directory) == 1
    assert re.search(r"umask +said-worker-\d +00[27][27]\n", said)
    assert re.search(r"open files +said-worker-\d +512\n|\n.* said-worker-1 +512\n", said)
    assert re.search(r"time zone +rank 0 +UTC\+0000\n", said)
    assert re.search(r" rank 1 +UTC\+0500\n", said)
    assert said.count("next: put it into the image") == 1
    assert "LD_LIBRARY_PATH" not in said
    assert "clocks differ" not in said
    assert "0007" not in said, "the launcher has no rank and is not compared"


def test_a_directory_that_was_asked_for_or_is_there_is_not_said(parts):
    """--wdir names one of the workers; /usr is everywhere."""
    assert "working directory" not in parts["wdir"]
    assert "working directory" not in parts["everywhere"]
    assert parts["all"].count("| /usr\n") == 4


def test_ranks_on_the_launcher_are_called_that(parts):
    """At their start and in the outcome."""
    said = parts["itself"]
    assert "2 ranks start on the launcher itself, as -H localhost:2 asks" in said
    assert "succeeded: 2 ranks ran on the launcher itself, as -H localhost:2 asks" in said


def test_a_job_for_another_mpi_is_refused_with_the_remedy(parts):
    """The variables are those that mpi-operator sets for MPICH."""
    said = parts["mpich"]
    assert "found MPICH, wanted OpenMPI" in said
    assert "next: write mpiImplementation: OpenMPI" in said
    assert "code 78" in said


def test_no_noise_is_in_any_log(parts):
    """Neither Open MPI's race with its ssh, nor probes; who speaks another protocol is told."""
    assert "setpgid" not in parts["all"]
    assert "Connection closed by remote host" not in parts["all"]
    assert "reset by peer" not in parts["all"]
    assert 'client sent invalid protocol identifier "GET / HTTP/1.1"' in parts["all"]
