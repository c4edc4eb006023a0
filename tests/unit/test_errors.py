import pytest

from mpijob_runtime import errors
from mpijob_runtime.errors import HostfileError, HostsNotReadyError, Problem, UsageError

CODES = {
    "MpiJobError": 70,
    "UsageError": 64,
    "LearningRateError": 64,
    "InputError": 65,
    "HostfileError": 65,
    "ManifestError": 65,
    "HostsNotReadyError": 69,
    "SpreadError": 76,
    "ConfigurationError": 78,
    "WorldError": 78,
    "ProgramNotFoundError": 127,
}


def test_every_error_has_the_exit_code_of_the_contract():
    """The tree of errors and their exit codes is the one in the module's docstring."""
    found = {
        name: error.exit_code
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.MpiJobError)
    }
    assert found == CODES


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_the_docstring_draws_every_error_with_its_code(name, code):
    """The drawing at the top names each class; classes without an own code share the line above."""
    drawn = [line for line in (errors.__doc__ or "").splitlines() if name in line]
    own = "exit_code" in vars(getattr(errors, name))
    assert len(drawn) == 1
    assert not own or f" {code} " in drawn[0]


def test_a_remedy_stands_on_a_line_of_its_own():
    """The next step is easy to find."""
    found = str(UsageError("-n 9: too many", remedy="lower -n"))
    assert found == "-n 9: too many\n  next: lower -n"


def test_without_remedy_the_message_is_all():
    """Nothing is printed for a remedy that is not there."""
    assert str(UsageError("-n 9: too many")) == "-n 9: too many"


def test_a_problem_names_the_field_where_there_is_one():
    """A manifest's problem has path, line and field."""
    found = Problem(3, "'x'", "a number", where="spec.slotsPerWorker").describe("job.yaml")
    assert found == "job.yaml:3: spec.slotsPerWorker: found 'x', wanted a number"


def test_ten_problems_are_all_shown():
    """The limit hides nothing that fits."""
    error = HostfileError("h", [Problem(number, "x", "y") for number in range(1, 11)])
    assert len(str(error).splitlines()) == 10


def test_a_thousand_missing_hosts_are_sixteen_lines_and_a_number():
    """The one with another reason is among them, wherever it stands."""
    reasons = {f"w{number}": f"tcp: refused (10.0.0.{number})" for number in range(1000)}
    reasons["w777"] = "authentication: not our key"
    lines = str(HostsNotReadyError(reasons, waited_seconds=600, total=1000)).splitlines()
    assert len(lines) == 18
    assert lines[1] == "  w0: tcp: refused (10.0.0.0)"
    assert lines[16] == "  w777: authentication: not our key"
    assert lines[17] == "  … and 984 more"


def test_sixteen_missing_hosts_are_all_shown():
    """The limit hides nothing that fits."""
    reasons = {f"w{number}": "tcp: refused" for number in range(16)}
    assert len(str(HostsNotReadyError(reasons, waited_seconds=1, total=16)).splitlines()) == 17


def test_hosts_not_ready_lists_each_host_with_its_reason():
    """The error says how many of how many are missing, after how long, and why each."""
    error = HostsNotReadyError({"w1": "tcp: refused"}, waited_seconds=2.04, total=8)
    assert str(error) == "1 of 8 hosts not ready after 2.0 s:\n  w1: tcp: refused"
    assert error.reasons == {"w1": "tcp: refused"}
