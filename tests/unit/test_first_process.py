import os

import pytest

from mpijob_runtime.first_process import find_lost_variables, restore_environ
from mpijob_runtime.settings import Settings

MPI_OPERATOR = {"K_MPI_JOB_ROLE": "launcher", "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile"}
VOLCANO = {"VC_WORKER_HOSTS": "a,b", "MPI_HOST": "a,b"}
TRAINING_OPERATOR = {
    "OMPI_MCA_plm_rsh_agent": "/etc/mpi/kubexec.sh",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
}
REST = {"PATH": "/opt/x:/usr/bin", "HOME": "/home/mpiuser", "MPIJOB_TIMEOUT": "7", "TOKEN": "x"}


@pytest.mark.parametrize(
    "operators",
    [MPI_OPERATOR, VOLCANO, TRAINING_OPERATOR],
    ids=["mpi-operator", "volcano", "training-operator"],
)
def test_an_emptied_environment_is_the_same_launcher(operators):
    """``env -i``: the operator, its hosts and our settings are the container's; no secret comes."""
    lost = find_lost_variables({}, operators | REST)

    whole = Settings.from_environ(operators | REST)
    found = Settings.from_environ(lost)
    assert (found.operator, found.host) == (whole.operator, whole.host)
    assert found.timeout_seconds == 7
    assert (lost["PATH"], lost["HOME"]) == (REST["PATH"], REST["HOME"])
    assert "TOKEN" not in lost


def test_what_is_there_stays():
    """A PATH that cron or a user has set is theirs."""
    lost = find_lost_variables({"PATH": "/usr/bin", "MPIJOB_TIMEOUT": "9"}, MPI_OPERATOR | REST)
    assert lost.keys() == MPI_OPERATOR.keys() | {"HOME"}


@pytest.mark.parametrize("name", MPI_OPERATOR)
def test_an_environment_that_knows_its_operator_is_left_alone(name):
    """Who unsets MPIJOB_TIMEOUT for one line wants it unset."""
    assert find_lost_variables({name: MPI_OPERATOR[name]}, MPI_OPERATOR | REST) == {}


@pytest.mark.parametrize("first", [{}, REST], ids=["unreadable", "no operator"])
def test_without_an_operator_nothing_is_restored(first):
    """A plain container stays plain."""
    assert find_lost_variables({}, first) == {}


def test_path_and_home_are_always_there():
    """Open MPI 5.0 does not start without HOME; a program is not found without PATH."""
    environ = {}
    restore_environ(environ)
    assert "/usr/bin" in environ["PATH"].split(":")
    assert os.path.isabs(environ["HOME"])
    given = {"PATH": "/mine", "HOME": ""}
    restore_environ(given)
    assert (given["PATH"], given["HOME"]) == ("/mine", "")
