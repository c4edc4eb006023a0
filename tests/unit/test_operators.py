import pytest

from mpijob_runtime.operators import HOSTFILE, recognise_operator

LAUNCHER = {
    "K_MPI_JOB_ROLE": "launcher",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
    "OMPI_MCA_orte_set_default_slots": "2",
    "NVIDIA_VISIBLE_DEVICES": "",
    "NVIDIA_DRIVER_CAPABILITIES": "",
}


def test_mpi_operator_launcher_is_recognised_by_its_variables():
    """The launcher's role, hostfile and default slots come from the operator's variables."""
    found = recognise_operator(LAUNCHER, hostfile_exists=True)
    assert found.present
    assert found.name == "mpi-operator v2beta1"
    assert found.role == "launcher"
    assert found.hostfile == "/etc/mpi/hostfile"
    assert found.default_slots == 2
    assert found.variables == LAUNCHER.keys()


def test_mpi_operator_worker_has_no_hostfile():
    """A worker knows its role and nothing of the job."""
    found = recognise_operator({"K_MPI_JOB_ROLE": "worker"}, hostfile_exists=True)
    assert found.role == "worker"
    assert found.hostfile is None


def test_without_evidence_there_is_no_operator():
    """A plain environment gives no role and nothing of an operator's."""
    found = recognise_operator({"PATH": "/bin"}, hostfile_exists=False)
    assert not found.present
    assert found.role is None
    assert found.variables == frozenset()


def test_a_mounted_hostfile_alone_makes_a_launcher():
    """An operator that sets no variables is seen by its mount."""
    found = recognise_operator({}, hostfile_exists=True)
    assert found.present
    assert (found.name, found.role, found.hostfile) == ("unknown operator", "launcher", HOSTFILE)


def test_the_users_own_variables_are_not_the_operators():
    """Only variables that the operator is known to set are taken for its."""
    environ = LAUNCHER | {"OMPI_MCA_pml": "ucx", "OMPI_MCA_btl": "self,tcp"}
    found = recognise_operator(environ, hostfile_exists=True)
    assert found.variables == LAUNCHER.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4", 4), ("0", 1), ("", 1), ("many", 1), ("-2", 1), ("٣", 1), ("9" * 5000, 1)],
    ids=["4", "0", "empty", "word", "negative", "other digits", "5000 digits"],
)
def test_default_slots_are_a_sane_number(text, expected):
    """A nonsensical count from outside is one slot, never a crash."""
    environ = LAUNCHER | {"OMPI_MCA_orte_set_default_slots": text}
    assert expected == recognise_operator(environ, hostfile_exists=True).default_slots


TRAINER = {
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
    "OMPI_MCA_orte_set_default_slots": "2",
}
TRAINING_OPERATOR = {
    "OMPI_MCA_plm_rsh_agent": "/etc/mpi/kubexec.sh",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "I_MPI_HYDRA_BOOTSTRAP": "rsh",
    "I_MPI_HYDRA_BOOTSTRAP_EXEC": "/etc/mpi/kubexec.sh",
    "NVIDIA_VISIBLE_DEVICES": "",
    "NVIDIA_DRIVER_CAPABILITIES": "",
}
VOLCANO = {
    "VC_MPIMASTER_HOSTS": "j-mpimaster-0.j",
    "VC_MPIMASTER_NUM": "1",
    "VC_MPIWORKER_HOSTS": "j-mpiworker-0.j,j-mpiworker-1.j",
    "VC_MPIWORKER_NUM": "2",
}


def test_trainer_is_recognised_by_its_four_variables_and_no_role():
    """Trainer gives a launcher hostfile, slots and ssh arguments, but no word of its role."""
    environ = TRAINER | {"NVIDIA_VISIBLE_DEVICES": "all"}
    found = recognise_operator(environ, hostfile_exists=True)
    assert (found.name, found.role) == ("Kubeflow Trainer v2", "launcher")
    assert (found.hostfile, found.default_slots) == ("/etc/mpi/hostfile", 2)
    assert found.variables == TRAINER.keys()


@pytest.mark.parametrize("left_out", TRAINER)
def test_a_part_of_trainers_variables_is_somebody_elses(left_out):
    """With one of the four missing, an operator is there, but not this one."""
    environ = {name: value for name, value in TRAINER.items() if name != left_out}
    found = recognise_operator(environ, hostfile_exists=True)
    assert (found.name, found.role) == ("unknown operator", "launcher")


def test_a_role_makes_it_mpi_operator():
    """The same variables with a role are mpi-operator's."""
    environ = TRAINER | {"K_MPI_JOB_ROLE": "launcher"}
    assert recognise_operator(environ, hostfile_exists=True).name == "mpi-operator v2beta1"


@pytest.mark.parametrize(
    ("name", "slots", "implementation"),
    [
        ("I_MPI_HYDRA_HOST_FILE", "I_MPI_PERHOST", "Intel"),
        ("HYDRA_HOST_FILE", None, "MPICH"),
    ],
)
def test_hydras_variables_are_mpi_operators_too(name, slots, implementation):
    """For Intel MPI and MPICH the hostfile is named by Hydra's variable."""
    environ = {"K_MPI_JOB_ROLE": "launcher", name: "/etc/mpi/other"}
    environ |= {slots: "2"} if slots else {}
    found = recognise_operator(environ, hostfile_exists=True)
    assert found.hostfile == "/etc/mpi/other"
    assert found.variables == environ.keys()
    assert found.implementation == implementation


def test_open_mpis_variables_win_over_a_users_own_of_hydra():
    """A manifest that sets both is for Open MPI, as the operator says."""
    environ = LAUNCHER | {"HYDRA_HOST_FILE": "/mine"}
    found = recognise_operator(environ, hostfile_exists=True)
    assert (found.implementation, found.hostfile) == ("OpenMPI", "/etc/mpi/hostfile")


def test_training_operator_v1_is_recognised_by_its_agent():
    """Its launcher is to reach the workers by kubectl exec, not by ssh."""
    found = recognise_operator(TRAINING_OPERATOR, hostfile_exists=True)
    assert (found.name, found.role) == ("training-operator v1", "launcher")
    assert found.transport == "exec"
    assert found.variables == TRAINING_OPERATOR.keys()


def test_a_users_own_agent_is_no_operator():
    """Only the path that training-operator mounts is its sign."""
    environ = {"OMPI_MCA_plm_rsh_agent": "rsh"}
    assert not recognise_operator(environ, hostfile_exists=False).present


def test_volcanos_master_is_told_its_hosts():
    """Volcano's mpi plugin names the workers in the master's MPI_HOST."""
    hosts = VOLCANO["VC_MPIWORKER_HOSTS"]
    found = recognise_operator(VOLCANO | {"MPI_HOST": hosts}, hostfile_exists=False)
    assert (found.name, found.role, found.host_list) == ("Volcano", "launcher", hosts)
    assert found.hostfile is None
    assert found.variables == {*VOLCANO, "MPI_HOST"}


def test_volcano_without_its_mpi_plugin_gives_no_role():
    """Which task is the master is then known to the user alone."""
    found = recognise_operator(VOLCANO, hostfile_exists=False)
    assert (found.name, found.role, found.host_list) == ("Volcano", None, None)


def test_mpi_host_alone_is_nobodys():
    """The name is too common to be a sign of Volcano."""
    assert not recognise_operator({"MPI_HOST": "w0,w1"}, hostfile_exists=False).present


@pytest.mark.parametrize("environ", [{}, VOLCANO, TRAINER], ids=["none", "volcano", "trainer"])
def test_who_runs_sshd_is_a_worker(environ):
    """Where no variable says a role, the program does; a launcher's sshd has no hostfile."""
    found = recognise_operator(environ, hostfile_exists=False, program="sshd")
    assert (found.role, found.hostfile, found.present) == ("worker", None, True)
