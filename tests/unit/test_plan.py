import json

import pytest

from mpijob_runtime.cli.plan import format_plan
from mpijob_runtime.errors import ConfigurationError, UsageError
from mpijob_runtime.hosts import Host, Hostfile, parse_hostfile
from mpijob_runtime.plan import is_local, plan_launch

PROGRAM = ("python", "train.py", "--name", "two words")
WORKERS = b"pi-worker-0.pi.default.svc slots=2\npi-worker-1.pi.default.svc slots=2\n"
OPERATOR = {
    "K_MPI_JOB_ROLE": "launcher",
    "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
    "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
    "OMPI_MCA_btl": "self,tcp",
    "STORE": "https://me:hunter2@store",
    "WANDB_API_KEY": "hunter2",
}


@pytest.fixture
def make_plan(make_settings, make_facts):
    """Return a planner for a hostfile's text, with an environment, flags and facts."""

    def build(
        data=WORKERS, *, environ=OPERATOR, flags=None, verbatim=False, program=PROGRAM, **facts
    ):
        return plan_launch(
            make_settings(environ, **(flags or {})),
            make_facts(**facts),
            parse_hostfile(data, path="/etc/mpi/hostfile"),
            program=program,
            run_dir="/dev/shm/mpijob-1000",
            verbatim=verbatim,
        )

    return build


@pytest.mark.parametrize("version", ["4.1.4", "5.0.11"])
def test_the_whole_plan_is_as_recorded(version, make_plan, golden):
    """The plan of a typical operator's job, for each generation, is the golden one."""
    flags = {"ranks": 4, "env": ("EPOCHS=90", "STORE")}
    plan = make_plan(version=version, flags=flags)
    golden(f"plan-{version}.json", json.dumps(plan.to_json(), indent=2) + "\n")


def test_the_plan_for_people_is_a_shell_script(make_plan, golden):
    """The printed plan has hosts, each variable with its reason, and a command to paste."""
    plan = make_plan(flags={"env": ("STORE",)})
    golden("plan.txt", format_plan(plan) + "\n")


@pytest.mark.parametrize("as_text", [format_plan, lambda plan: json.dumps(plan.to_json())])
def test_secrets_do_not_appear_in_a_printed_plan(as_text, make_plan):
    """A password that --env carries is masked in both forms."""
    plan = make_plan(flags={"env": ("STORE",)})
    assert "hunter2" in plan.environ["OMPI_MPIJOB_ENV_STORE"].value
    assert "hunter2" not in as_text(plan)


def test_all_slots_are_taken_without_n(make_plan):
    """Without -n there is a rank for every slot."""
    assert make_plan().world_size == 4


@pytest.mark.parametrize("ranks", [1, 3, 4])
def test_n_up_to_the_slots_is_taken(ranks, make_plan):
    """-n gives the number of ranks."""
    plan = make_plan(flags={"ranks": ranks})
    assert plan.world_size == ranks
    assert plan.argv[1:3] == ("-n", str(ranks))


def test_n_beyond_the_slots_is_refused_with_the_arithmetic(make_plan):
    """-n above the sum of slots ends with 64, the slots of each host and their sum."""
    with pytest.raises(UsageError) as caught:
        make_plan(flags={"ranks": 5})
    expected = "-n 5: 2 hosts in /etc/mpi/hostfile have 2 + 2 = 4 slots"
    assert expected == caught.value.message
    assert caught.value.exit_code == 64


def test_the_arithmetic_of_many_hosts_is_cut(make_plan):
    """A thousand hosts do not fill the screen."""
    data = b"".join(b"w%d slots=1\n" % number for number in range(1000))
    with pytest.raises(UsageError, match=r"1 \+ … = 1000 slots") as caught:
        make_plan(data, flags={"ranks": 1001})
    assert len(caught.value.message) < 200


def test_verbatim_arguments_are_left_to_mpirun(make_plan):
    """The shims change nothing of a user's mpirun arguments, and do not guess their meaning."""
    plan = make_plan(verbatim=True)
    assert plan.argv == ("/usr/bin/mpirun", *PROGRAM)
    assert plan.world_size is None


def test_the_plan_writes_the_hosts_in_one_spelling(make_plan):
    """The hostfile for mpirun is normalised whatever the operator wrote."""
    plan = make_plan(b"# operator\nw0:2\nw1 cpu=3\n")
    hostfile = plan.files[0]
    assert (hostfile.path, hostfile.text) == (plan.paths.hostfile, "w0 slots=2\nw1 slots=3\n")


def test_no_mpi_is_refused_before_anything_starts(make_plan):
    """Without an MPI there is no plan."""
    with pytest.raises(ConfigurationError):
        make_plan(version=None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("pi-launcher", True),
        ("pi-launcher.pi.default.svc", True),
        ("pi-worker-0.pi.default.svc", False),
        ("pi-launcher-2", False),
    ],
)
def test_this_container_is_local_under_each_of_its_names(name, expected):
    """Only hosts other than this container need ssh."""
    assert expected == is_local(Host(name), "pi-launcher")


def test_remote_hosts_are_those_to_wait_for(make_plan):
    """runLauncherAsWorker: the launcher's own line needs no login."""
    plan = make_plan(b"pi-launcher.pi.default.svc\npi-worker-0.pi.default.svc\n")
    assert plan.remote == ("pi-worker-0.pi.default.svc",)


def test_json_has_the_keys_of_the_contract(make_plan):
    """The keys of plan --json are a stable contract."""
    data = make_plan().to_json()
    keys = ["mpi", "hosts", "world_size", "argv", "environ", "rank_environ", "binding"]
    assert list(data) == keys
    assert list(data["mpi"]) == ["name", "version"]
    assert data["hosts"][0] == {"name": "pi-worker-0.pi.default.svc", "slots": 2}
    assert all(set(v) == {"value", "source", "why"} for v in data["environ"].values())
    assert {v["source"] for v in data["environ"].values()} <= {
        "user",
        "operator",
        "probed",
        "default",
    }


def test_ranks_with_our_wrapper_are_recorded(make_plan):
    """The usual plan: nothing is unproved."""
    plan = make_plan()
    assert plan.unproved is None
    assert plan.recorded


UNPROVED = {
    "no wrapper": ({"wrapper": None}, {}, PROGRAM, "MPIJOB_RANK_WRAPPER names no executable"),
    "user's agent, 4": (
        {},
        {"OMPI_MCA_orte_fork_agent": "strace"},
        PROGRAM,
        "OMPI_MCA_orte_fork_agent was set by the user",
    ),
    "user's agent, 5": (
        {"version": "5.0.11"},
        {"PRTE_MCA_odls_base_exec_agent": "strace"},
        PROGRAM,
        "PRTE_MCA_odls_base_exec_agent was set by the user",
    ),
    "command line": (
        {},
        {},
        ("--mca", "orte_fork_agent", "strace", "./pi"),
        "orte_fork_agent is on mpirun's command line",
    ),
}


@pytest.mark.parametrize(
    ("facts", "environ", "program", "words"), UNPROVED.values(), ids=UNPROVED.keys()
)
def test_a_plan_without_our_wrapper_says_why_it_is_unproved(
    facts, environ, program, words, make_plan
):
    """Nothing will tell where the ranks are: said before the start, with the reason."""
    plan = make_plan(environ=OPERATOR | environ, program=program, verbatim=True, **facts)
    assert plan.unproved.startswith("unproved: ")
    assert words in plan.unproved
    assert not plan.recorded


def test_a_wrapper_of_the_other_generation_changes_nothing(make_plan):
    """Open MPI 4 does not read PRRTE's variable."""
    plan = make_plan(environ=OPERATOR | {"PRTE_MCA_odls_base_exec_agent": "strace"})
    assert plan.unproved is None


def test_planning_twice_gives_the_same_plan(make_plan):
    """A plan holds nothing of the moment: plan prints what launch runs."""
    assert make_plan() == make_plan()


def test_hosts_keep_their_source():
    """Where hosts come from stays with them for messages."""
    assert Hostfile((Host("a"),), "--host").source == "--host"


TRAINING_OPERATOR = {"OMPI_MCA_plm_rsh_agent": "/etc/mpi/kubexec.sh"}


def test_workers_without_sshd_are_refused_with_what_to_do(make_plan):
    """Under training-operator v1 Open MPI 5 would run all ranks in the launcher and end with 0."""
    with pytest.raises(ConfigurationError) as caught:
        make_plan(environ=TRAINING_OPERATOR)
    assert caught.value.exit_code == 78
    assert "training-operator v1: found workers that are reached by kubectl exec" in str(caught)
    assert "MPIJOB_SHIM=off" in caught.value.remedy


def test_a_local_run_needs_no_way_to_workers(make_plan):
    """``--host localhost`` works under any operator."""
    assert make_plan(b"localhost slots=2\n", environ=TRAINING_OPERATOR).world_size == 2


def test_mpirun_is_told_this_container_by_its_own_name(make_plan):
    """The long name may not resolve yet; the plan and MASTER_ADDR keep it for the others."""
    own = b"pi-launcher.pi slots=2\npi-node-0-0.pi slots=2\n"
    plan = make_plan(own)
    (text,) = (file.text for file in plan.files if file.path == plan.paths.hostfile)
    assert text == "pi-launcher slots=2\npi-node-0-0.pi slots=2\n"
    assert plan.hosts.hosts[0] == Host("pi-launcher.pi", 2)
    assert plan.environ["OMPI_MPIJOB_MASTER_ADDR"].value == "pi-launcher.pi"
    assert plan.remote == ("pi-node-0-0.pi",)
