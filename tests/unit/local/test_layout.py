import pytest
from manifests import LAUNCHER, LAUNCHER_POD, SSH_PATH, WORKER, WORKER_POD, job

from mpijob_local.layout import lay_out
from mpijob_local.pod import NETWORKS_ANNOTATION, Role, Source

OPEN_MPI = [
    ("K_MPI_JOB_ROLE", "launcher"),
    ("OMPI_MCA_orte_keep_fqdn_hostnames", "true"),
    ("OMPI_MCA_orte_default_hostfile", "/etc/mpi/hostfile"),
    ("OMPI_MCA_plm_rsh_args", "-o ConnectionAttempts=10"),
    ("OMPI_MCA_orte_set_default_slots", "4"),
]
NO_GPU = [("NVIDIA_VISIBLE_DEVICES", ""), ("NVIDIA_DRIVER_CAPABILITIES", "")]


def env(pod):
    """Return a pod's variables in order."""
    return [(variable.name, variable.value) for variable in pod.env]


def test_names():
    """Pods are named, and resolve, as on a cluster."""
    layout = lay_out(job(("metadata.namespace", "team")))

    assert [pod.name for pod in layout.workers] == ["pi-worker-0", "pi-worker-1"]
    assert layout.workers[1].host == "pi-worker-1.pi.team.svc"
    assert layout.workers[1].names == (
        "pi-worker-1.pi.team.svc",
        "pi.team.svc",
        "pi-worker-1.pi.team.svc.cluster.local",
        "pi.team.svc.cluster.local",
    )
    assert layout.attempt("x2b4z").name == "pi-launcher-x2b4z"
    assert layout.attempt("x2b4z").hostname == "pi-launcher"


@pytest.mark.parametrize(
    ("implementation", "line"),
    [
        ("OpenMPI", "pi-worker-0.pi.default.svc slots=4\n"),
        ("Intel", "pi-worker-0.pi.default.svc:4\n"),
        ("MPICH", "pi-worker-0.pi.default.svc:4\n"),
    ],
)
def test_hostfile(implementation, line):
    """The hostfile has the form of the MPI implementation."""
    changes = (("spec.mpiImplementation", implementation), ("spec.slotsPerWorker", 4))
    layout = lay_out(job(*changes))

    assert layout.hostfile == line + line.replace("worker-0", "worker-1")
    assert layout.ranks == 8


def test_launcher_as_worker():
    """A launcher that is a worker too comes first in the hostfile and keeps its GPUs."""
    layout = lay_out(job(("spec.runLauncherAsWorker", True)))

    assert layout.hostfile.splitlines()[0] == "pi-launcher.pi.default.svc slots=1"
    assert layout.ranks == 3
    assert not any(name.startswith("NVIDIA") for name, _ in env(layout.launcher))
    assert layout.discover_hosts(()) == "#!/bin/sh\necho pi-launcher.pi.default.svc\n"


def test_discover_hosts_order():
    """The running workers are listed by name as text, as the operator does."""
    layout = lay_out(job((f"{WORKER}.replicas", 11)))

    script = layout.discover_hosts(layout.workers)

    names = [line.split()[1].partition(".")[0] for line in script.splitlines()[1:]]
    assert names[:4] == ["pi-worker-0", "pi-worker-1", "pi-worker-10", "pi-worker-2"]


def test_env_order():
    """The operator's variables come after the user's, so that they win."""
    own = [{"name": "A", "value": "1"}, {"name": "OMPI_MCA_plm_rsh_args", "value": "-v"}]
    changes = ((f"{LAUNCHER_POD}.containers.env", own), ("spec.slotsPerWorker", 4))
    layout = lay_out(job(*changes))

    assert env(layout.launcher) == [("A", "1"), own_pair(own[1]), *OPEN_MPI, *NO_GPU]
    assert env(layout.workers[0]) == [("K_MPI_JOB_ROLE", "worker")]


def own_pair(variable):
    """Return a manifest's variable as a pair."""
    return variable["name"], variable["value"]


@pytest.mark.parametrize(
    ("implementation", "names"),
    [
        (
            "Intel",
            {"I_MPI_HYDRA_HOST_FILE", "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS", "I_MPI_PERHOST"},
        ),
        ("MPICH", {"HYDRA_HOST_FILE", "HYDRA_LAUNCH_EXTRA_ARGS"}),
    ],
)
def test_env_of_other_implementations(implementation, names):
    """Intel MPI and MPICH get the variables of Hydra."""
    layout = lay_out(job(("spec.mpiImplementation", implementation)))

    assert names == {name for name, _ in env(layout.launcher)} - {
        "K_MPI_JOB_ROLE",
        *dict(NO_GPU),
    }


def test_extra_env_yields_to_the_user():
    """Variables of ours go to all pods, but never over the user's."""
    changes = ((f"{LAUNCHER_POD}.containers.env", [{"name": "OMP_NUM_THREADS", "value": "4"}]),)
    layout = lay_out(job(*changes), extra_env=[("OMP_NUM_THREADS", "1")])

    assert ("OMP_NUM_THREADS", "1") not in env(layout.launcher)
    assert env(layout.workers[0])[0] == ("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize(("path", "mode"), [("/root/.ssh", 0o600), ("/home/mpiuser/.ssh", 0o644)])
def test_key_modes(path, mode):
    """The key is 0600 at root's own path and Kubernetes' default elsewhere."""
    pod = lay_out(job((SSH_PATH, path))).workers[0]

    (secret,) = pod.projections
    assert [(item.path, item.mode) for item in secret.items] == [
        ("id_rsa", mode),
        ("id_rsa.pub", mode),
        ("authorized_keys", mode),
    ]
    assert pod.mounts[-1].path == path
    assert pod.mounts[-1].read_only


def test_only_the_launcher_has_the_hostfile():
    """The configMap is mounted in the launcher alone."""
    layout = lay_out(job())

    config = layout.launcher.projections[1]
    assert config.source is Source.CONFIG
    assert [(item.path, oct(item.mode)) for item in config.items] == [
        ("hostfile", "0o444"),
        ("discover_hosts.sh", "0o555"),
    ]
    assert [projection.source for projection in layout.workers[0].projections] == [Source.SECRET]


@pytest.mark.parametrize(
    ("container", "command"),
    [
        ({}, ("/usr/sbin/sshd", "-De")),
        ({"command": ["a"]}, ("a",)),
        ({"args": ["b"]}, ()),
    ],
)
def test_worker_command(container, command):
    """A worker runs sshd only if the manifest gives neither command nor args."""
    whole = [{"name": "main", "image": "pi", **container}]

    assert command == lay_out(job((f"{WORKER_POD}.containers", whole))).workers[0].command


@pytest.mark.parametrize(
    ("policy", "launcher", "worker"),
    [(None, True, False), ("OnFailure", True, True), ("Never", False, False)],
)
def test_restart_policies(policy, launcher, worker):
    """Launchers restart by default, workers do not."""
    changes = [] if policy is None else [(f"{r}.restartPolicy", policy) for r in (LAUNCHER, WORKER)]
    layout = lay_out(job(*changes))

    assert (layout.launcher.restarts, layout.workers[0].restarts) == (launcher, worker)


@pytest.mark.parametrize(
    ("policy", "waits"), [("AtStartup", False), ("WaitForWorkersReady", True), ("Other", True)]
)
def test_creation_policy(policy, waits):
    """As upstream, every policy but AtStartup waits for the workers."""
    assert lay_out(job(("spec.launcherCreationPolicy", policy))).waits_for_workers is waits


def test_security_contexts():
    """The container's security context wins over the pod's."""
    changes = (
        (
            f"{WORKER_POD}.securityContext",
            {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "runAsNonRoot": True},
        ),
        (
            f"{WORKER_POD}.containers.securityContext",
            {"runAsUser": 9, "runAsNonRoot": False, "capabilities": {"drop": ["ALL"]}},
        ),
    )
    security = lay_out(job(*changes)).workers[0].security

    assert (security.user, security.group, security.fs_group) == (9, 2, 3)
    assert not security.non_root
    assert security.drop == ("ALL",)


def test_search_domains():
    """Only workers resolve bare names of pods."""
    layout = lay_out(job())

    assert "pi.default.svc.cluster.local" in layout.workers[0].searches
    assert "pi.default.svc.cluster.local" not in layout.launcher.searches


def test_order_of_creation():
    """Workers come before the launcher."""
    assert [pod.role for pod in lay_out(job()).pods] == [Role.WORKER, Role.WORKER, Role.LAUNCHER]


@pytest.mark.parametrize(
    ("annotated", "launcher", "workers"),
    [((), True, True), ((WORKER,), False, True), ((LAUNCHER, WORKER), True, True)],
)
def test_networks_of_pods(annotated, launcher, workers):
    """All pods are in all networks, or only those of the replicas with Multus' annotation."""
    annotation = {NETWORKS_ANNOTATION: "fast"}
    changes = [
        (f"{replica}.template.metadata", {"annotations": annotation}) for replica in annotated
    ]

    layout = lay_out(job(*changes))

    assert layout.launcher.has_all_networks is launcher
    assert {pod.has_all_networks for pod in layout.workers} == {workers}
