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
