"""What an operator gives and what we make of it, in real jobs."""

import re

import pytest
from jobs import Job, RunningJob, run_job

pytestmark = pytest.mark.cluster

WHERE = 'echo "rank $RANK of $WORLD_SIZE on $(hostname) by $MASTER_ADDR"'

# Workers keep their names; this container's own name is known to the others alone.
FORGET_OWN_NAME = """
for name in {names}; do
  echo "$(getent ahostsv4 $name | head -1 | cut -d' ' -f1) $name" >> /etc/hosts
done
: > /etc/resolv.conf
getent hosts {own} && exit 1
exec mpijob-runtime launch -- sh -c '{program}'
"""

# One worker runs, but not sshd; which one, its host name says.
SSHD_BUT_ON_1 = "case $HOSTNAME in *-1) exec sleep 600;; esac; exec /usr/sbin/sshd -De"


def test_a_launcher_as_node_need_not_resolve_its_own_name(image, tmp_path):
    """Trainer puts the launcher into its hostfile by a name that DNS may not have yet."""
    nodes = [f"self-node-0-{index}.self" for index in range(2)]
    own = "self-launcher-0-0.self"
    script = FORGET_OWN_NAME.format(names=" ".join(nodes), own=own, program=WHERE)
    job = Job(
        "self",
        image,
        ("bash", "-c", script),
        launcher_as_worker=True,
        pod_security={"runAsUser": 0},
    )

    ended = run_job(job, tmp_path, "--operator", "trainer")

    assert ended.exit_code == 0, ended.text
    hosts = ["self-launcher-0-0", "self-node-0-0", "self-node-0-1"]
    for rank, host in enumerate(hosts):
        assert f"rank {rank} of 3 on {host} by {own}" in ended.stdout
    assert "(Kubeflow Trainer v2)" in ended.text


def test_a_node_that_fails_ends_a_train_job(image, tmp_path):
    """The launcher depends on ready nodes: it is not started, and the node's words are shown."""
    sshd = ("/usr/sbin/sshd", "-D", "-o", "Nonsense=1")
    job = Job("node", image, ("true",), worker_command=sshd, probed_port=2222)

    ended = run_job(job, tmp_path, "--operator", "trainer")

    assert ended.exit_code == 1, ended.text
    assert "Bad configuration option: Nonsense" in ended.stderr
    assert re.search("node-node-0-[01] failed: exit code 1", ended.stderr)
    assert "WorkerFailed" in ended.stderr
    assert "launcher started" not in ended.stderr


def test_discovery_lists_only_hosts_whose_sshd_answers(podman, image, tmp_path):
    """A worker that runs without sshd is left out, and one that is lost leaves the list."""
    hosts = [f"elastic-worker-{index}.elastic.default.svc" for index in range(3)]
    loop = (
        f"mpijob-runtime wait -q --host {hosts[0]},{hosts[2]} && while true; do "
        'echo "named:" $(sh /etc/mpi/discover_hosts.sh); '
        'echo "live:" $(mpijob-runtime discover-hosts); sleep 0.3; done'
    )
    job = Job(
        "elastic",
        image,
        ("bash", "-c", loop),
        workers=3,
        slots=2,
        worker_command=("bash", "-c", SSHD_BUT_ON_1),
    )
    with RunningJob(job, tmp_path, "-q") as running:
        running.wait_for(f"live: {hosts[0]}:2 {hosts[2]}:2\n")
        assert f"named: {' '.join(hosts)}\n" in running.text
        podman.run("kill", "--signal=KILL", "mpijob.default.elastic-worker-2")
        running.wait_for(f"live: {hosts[0]}:2\n")
    assert hosts[1] not in "".join(
        line for line in running.text.splitlines() if line.startswith("live:")
    )
