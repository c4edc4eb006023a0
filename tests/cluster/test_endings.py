"""How jobs end: the code, the outcome and the name of what failed, on both Open MPIs."""

import json
import subprocess
import sys
import time

import pytest
from jobs import Job, RunningJob, run_job

pytestmark = pytest.mark.cluster

# Ends its own rank as the first argument says, one second after the start; others wait.
FAIL_ONE = (
    "import os, signal, sys, time\n"
    "time.sleep(0.5)\n"
    "if os.environ['RANK'] == '1':\n"
    "    exec(sys.argv[1])\n"
    "time.sleep(60)\n"
)
WAIT = ("sh", "-c", "echo up; sleep 60")

SIGNAL_ALL = (
    "import os, sys\n"
    "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
    "    try:\n"
    "        name = open(f'/proc/{pid}/comm').read().strip()\n"
    "    except OSError:\n"
    "        continue\n"
    "    if name in sys.argv[2:]:\n"
    "        os.kill(int(pid), int(sys.argv[1]))\n"
)


def signal_in(podman, pod, number, *names):
    """Send a signal to the processes of these names in a pod."""
    container = container_of(podman, pod)
    podman.run("exec", container, "/usr/bin/python3", "-c", SIGNAL_ALL, str(number), *names)


def container_of(podman, pod):
    """Return the container of a pod; a launcher's name ends in random letters."""
    names = podman.run("ps", "--format={{.Names}}", f"--filter=name={pod}").stdout.split()
    assert len(names) == 1, names
    return names[0]


def wait_until_gone(podman, pod, names):
    """Return which of these processes a pod still has after ten seconds."""
    container, deadline = container_of(podman, pod), time.monotonic() + 10
    while left := names & set(podman.run("top", container, "comm").stdout.split()):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.2)
    return set()


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("sys.exit(3)", 3, "exit code 3"),
        ("os.kill(os.getpid(), 9)", 137, "signal 9 (SIGKILL)"),
        ("os.kill(os.getpid(), 11)", 139, "signal 11 (SIGSEGV)"),
        ("raise ValueError(1)", 1, "exit code 1"),
    ],
    ids=["exit-3", "sigkill", "sigsegv", "exception"],
)
def test_the_first_failing_rank_is_named_and_its_code_passes(
    statement, code, words, image, tmp_path
):
    """Rank 1 ends badly: its code becomes the job's, its host and its end are told."""
    job = Job("ending", image, ("mpirun", "-n", "2", "python3", "-c", FAIL_ONE, statement))

    ended = run_job(job, tmp_path)

    assert ended.exit_code == code, ended.text
    assert f"rank 1 on ending-worker-1 failed first: {words}" in ended.text


@pytest.mark.parametrize(
    "command", [("mpirun", "-n", "2", "/no/such"), ("mpijob-runtime", "launch", "--", "nosuch")]
)
def test_a_missing_program_ends_with_127(command, image, tmp_path):
    """A program that is not there is told apart from one that fails."""
    ended = run_job(Job("missing", image, command), tmp_path)

    assert ended.exit_code == 127, ended.text
    assert "program not found" in ended.text


def test_more_ranks_than_slots_end_with_64_and_the_arithmetic(image, tmp_path):
    """Nothing starts if the ranks do not fit."""
    command = ("mpijob-runtime", "launch", "-n", "9", "--", "true")
    ended = run_job(Job("slots", image, command), tmp_path)

    assert ended.exit_code == 64, ended.text
    assert "2 hosts in /etc/mpi/hostfile have 1 + 1 = 2 slots" in ended.text


def test_a_host_that_never_comes_ends_with_69_and_its_reason(image, tmp_path):
    """The deadline holds, and each missing host has its reason."""
    job = Job(
        "never",
        image,
        ("mpijob-runtime", "launch", "--timeout", "3", "--", "true"),
        worker_command=("sleep", "60"),
    )
    ended = run_job(job, tmp_path)

    assert ended.exit_code == 69, ended.text
    assert "2 of 2 hosts not ready after 3." in ended.text
    assert "never-worker-0.never.default.svc: tcp: Connection refused" in ended.text


def test_a_lost_worker_is_named_and_worth_a_retry(podman, image, tmp_path):
    """Open MPI 5.0.11 ends with 0 when a worker is gone; we must not."""
    with RunningJob(Job("lost", image, ("mpirun", "-n", "2", *WAIT)), tmp_path) as job:
        job.wait_for("2 ranks started")
        podman.run("kill", "--signal=KILL", container_of(podman, "lost-worker-1"))
        ended = job.end()

    assert ended.exit_code == 75, ended.text
    assert "host lost-worker-1, which had rank 1, was lost" in ended.text


def test_a_preempted_launcher_ends_with_75_within_its_grace(podman, image, tmp_path):
    """SIGTERM reaches the ranks, which have time to save their work."""
    trap = "trap 'echo saved; exit 0' TERM; sleep 60 & wait"
    job = Job("preempted", image, ("mpirun", "-n", "2", "sh", "-c", trap))
    with RunningJob(job, tmp_path) as running:
        running.wait_for("2 ranks started")
        podman.run("kill", "--signal=TERM", container_of(podman, "preempted-launcher"))
        ended = running.end()

    assert ended.exit_code == 75, ended.text
    assert "preempted: the launcher got SIGTERM" in ended.text


def test_nothing_outlives_a_killed_mpirun(podman, image, tmp_path):
    """Without mpirun no daemon, rank or ssh stays in the launcher or the workers."""
    command = ("mpirun", "-n", "2", *WAIT)
    job = Job("killed", image, command, clean_pod_policy="None")
    with RunningJob(job, tmp_path, "--keep") as running:
        try:
            running.wait_for("2 ranks started")
            signal_in(podman, "killed-launcher", 9, "mpirun", "prterun")
            ended = running.end()
            left = wait_until_gone(podman, "killed-worker-1", {"orted", "prted", "sleep", "rank"})
        finally:
            subprocess.run((sys.executable, "-m", "mpijob_local", "down", "killed"), check=True)

    assert ended.exit_code == 137, ended.text
    assert not left


def test_the_report_says_it_all(image, tmp_path):
    """--report has the keys that programs rely on."""
    script = (
        "mpijob-runtime launch --report /tmp/r.json -- sh -c 'exit $RANK'; "
        "echo code $?; cat /tmp/r.json"
    )
    ended = run_job(Job("report", image, ("sh", "-c", script)), tmp_path, "--quiet")

    first, _, rest = ended.stdout.partition("\n")
    report = json.loads(rest)
    assert first == "code 1"
    assert report["outcome"] == "failed"
    assert report["first_failure"]["rank"] == 1
    assert report["first_failure"]["host"] == "report-worker-1.report.default.svc"
    assert report["spread"] == "proved"
    assert report["ranks_started"] == report["world_size"] == 2
    assert set(report["phases_seconds"]) == {"wait", "start", "run"}


def test_a_launcher_can_be_a_worker_too(image, tmp_path):
    """With runLauncherAsWorker the first ranks run beside mpirun, on both Open MPIs."""
    echo = 'echo "rank $RANK local $LOCAL_RANK of $LOCAL_WORLD_SIZE on $(hostname) by $MASTER_ADDR"'
    job = Job(
        "both",
        image,
        ("mpijob-runtime", "launch", "--", "sh", "-c", echo),
        slots=2,
        launcher_as_worker=True,
    )
    ended = run_job(job, tmp_path)

    assert ended.exit_code == 0, ended.text
    hosts = ["both-launcher"] * 2 + ["both-worker-0"] * 2 + ["both-worker-1"] * 2
    for rank, host in enumerate(hosts):
        line = f"rank {rank} local {rank % 2} of 2 on {host} by both-launcher.both.default.svc"
        assert line in ended.stdout


def test_the_environment_of_the_pods_reaches_the_ranks_unchanged(image, tmp_path):
    """The worker's variables and --env arrive with newlines, quotes and unicode."""
    value = "a 'b' \"c\", d;\nü=1"
    script = "import os; print(ascii([os.environ[n] for n in ('OF_THE_POD', 'OF_THE_FLAG')]))"
    flag = f"OF_THE_FLAG={value}"
    launch = ("mpijob-runtime", "launch", "--output", "plain", "--env", flag)
    command = (*launch, "--", "python3", "-c", script)
    ended = run_job(Job("environ", image, command, env={"OF_THE_POD": value}), tmp_path, "--quiet")

    assert ended.exit_code == 0, ended.text
    assert ended.stdout.splitlines() == [ascii([value, value])] * 2
