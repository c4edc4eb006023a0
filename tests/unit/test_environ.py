import pytest

from mpijob_runtime.bind_to import Binding
from mpijob_runtime.environ import (
    Paths,
    Variable,
    apply_environ,
    assemble_environ,
    decide_for_attempt,
)
from mpijob_runtime.hosts import Host, Hostfile
from mpijob_runtime.mpirun_output import OutputPlan

HOSTS = Hostfile((Host("w0.job", 2), Host("w1.job", 2)), "test")
PATHS = Paths("/dev/shm/mpijob-1000")
OPERATOR = {
    "K_MPI_JOB_ROLE": "launcher",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "maybe",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
}


@pytest.fixture
def assemble(make_settings, make_facts):
    """Return a function from an environment, a generation and flags to variables."""

    def build(environ=None, *, major=4, flags=None, binding=None, **facts):
        settings = make_settings(environ or {}, **(flags or {}))
        output = OutputPlan(settings.output)
        given = (settings, make_facts(**facts), HOSTS, output)
        bound = binding or Binding()
        return assemble_environ(*given, major=major, paths=PATHS, binding=bound)

    return build


@pytest.mark.parametrize(
    ("major", "name"),
    [
        (4, "OMPI_MCA_orte_keep_fqdn_hostnames"),
        (4, "OMPI_MCA_plm_rsh_agent"),
        (4, "OMPI_MCA_orte_fork_agent"),
        (5, "PRTE_MCA_prte_default_hostfile"),
        (5, "PRTE_MCA_plm_ssh_agent"),
        (5, "PRTE_MCA_odls_base_exec_agent"),
        (4, "OMPI_MCA_hwloc_base_binding_policy"),
        (5, "OMPI_ALLOW_RUN_AS_ROOT"),
    ],
)
def test_a_variable_of_the_user_is_never_overridden(major, name, assemble):
    """Whatever the user set stays, and the plan says whose it is."""
    found = assemble({name: "mine"}, major=major, uid=0)[name]
    assert (found.value, found.source) == ("mine", "user")


def test_an_empty_variable_of_the_user_is_left_alone_too():
    """Checked through apply_environ: an empty string is a value."""
    assert apply_environ({"A": ""}, {}) == {"A": ""}


def test_an_empty_setting_of_the_user_stays(assemble):
    """A user who set a variable to nothing meant it."""
    found = assemble({"OMPI_MCA_plm_rsh_agent": ""})["OMPI_MCA_plm_rsh_agent"]
    assert (found.value, found.source) == ("", "user")


def test_a_variable_of_the_operator_is_overridden(assemble):
    """The operator cannot know the Open MPI in the image; our hostfile is the one."""
    found = assemble(OPERATOR)
    assert found["OMPI_MCA_orte_default_hostfile"].value == PATHS.hostfile
    assert found["OMPI_MCA_orte_keep_fqdn_hostnames"].value == "true"
    assert found["OMPI_MCA_orte_default_hostfile"].source == "default"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("OMPI_MCA_orte_default_hostfile", "default"),
        ("OMPI_MCA_orte_fork_agent", "probed"),
        ("OMPI_ALLOW_RUN_AS_ROOT", "probed"),
        ("MPIJOB_INSIDE", "default"),
        ("OMPI_MPIJOB_MASTER_ADDR", "default"),
    ],
)
def test_every_variable_says_where_it_comes_from(name, source, assemble):
    """What depends on a probe is marked so."""
    assert assemble(uid=0)[name].source == source


@pytest.mark.parametrize("major", [4, 5])
def test_every_variable_has_a_reason(major, assemble):
    """No variable without a sentence."""
    variables = assemble(OPERATOR, major=major, uid=0, flags={"env": ("A=1",)})
    assert all(variable.why for variable in variables.values())


def test_open_mpi_5_gets_the_operators_ssh_arguments_under_its_own_name(assemble):
    """PRTE_MCA_plm_ssh_args is taken from the ORTE name that operators set."""
    found = assemble(OPERATOR, major=5)["PRTE_MCA_plm_ssh_args"]
    assert (found.value, found.source) == ("-o ConnectionAttempts=10", "operator")


def test_ssh_arguments_that_the_user_set_are_said_to_be_the_users(assemble):
    """Without an operator the ORTE name is the user's word, and the plan says so."""
    found = assemble({"OMPI_MCA_plm_rsh_args": "-v"}, major=5)["PRTE_MCA_plm_ssh_args"]
    assert (found.value, found.source) == ("-v", "user")


def test_prrte_ssh_arguments_of_the_user_win(assemble):
    """A PRTE_MCA_plm_ssh_args of the user is not touched."""
    environ = OPERATOR | {"PRTE_MCA_plm_ssh_args": "-v"}
    assert "PRTE_MCA_plm_ssh_args" not in assemble(environ, major=5)


def test_open_mpi_4_gets_no_prrte_names(assemble):
    """The generation decides the family of names."""
    assert not any(name.startswith("PRTE_") for name in assemble(OPERATOR, major=4))


def test_the_master_is_the_first_host(assemble):
    """Ranks are told the first host of the hostfile and the port of the settings."""
    found = assemble({"MPIJOB_MASTER_PORT": "4000"})
    assert found["OMPI_MPIJOB_MASTER_ADDR"].value == "w0.job"
    assert found["OMPI_MPIJOB_MASTER_PORT"].value == "4000"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "29503"), ({"MPIJOB_MASTER_PORT": "4000"}, "4000"), ({"MASTER_PORT": "4001"}, "4001")],
    ids=["default", "setting", "torch's own"],
)
def test_jobs_beside_each_other_meet_at_different_ports(environ, expected, assemble):
    """29500 for a job alone, the next that is free beside others; a user's own is left alone."""
    found = decide_for_attempt(assemble(environ), "20260101T000000.000000-m-x", 3)
    assert found["OMPI_MPIJOB_MASTER_PORT"].value == expected
    assert found["OMPI_MPIJOB_ATTEMPT"].value == "20260101T000000.000000-m-x"


def test_env_flags_are_carried_under_a_prefix_that_open_mpi_forwards(assemble):
    """--env NAME=VALUE travels as OMPI_MPIJOB_ENV_NAME, newlines and quotes included."""
    found = assemble(flags={"env": ("TEXT=a 'b'\nc",)})["OMPI_MPIJOB_ENV_TEXT"]
    assert (found.value, found.source) == ("a 'b'\nc", "user")


def test_the_attempt_is_decided_at_launch(assemble):
    """What only the launch knows has no value and says so."""
    found = assemble()["OMPI_MPIJOB_ATTEMPT"]
    assert (found.value, found.why) == (None, "decided at launch")


def test_apply_lays_decided_variables_over_the_base():
    """Decided values win, undecided ones leave the base alone, the rest stays."""
    base = {"A": "1", "B": "1", "C": "1"}
    variables = {"A": Variable("2", "default", "x"), "B": Variable(None, "default", "x")}
    assert apply_environ(base, variables) == {"A": "2", "B": "1", "C": "1"}
    assert base == {"A": "1", "B": "1", "C": "1"}


@pytest.mark.parametrize(
    "name",
    ["NCCL_DEBUG", "UCX_TLS", "OMP_NUM_THREADS", "PYTHONUNBUFFERED", "HOROVOD_TIMELINE"],
)
def test_what_people_set_for_a_whole_job_fills_gaps_of_the_ranks(name, assemble):
    """The launcher's NCCL_DEBUG and the like reach ranks that have none, without any flag."""
    found = assemble({name: "1"})[f"OMPI_MPIJOB_GAP_{name}"]
    assert (found.value, found.source) == ("1", "user")


@pytest.mark.parametrize("name", ["HOME", "PATH", "CUDA_VISIBLE_DEVICES", "NCCL_TOKEN", "XNCCL_A"])
def test_nothing_else_of_the_launcher_reaches_the_ranks_unasked(name, assemble):
    """What belongs to the launcher's container, or is a secret, stays there."""
    assert f"OMPI_MPIJOB_GAP_{name}" not in assemble({name: "1"})


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, "1"), ({"PYTHONFAULTHANDLER": "0"}, "0")], ids=["unset", "set"]
)
def test_stacks_of_stalled_ranks_are_prepared(environ, expected, assemble):
    """With --stall-timeout Python answers a SIGABRT with its stack, unless the user said no."""
    variables = assemble(environ, flags={"stall_timeout_seconds": 5.0})
    assert variables["OMPI_MPIJOB_GAP_PYTHONFAULTHANDLER"].value == expected


def test_python_is_left_alone_without_a_stall_timeout(assemble):
    """No variable for what nobody asked for."""
    assert "OMPI_MPIJOB_GAP_PYTHONFAULTHANDLER" not in assemble()


@pytest.mark.parametrize(("output", "told"), [("mpirun", True), ("prefix", False), ("json", False)])
def test_ranks_know_whose_their_output_is(output, told, assemble):
    """--output mpirun leaves the streams to Open MPI; else the wrapper takes them."""
    assert ("OMPI_MPIJOB_STREAMS" in assemble(flags={"output": output})) == told


@pytest.mark.parametrize(
    ("rsh", "expected"), [("/lib/rsh", "/lib/rsh"), (None, f"ssh -F {PATHS.ssh_config}")]
)
def test_daemons_start_by_our_rsh_or_else_by_ssh(rsh, expected, assemble):
    """Without our own remote shell in the image ssh itself is used, with our settings."""
    assert assemble(rsh=rsh)["OMPI_MCA_plm_rsh_agent"].value == expected
    assert assemble(rsh=rsh, major=5)["PRTE_MCA_plm_ssh_agent"].value == expected


@pytest.mark.parametrize("name", ["MASTER_ADDR", "MASTER_PORT"])
def test_the_launchers_own_master_is_the_ranks(name, assemble):
    """A user who sets MASTER_ADDR on the launcher means the job."""
    found = assemble({name: "7000"})[f"OMPI_MPIJOB_{name}"]
    assert (found.value, found.source) == ("7000", "user")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hostfile", "/r/hostfile"),
        ("ssh_config", "/r/ssh_config"),
        ("known_hosts", "/r/known_hosts"),
        ("key", "/r/id"),
    ],
)
def test_private_files_lie_in_the_run_directory(name, expected):
    """The layout of the run directory is fixed."""
    assert expected == getattr(Paths("/r"), name)


@pytest.mark.parametrize(
    ("major", "policy", "value", "source"),
    [
        (4, "none", "none", "default"),
        (5, "none", "none", "default"),
        (4, "socket", "socket", "user"),
        (5, "socket", "package", "user"),
        (5, "core", "core", "user"),
    ],
)
def test_mpirun_binds_as_the_flag_says_and_else_nothing(major, policy, value, source, assemble):
    """In the words of its generation; the gate binds what mpirun does not."""
    names = {4: "OMPI_MCA_hwloc_base_binding_policy", 5: "PRTE_MCA_hwloc_default_binding_policy"}
    variables = assemble(major=major, binding=Binding(policy, at_gate=False))
    assert variables[names[major]].value == value
    assert variables[names[major]].source == source


@pytest.mark.parametrize(("number", "attached"), [(64, "1"), (65, "0"), (200, "0")])
def test_daemons_of_open_mpi_5_are_attached_only_where_it_starts_all_at_a_time(
    number, attached, make_settings, make_facts
):
    """PRRTE refuses to start attached daemons if there are more than it starts at a time."""
    hosts = Hostfile(tuple(Host(f"w{index}.job", 1) for index in range(number)), "test")
    given = (make_settings({}), make_facts(), hosts, OutputPlan("plain"))
    found = assemble_environ(*given, major=5, paths=PATHS, binding=Binding())
    assert found["PRTE_MCA_prte_leave_session_attached"].value == attached
