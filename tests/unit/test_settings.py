import pytest

from mpijob_runtime.errors import UsageError
from mpijob_runtime.settings import RANK_WRAPPER, VARIABLES, Flags, Settings, parse_env_flags

OPERATOR = {"K_MPI_JOB_ROLE": "launcher", "OMPI_MCA_orte_default_hostfile": "/op/hostfile"}

NAMES = ("w0.job", "10.0.0.7", "fd00::1")

PRECEDENCE = {
    "default, no operator": ({}, {}, "hostfile", None),
    "operator over default": (OPERATOR, {}, "hostfile", "/op/hostfile"),
    "variable over operator": (
        OPERATOR | {"MPIJOB_HOSTFILE": "/v"},
        {},
        "hostfile",
        "/v",
    ),
    "flag over variable": (
        OPERATOR | {"MPIJOB_HOSTFILE": "/v"},
        {"hostfile": "/f"},
        "hostfile",
        "/f",
    ),
    "timeout by default": ({}, {}, "timeout_seconds", 600.0),
    "timeout by variable": ({"MPIJOB_TIMEOUT": "5"}, {}, "timeout_seconds", 5.0),
    "timeout by flag": (
        {"MPIJOB_TIMEOUT": "5"},
        {"timeout_seconds": 7.5},
        "timeout_seconds",
        7.5,
    ),
    "timeout 0 by flag": ({"MPIJOB_TIMEOUT": "5"}, {"timeout_seconds": 0.0}, "timeout_seconds", 0),
    "timeout with a unit": ({"MPIJOB_TIMEOUT": "10m"}, {}, "timeout_seconds", 600.0),
    "grace by default": ({}, {}, "grace_seconds", 20.0),
    "grace by variable": ({"MPIJOB_GRACE": "0.5"}, {}, "grace_seconds", 0.5),
    "grace by flag": ({"MPIJOB_GRACE": "5"}, {"grace_seconds": 1.0}, "grace_seconds", 1.0),
    "report by default": ({}, {}, "report", None),
    "report by variable": ({"MPIJOB_REPORT": "/r"}, {}, "report", "/r"),
    "report by flag": ({"MPIJOB_REPORT": "/r"}, {"report": "/f"}, "report", "/f"),
    "output by default": ({}, {}, "output", "prefix"),
    "output by variable": ({"MPIJOB_OUTPUT": "json"}, {}, "output", "json"),
    "output by flag": ({"MPIJOB_OUTPUT": "json"}, {"output": "plain"}, "output", "plain"),
    "log dir by default": ({}, {}, "log_dir", None),
    "log dir by variable": ({"MPIJOB_LOG_DIR": "/l"}, {}, "log_dir", "/l"),
    "log dir by flag": ({"MPIJOB_LOG_DIR": "/l"}, {"log_dir": "/f"}, "log_dir", "/f"),
    "stall timeout by default": ({}, {}, "stall_timeout_seconds", 0.0),
    "stall timeout by variable": (
        {"MPIJOB_STALL_TIMEOUT": "60"},
        {},
        "stall_timeout_seconds",
        60.0,
    ),
    "stall timeout by flag": (
        {"MPIJOB_STALL_TIMEOUT": "60"},
        {"stall_timeout_seconds": 5.0},
        "stall_timeout_seconds",
        5.0,
    ),
    "stall action by default": ({}, {}, "stall_action", "fail"),
    "stall action by variable": ({"MPIJOB_STALL_ACTION": "report"}, {}, "stall_action", "report"),
    "stall action by flag": (
        {"MPIJOB_STALL_ACTION": "report"},
        {"stall_action": "fail"},
        "stall_action",
        "fail",
    ),
    "idle timeout by default": ({}, {}, "idle_timeout_seconds", 0.0),
    "idle timeout": ({"MPIJOB_WORKER_IDLE_TIMEOUT": "9"}, {}, "idle_timeout_seconds", 9.0),
    "nodes by default": ({}, {}, "distinct_nodes", False),
    "nodes by variable": ({"MPIJOB_DISTINCT_NODES": "on"}, {}, "distinct_nodes", True),
    "nodes by flag": (
        {"MPIJOB_DISTINCT_NODES": "off"},
        {"distinct_nodes": True},
        "distinct_nodes",
        True,
    ),
    "nodes in another word": ({"MPIJOB_DISTINCT_NODES": "True"}, {}, "distinct_nodes", True),
    "nothing forwarded by default": ({"A": "1"}, {}, "forwarded", {}),
    "forwarded by variable": (
        {"MPIJOB_ENV": "A_*, B", "A_1": "1", "A_TOKEN": "t", "B": "2", "C": "3"},
        {},
        "forwarded",
        {"A_1": "1", "B": "2"},
    ),
    "forwarded by flag over variable": (
        {"MPIJOB_ENV": "A", "A": "1"},
        {"env": ("A=2",)},
        "forwarded",
        {"A": "2"},
    ),
    "port by default": ({}, {}, "ssh_port", 2222),
    "port by variable": ({"MPIJOB_SSH_PORT": "22"}, {}, "ssh_port", 22),
    "no more names": ({}, {}, "host_names", ()),
    "names": ({"MPIJOB_HOST_NAMES": "w0.job, 10.0.0.7,,fd00::1"}, {}, "host_names", NAMES),
    "master port by default": ({}, {}, "master_port", 29500),
    "master port by variable": ({"MPIJOB_MASTER_PORT": "65535"}, {}, "master_port", 65535),
    "wrapper by default": ({}, {}, "rank_wrapper", RANK_WRAPPER),
    "wrapper by variable": ({"MPIJOB_RANK_WRAPPER": "/w"}, {}, "rank_wrapper", "/w"),
    "no wrapper": ({"MPIJOB_RANK_WRAPPER": ""}, {}, "rank_wrapper", None),
    "mpirun": ({"MPIJOB_MPIRUN": "/m"}, {}, "mpirun", "/m"),
    "ssh directory": ({"MPIJOB_SSH_DIR": "/s"}, {}, "ssh_dir", "/s"),
    "run directory": ({"MPIJOB_RUN_DIR": "/r"}, {}, "run_dir", "/r"),
    "termination log by default": ({}, {}, "termination_log", "/dev/termination-log"),
    "termination log": ({"MPIJOB_TERMINATION_LOG": "/t"}, {}, "termination_log", "/t"),
    "log format by default": ({}, {}, "log_format", "text"),
    "log format": ({"MPIJOB_LOG_FORMAT": "json"}, {}, "log_format", "json"),
    "shim by default": ({}, {}, "shim", True),
    "shim off": ({"MPIJOB_SHIM": "off"}, {}, "shim", False),
    "shim off in another word": ({"MPIJOB_SHIM": "0"}, {}, "shim", False),
    "outside": ({}, {}, "inside", False),
    "inside": ({"MPIJOB_INSIDE": "1"}, {}, "inside", True),
    "empty variables count as unset": ({"MPIJOB_TIMEOUT": ""}, {}, "timeout_seconds", 600.0),
    "host": ({}, {"host": "localhost"}, "host", "localhost"),
    "empty host": ({}, {"host": ""}, "host", ""),
    "ranks": ({}, {"ranks": 4}, "ranks", 4),
}


@pytest.mark.parametrize(
    ("environ", "flags", "name", "expected"), PRECEDENCE.values(), ids=PRECEDENCE.keys()
)
def test_flag_over_variable_over_operator_over_default(
    environ, flags, name, expected, make_settings
):
    """Each setting comes from the strongest source that gives one."""
    assert expected == getattr(make_settings(environ, **flags), name)


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("MPIJOB_TIMEOUT", "soon", "--timeout"),
        ("MPIJOB_TIMEOUT", "-1", "--timeout"),
        ("MPIJOB_TIMEOUT", "nan", "--timeout"),
        ("MPIJOB_TIMEOUT", "inf", "--timeout"),
        ("MPIJOB_TIMEOUT", "1e99", "--timeout"),
        ("MPIJOB_TIMEOUT", "10min", "--timeout"),
        ("MPIJOB_GRACE", "1 min", "--grace"),
        ("MPIJOB_OUTPUT", "xml", "--output"),
        ("MPIJOB_STALL_TIMEOUT", "-1", "--stall-timeout"),
        ("MPIJOB_STALL_ACTION", "wait", "--stall-action"),
        ("MPIJOB_DISTINCT_NODES", "ja", "--distinct-nodes"),
        ("MPIJOB_WORKER_IDLE_TIMEOUT", "soon", ""),
        ("MPIJOB_SSH_PORT", "0", ""),
        ("MPIJOB_SSH_PORT", "65536", ""),
        ("MPIJOB_SSH_PORT", "-22", ""),
        ("MPIJOB_SSH_PORT", "ssh", ""),
        ("MPIJOB_SSH_PORT", "٢٢", ""),
        ("MPIJOB_SSH_PORT", "0000000801234", ""),
        ("MPIJOB_SSH_PORT", "22" + "0" * 5000, ""),
        ("MPIJOB_HOST_NAMES", "$(POD_NAME).job", ""),
        ("MPIJOB_HOST_NAMES", "w*", ""),
        ("MPIJOB_HOST_NAMES", "-w", ""),
        ("MPIJOB_HOST_NAMES", "a" * 254, ""),
        ("MPIJOB_MASTER_PORT", "1.5", ""),
        ("MPIJOB_LOG_FORMAT", "xml", ""),
        ("MPIJOB_SHIM", "plain", ""),
        ("MPIJOB_RUN_DIR", "relative/run", ""),
        ("MPIJOB_RUN_DIR", "/tmp/a b", ""),
        ("MPIJOB_RUN_DIR", "/tmp/100%u", ""),
        ("MPIJOB_RUN_DIR", '/tmp/a"b', ""),
        ("MPIJOB_RUN_DIR", "/tmp/a\nb", ""),
    ],
)
def test_a_wrong_variable_is_named_with_its_flag_and_value(name, value, flag, make_settings):
    """A value that cannot be ends with 64; the message has variable, flag, found and wanted."""
    with pytest.raises(UsageError) as caught:
        make_settings({name: value})
    message = str(caught.value)
    expected = 64
    assert expected == caught.value.exit_code
    assert name in message
    assert flag in message
    assert repr(value[:40]) in message
    assert "wanted" in message


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"ranks": 0}, "-n 0"),
        ({"ranks": -3}, "-n -3"),
        ({"timeout_seconds": -1.0}, "--timeout"),
        ({"timeout_seconds": float("nan")}, "--timeout"),
        ({"grace_seconds": float("inf")}, "--grace"),
        ({"env": ("1X=2",)}, "--env"),
    ],
)
def test_a_wrong_flag_is_named(flags, words, make_settings):
    """A flag's value that cannot be ends with 64 and names the flag."""
    with pytest.raises(UsageError) as caught:
        make_settings(**flags)
    assert words in str(caught.value)


def test_env_flags_take_a_value_or_the_launchers():
    """NAME=VALUE gives the value, NAME alone takes the launcher's; the last one wins."""
    items = ("A=1", "B", "C=", "D=x=y", "A=2", "E=line 1\nline 2")
    found = parse_env_flags(items, {"B": "from here"})
    expected = {"A": "2", "B": "from here", "C": "", "D": "x=y", "E": "line 1\nline 2"}
    assert expected == found


@pytest.mark.parametrize("item", ["", "=x", "A-B=1", "1A=1", "A B=1", "Ä=1", "A.B=1", "-x"])
def test_env_flags_refuse_impossible_names(item):
    """A name that no shell could set is refused with the whole item in the message."""
    with pytest.raises(UsageError) as caught:
        parse_env_flags((item,), {})
    assert repr(item) in str(caught.value)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("NCCL_*", {"NCCL_A": "1", "NCCL_B": "2"}),
        ("NCCL_?", {"NCCL_A": "1", "NCCL_B": "2"}),
        ("NCCL_[A]", {"NCCL_A": "1"}),
        ("*_A", {"NCCL_A": "1"}),
        ("NONE_*", {}),
        ("*", {"NCCL_A": "1", "NCCL_B": "2", "nccl_c": "3"}),
    ],
)
def test_a_pattern_takes_what_matches_but_no_secrets(item, expected):
    """Capitals count; a secret is left out without a word, as nobody asked for it by name."""
    environ = {"NCCL_A": "1", "NCCL_B": "2", "nccl_c": "3", "NCCL_API_KEY": "s", "HF_TOKEN": "s"}
    assert parse_env_flags((item,), environ) == expected


@pytest.mark.parametrize("item", ["HF_TOKEN", "HF_TOKEN=hunter2", "DB_PASSWORD"])
def test_a_secret_that_is_named_is_refused(item):
    """64, with the way that is meant for secrets; the value is not repeated."""
    with pytest.raises(UsageError) as caught:
        parse_env_flags((item,), {"HF_TOKEN": "hunter2", "DB_PASSWORD": "hunter2"})
    message = str(caught.value)
    assert item.partition("=")[0] in message
    assert "secretKeyRef" in message
    assert "hunter2" not in message


def test_the_shims_form_of_output_is_plain_unless_asked():
    """``mpirun`` prints what it always printed; a variable may say otherwise."""
    assert Settings.from_environ({}, output="plain").output == "plain"
    assert Settings.from_environ({"MPIJOB_OUTPUT": "prefix"}, output="plain").output == "prefix"


def test_env_flag_without_a_value_must_be_set_here():
    """--env NAME for a variable that is not set says how to give a value."""
    with pytest.raises(UsageError) as caught:
        parse_env_flags(("EPOCHS",), {})
    assert "--env EPOCHS=VALUE" in caught.value.remedy


def test_settings_do_not_show_the_environment():
    """Printing settings does not print secrets."""
    settings = Settings.from_environ({"DB_PASSWORD": "hunter2"})
    assert "hunter2" not in repr(settings)


def test_settings_keep_their_own_copy_of_the_environment():
    """Later changes of the environment do not change settings."""
    environ = {"A": "1"}
    settings = Settings.from_environ(environ, flags=Flags())
    environ["A"] = "2"
    assert settings.environ["A"] == "1"


def test_every_variable_is_documented_once():
    """The table of variables has a meaning and a default for each, no name twice."""
    names = [variable.name for variable in VARIABLES]
    assert len(set(names)) == len(names)
    assert all(v.meaning.endswith(".") and v.default for v in VARIABLES)


def test_every_variable_that_settings_read_is_in_the_table():
    """The documentation's table is complete: reading touches no other MPIJOB_ variable."""

    class Watched(dict):
        """Notes which keys are asked for."""

        asked = frozenset()

        def get(self, key, default=None):
            """Note and answer."""
            Watched.asked |= {key}
            return super().get(key, default)

    Settings.from_environ(Watched())
    read = {name for name in Watched.asked if name.startswith("MPIJOB_")}
    assert read <= {variable.name for variable in VARIABLES}
    assert len(read) > 5


VOLCANO = {"VC_WORKER_HOSTS": "w0.j,w1.j", "VC_WORKER_NUM": "2", "MPI_HOST": "w0.j,w1.j"}


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        ({}, {}, ("w0.j,w1.j", "MPI_HOST")),
        ({"host": "w2"}, {}, ("w2", "--host")),
        ({"hostfile": "/h"}, {}, (None, "--host")),
        ({}, {"MPIJOB_HOSTFILE": "/h"}, (None, "--host")),
    ],
    ids=["volcano", "--host", "--hostfile", "variable"],
)
def test_an_operators_list_of_hosts_yields_to_the_user(flags, environ, expected, make_settings):
    """Volcano's MPI_HOST names the hosts unless a flag or variable of ours does."""
    found = make_settings(VOLCANO | environ, **flags)
    assert expected == (found.host, found.host_source)
