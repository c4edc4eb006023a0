"""What ``--operator trainer`` changes; the rest is as test_layout.py has it."""

import json

import pytest
from manifests import LAUNCHER, LAUNCHER_POD, SSH_PATH, WORKER, WORKER_POD, job, manifest, put

from mpijob_local.layout import lay_out
from mpijob_local.manifest import load_manifest
from mpijob_local.operators import OPERATORS
from mpijob_local.validation import findings
from mpijob_runtime.errors import ManifestError

TRAINER = OPERATORS["trainer"]
RESERVED = {
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "OMPI_MCA_orte_set_default_slots": "4",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
}


def laid_out(*changes):
    """Lay a changed job out as Trainer does."""
    return lay_out(job(*changes), operator=TRAINER)


def env(pod):
    """Return a pod's variables in order."""
    return [(variable.name, variable.value) for variable in pod.env]


def test_names_are_those_of_a_job_set():
    """Pods have JobSet's names, the hostfile the short ones, and DNS knows the long ones."""
    layout = laid_out(("metadata.namespace", "team"), ("spec.slotsPerWorker", 4))

    assert [pod.name for pod in layout.workers] == ["pi-node-0-0", "pi-node-0-1"]
    assert layout.hostfile == "pi-node-0-0.pi slots=4\npi-node-0-1.pi slots=4\n"
    assert layout.launcher.hostname == "pi-launcher-0-0"
    assert layout.attempt("x2b4z").name == "pi-launcher-0-0-x2b4z"
    assert "pi-node-0-1.pi.team.svc.cluster.local" in layout.workers[1].names


@pytest.mark.parametrize("role", ["launcher", "worker"])
def test_short_names_are_found_in_the_namespaces_domain(role):
    """No pod gets a search domain of its own."""
    layout = laid_out()
    pod = layout.launcher if role == "launcher" else layout.workers[0]

    assert pod.searches == ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def test_a_launcher_as_node_comes_first_in_its_own_hostfile():
    """Its own short name is the first host, and it counts as one more node."""
    layout = laid_out(("spec.runLauncherAsWorker", True))

    assert layout.hostfile.splitlines()[0] == "pi-launcher-0-0.pi slots=1"
    assert len(layout.hostfile.splitlines()) == 3
    assert layout.ranks == 3


def test_only_the_launcher_gets_variables_and_there_is_no_role():
    """Four names of Open MPI 4's, no role and no word about GPUs; nodes get nothing."""
    own = [{"name": "A", "value": "1"}]
    layout = laid_out(("spec.slotsPerWorker", 4), (f"{LAUNCHER_POD}.containers.env", own))

    assert env(layout.launcher)[0] == ("A", "1")
    assert dict(env(layout.launcher)[1:]) == RESERVED
    assert env(layout.workers[0]) == []


@pytest.mark.parametrize("path", ["/root/.ssh", "/home/mpiuser/.ssh"])
def test_the_key_is_for_its_group_wherever_it_is_mounted(path):
    """The private key is 0640, what is public 0644."""
    (secret,) = laid_out((SSH_PATH, path)).workers[0].projections

    assert secret.name == "mpi-ssh-auth"
    assert [(item.path, oct(item.mode)) for item in secret.items] == [
        ("id_rsa", "0o640"),
        ("id_rsa.pub", "0o644"),
        ("authorized_keys", "0o644"),
    ]


def test_there_is_a_hostfile_and_no_script():
    """Trainer is not elastic: the launcher's files are the hostfile alone."""
    layout = laid_out()
    config = layout.launcher.projections[1]

    assert [(item.path, oct(item.mode)) for item in config.items] == [("hostfile", "0o444")]
    assert config.name == "mpi-hostfile"
    assert layout.discover_hosts(layout.workers) == ""


def test_nodes_run_sshd_and_restart():
    """A node without a command runs sshd; JobSet restarts failed containers."""
    layout = laid_out()

    assert layout.workers[0].command == ("/usr/sbin/sshd", "-De")
    assert layout.workers[0].restarts
    never = [(f"{role}.restartPolicy", "Never") for role in (LAUNCHER, WORKER)]
    assert not any(pod.restarts for pod in laid_out(*never).pods)


@pytest.mark.parametrize("policy", ["AtStartup", "WaitForWorkersReady"])
def test_the_launcher_depends_on_the_nodes(policy):
    """``dependsOn`` is the runtime's, whatever the manifest says to mpi-operator."""
    layout = laid_out(("spec.launcherCreationPolicy", policy))

    assert layout.waits_for_workers
    assert layout.clean_pod_policy == "Running"


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("pod", [LAUNCHER_POD, WORKER_POD])
def test_reserved_names_are_refused(name, pod, tmp_path):
    """What Trainer sets itself must not be in the manifest; the field is named."""
    path = tmp_path / "job.yaml"
    data = put(manifest(), f"{pod}.containers.env", [{"name": "A"}, {"name": name}])
    path.write_text(json.dumps(data), encoding="utf-8")

    with pytest.raises(ManifestError) as caught:
        load_manifest(str(path), operator=TRAINER)

    (problem,) = caught.value.problems
    assert problem.where == f"{pod}.containers[0].env[1].name"
    assert problem.found == name
    assert "trainer does not reserve" in problem.wanted
    assert load_manifest(str(path)).job.workers == 2


def test_only_open_mpi_is_taken():
    """Trainer's only implementation is Open MPI."""
    (found,) = findings(job(("spec.mpiImplementation", "MPICH")), operator=TRAINER)

    assert found.location == ("spec", "mpiImplementation")
    assert found.wanted == "what trainer has: OpenMPI"


def test_the_names_of_its_volumes_are_its_own():
    """A manifest that mounts mpi-operator's volume by name cannot run here."""
    mounts = [{"name": "mpi-job-config", "mountPath": "/x"}]
    changed = job((f"{LAUNCHER_POD}.containers.volumeMounts", mounts))

    assert not findings(changed)
    (found,) = findings(changed, operator=TRAINER)
    assert "mpi-hostfile, mpi-ssh-auth" in found.wanted
