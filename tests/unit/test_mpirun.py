import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import MpiFacts
from mpijob_runtime.mpirun import select_mpi


@pytest.mark.parametrize(
    ("version", "major"), [("4.1.4", 4), ("4.0.3", 4), ("5.0.11", 5), ("5.0.0", 5)]
)
def test_open_mpi_4_and_5_are_driven(version, major):
    """Both generations are selected by the first number of their version."""
    found = select_mpi(MpiFacts("Open MPI", version, "/usr/bin/mpirun"))
    assert (found.mpirun, found.major) == ("/usr/bin/mpirun", major)


@pytest.mark.parametrize("version", ["4.1.4", "5.0.11"])
def test_the_command_is_a_tuple_with_the_program_as_it_was_given(version):
    """No shell stands between the user's words and the program."""
    program = ("python", "train.py", "--name", "a b;c", "")
    found = select_mpi(MpiFacts("Open MPI", version, "/m")).argv(ranks=8, program=program)
    assert found == ("/m", "-n", "8", "--map-by", "slot", *program)


@pytest.mark.parametrize(
    ("name", "version"), [("Open MPI", "3.1.6"), ("Open MPI", "6.0.0"), ("Hydra", "4.2.0")]
)
def test_other_mpis_are_refused_by_name(name, version):
    """An MPI that is not driven ends with 78, its name and version."""
    with pytest.raises(ConfigurationError, match=f"/m: found {name} {version}, wanted Open MPI"):
        select_mpi(MpiFacts(name, version, "/m"))


def test_no_mpi_is_refused_with_a_remedy():
    """Without mpirun the error says where to get one."""
    with pytest.raises(ConfigurationError) as caught:
        select_mpi(None)
    assert caught.value.exit_code == 78
    assert "MPIJOB_MPIRUN" in caught.value.remedy
