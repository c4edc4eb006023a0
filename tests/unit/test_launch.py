import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.launch import read_hosts
from mpijob_runtime.processes import descendants, name_of

HOST = socket.gethostname()


class Launch:
    """A launcher in a process of its own, as a pod has it."""

    def __init__(self, environ, *argv, code=None):
        self.directory = environ["HOME"]
        start = ("-c", code) if code else ("-m", "mpijob_runtime")
        self.process = subprocess.Popen(
            [sys.executable, *start, "launch", "--report", "report.json", *argv],
            env=environ,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self):
        """Wait for the end and return the exit code."""
        self.stdout, self.stderr = self.process.communicate(timeout=30)
        return self.process.returncode

    @property
    def report(self):
        """The outcome as JSON."""
        with open(f"{self.directory}/report.json", encoding="utf-8") as file:
            return json.load(file)


@pytest.fixture
def launch(local_mpi):
    """Return a function that starts a launcher; what is left is killed at the end."""
    started = []

    def start(*argv, environ=None, code=None):
        started.append(Launch(local_mpi | (environ or {}), *argv, code=code))
        return started[-1]

    yield start
    for launched in started:
        for pid in (*descendants(launched.process.pid), launched.process.pid):
            if launched.process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        launched.process.communicate(timeout=5)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", HOST])
def test_a_local_job_succeeds_under_each_name_of_this_machine(host, launch):
    """--host localhost:2 runs two ranks here, with torch's variables, and reports them."""
    script = 'echo "$RANK of $WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT $EPOCHS"'
    job = launch("--host", f"{host}:2", "--env", "EPOCHS=90", "--", "sh", "-c", script)
    assert job.end() == 0, job.stderr
    here = host if host[0].isdigit() else host.split(".")[0]
    expected = [f"[{rank} {here}] {rank} of 2 at {host}:29500 90" for rank in (0, 1)]
    assert expected == sorted(job.stdout.splitlines())
    report = job.report
    assert (report["outcome"], report["exit_code"], report["ranks_started"]) == ("succeeded", 0, 2)
    assert report["hosts"] == [{"name": host, "ranks": [0, 1]}]
    assert report["spread"] == "proved"
    assert set(report["phases_seconds"]) == {"wait", "start", "run"}


def test_stdout_is_the_ranks_alone(launch):
    """Everything of ours goes to stderr."""
    job = launch("--host", "localhost", "--output", "plain", "--", "printf", "x")
    job.end()
    assert job.stdout == "x"
    assert "succeeded" in job.stderr


def test_a_failing_rank_is_named_and_its_code_passes_through(launch, tmp_path):
    """Report, termination log and exit code agree on who failed and how."""
    (tmp_path / "termination-log").touch()
    script = "if [ $RANK = 1 ]; then exit 7; fi; sleep 0.1"
    job = launch("--host", "localhost:3", "--", "sh", "-c", script)
    assert job.end() == 7
    failure = job.report["first_failure"]
    assert (failure["rank"], failure["host"], failure["exit_code"]) == (1, "localhost", 7)
    words = "failed: rank 1 on localhost failed first: exit code 7"
    assert (tmp_path / "termination-log").read_text().startswith(words)
    assert words in job.stderr


def test_a_killed_rank_has_its_signal(launch):
    """A crash is 128 + n and named."""
    job = launch("--host", "localhost:2", "--", "sh", "-c", "[ $RANK = 0 ] || kill -SEGV $$")
    assert job.end() == 139
    assert job.report["first_failure"]["signal"] == signal.SIGSEGV


def test_a_missing_program_is_127(launch):
    """A typo in the program's name is said as such, with rank and host, before anything runs."""
    job = launch("--host", "localhost:2", "--", "no-such-program")
    assert job.end() == 127
    report = job.report
    assert report["outcome"] == "not_started"
    assert report["reason"].startswith("program not found: rank ")
    assert "localhost" in report["reason"]


def test_ranks_outside_the_plan_are_76(launch, local_mpi):
    """Mpirun put its ranks elsewhere: no program runs at all, and that is no success."""
    agent = f"{local_mpi['PATH'].split(':')[0]}/agent"
    with open(agent, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nOMPI_COMM_WORLD_SIZE=3 exec {os.path.dirname(agent)}/rank "$@"\n')
    os.chmod(agent, 0o755)
    mpirun = f"{os.path.dirname(agent)}/mpirun"
    with open(mpirun, encoding="utf-8") as file:
        text = file.read().replace("n=$2", "n=3")
    with open(mpirun, "w", encoding="utf-8") as file:
        file.write(text)
    ran = os.path.dirname(agent) + "/ran"
    job = launch("--host", "localhost:2", "--", "touch", ran)
    assert job.end() == 76
    assert (job.report["outcome"], job.report["spread"]) == ("failed", "disproved")
    assert "localhost: planned at most 2" in job.report["reason"]
    assert not os.path.exists(ran)


def test_nothing_starts_with_n_beyond_the_slots(launch, tmp_path):
    """64 before anything runs, with the report saying not_started."""
    job = launch("-n", "3", "--host", "localhost:2", "--", "touch", str(tmp_path / "ran"))
    assert job.end() == 64
    assert job.report["outcome"] == "not_started"
    assert "2 = 2 slots" in job.report["reason"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("variable", "implementation"),
    [("HYDRA_HOST_FILE", "MPICH"), ("I_MPI_HYDRA_HOST_FILE", "Intel")],
)
def test_a_job_for_another_mpi_is_78(variable, implementation, make_settings, tmp_path):
    """Its hostfile has another form: the error is the MPI, not the file's first line."""
    hostfile = tmp_path / "hostfile"
    hostfile.write_text("w0.job:2\n")
    environ = {"K_MPI_JOB_ROLE": "launcher", variable: str(hostfile)}
    with pytest.raises(
        ConfigurationError, match=f"found {implementation}, wanted OpenMPI"
    ) as caught:
        read_hosts(make_settings(environ))
    assert "mpiImplementation: OpenMPI or leave it out" in caught.value.remedy
    assert read_hosts(make_settings(environ, host="w0:2")).world_size == 2


def test_a_mpirun_that_cannot_be_executed_is_78(launch, tmp_path):
    """A file that answers --version once and is gone, or cannot run, is a configuration error."""
    broken = tmp_path / "mpirun"
    broken.write_text(f"#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\nrm {broken}\n")
    broken.chmod(0o755)
    job = launch("--host", "localhost", "--", "true", environ={"MPIJOB_MPIRUN": str(broken)})
    assert job.end() == 78
    assert job.report["outcome"] == "not_started"


def wait_for(predicate, seconds=10):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not predicate() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert predicate()


@pytest.mark.parametrize(
    ("number", "outcome", "code"),
    [(signal.SIGTERM, "preempted", 75), (signal.SIGINT, "failed", 130)],
)
def test_an_ending_signal_while_the_job_runs(number, outcome, code, launch, tmp_path, is_alive):
    """Ranks get the signal and end; the outcome says that it came from outside."""
    script = f"echo $$ > {tmp_path}/pid.$RANK; exec sleep 30"
    job = launch("--host", "localhost:2", "--grace", "1", "--", "sh", "-c", script)
    files = [tmp_path / f"pid.{rank}" for rank in (0, 1)]
    wait_for(lambda: all(file.exists() and file.read_text().strip() for file in files))
    job.process.send_signal(number)
    assert job.end() == code, job.stderr
    assert (job.report["outcome"], job.report["exit_code"]) == (outcome, code)
    assert not any(is_alive(int(file.read_text())) for file in files)


def test_an_ending_signal_while_waiting_for_hosts(launch, tmp_path):
    """Before mpirun starts, SIGTERM ends the wait at once and the report says so."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", tmp_path / "id_rsa"],
        check=True,
    )
    environ = {"MPIJOB_SSH_DIR": str(tmp_path), "MPIJOB_SSH_PORT": "1"}
    job = launch("--host", "127.0.0.2", "--", "true", environ=environ)
    line = job.process.stderr.readline()
    while "not ready" not in line:
        line = job.process.stderr.readline()
    assert "127.0.0.2: not ready: tcp: Connection refused" in line
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 75
    assert "SIGTERM before the job started" in job.report["reason"]


def test_a_host_that_never_comes_is_69_with_its_reason(launch, tmp_path):
    """Within the deadline, by name, with why, and nothing started."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", tmp_path / "id_rsa"],
        check=True,
    )
    environ = {"MPIJOB_SSH_DIR": str(tmp_path), "MPIJOB_SSH_PORT": "1"}
    argv = ("--timeout", "0.3", "--host", "127.0.0.2,127.0.0.3", "--", "true")
    job = launch(*argv, environ=environ)
    assert job.end() == 69
    assert job.report["outcome"] == "not_started"
    assert "127.0.0.3: tcp: Connection refused" in job.report["reason"]


def test_no_key_for_remote_hosts_is_78(launch, tmp_path):
    """Without the job's key no host can be reached."""
    environ = {"MPIJOB_SSH_DIR": str(tmp_path / "empty")}
    job = launch("--host", "127.0.0.2", "--", "true", environ=environ)
    assert job.end() == 78
    assert "no ssh key" in job.report["reason"]


def test_a_signal_while_the_outcome_is_written_does_not_lose_it(launch, tmp_path):
    """A second SIGTERM at the very end must not cost the report."""
    fifo, log = tmp_path / "fifo", tmp_path / "termination-log"
    os.mkfifo(fifo)
    log.touch()
    job = launch("--report", str(fifo), "--host", "localhost", "--", "true")
    wait_for(log.read_text)  # it is written before the report
    job.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert job.process.poll() is None
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        assert job.end() == 0
        assert json.load(file)["outcome"] == "succeeded"


def test_json_logs_are_one_object_a_line(launch):
    """With MPIJOB_LOG_FORMAT=json every line of ours on stderr is an object."""
    environ = {"MPIJOB_LOG_FORMAT": "json"}
    job = launch("--host", "localhost", "--", "true", environ=environ)
    assert job.end() == 0
    records = [json.loads(line) for line in job.stderr.splitlines()]
    assert records[-1]["outcome"] == "succeeded"


@pytest.mark.parametrize(("flag", "lines"), [("-q", 0), ("-v", 2)])
def test_quiet_and_verbose(flag, lines, launch):
    """-q leaves only warnings and errors, -v at least the usual lines."""
    job = launch(flag, "--host", "localhost", "--", "true")
    assert job.end() == 0
    assert (len(job.stderr.splitlines()) >= lines) if lines else job.stderr == ""


def test_private_files_stay_private(launch, tmp_path):
    """The run directory holds the hostfile and the ssh configuration, for its owner alone."""
    assert launch("--host", "localhost", "--", "true").end() == 0
    run = tmp_path / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    (hostfile,) = run.glob("hostfile-*")
    assert hostfile.read_text() == "localhost slots=1\n"
    assert (run / "ssh_config").stat().st_mode & 0o777 == 0o600


def test_a_mpirun_that_starts_no_rank_is_ended_by_the_deadline(launch, tmp_path):
    """Open MPI 5 may hang before the first rank and then ignores SIGTERM: 75, not for ever."""
    hung = tmp_path / "mpirun"
    hung.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'mpirun (Open MPI) 5.0.11' && exit\n"
        "trap '' TERM\nwhile :; do sleep 0.1; done\n"
    )
    hung.chmod(0o755)
    environ = {"MPIJOB_MPIRUN": str(hung), "MPIJOB_START_TIMEOUT": "0.5", "MPIJOB_GRACE": "0.5"}
    job = launch("--host", "localhost", "--", "true", environ=environ)
    assert job.end() == 75
    assert job.report["reason"] == "mpirun hung: no rank started"


SAVES = """
import os, signal, sys, time
def save(*_):
    time.sleep(0.3)
    open(f"{sys.argv[1]}/saved.{os.environ['RANK']}", "w").close()
    sys.exit(0)
signal.signal(signal.SIGUSR1, save)
open(f"{sys.argv[1]}/up.{os.environ['RANK']}", "w").close()
while True:
    time.sleep(0.05)
"""


def test_a_preempted_job_saves_within_its_grace(launch, tmp_path):
    """SIGTERM to the launcher: SIGUSR1 to who handles it, and all ranks have the time to save."""
    job = launch("--host", "localhost:2", "--", sys.executable, "-c", SAVES, str(tmp_path))
    wait_for(lambda: all((tmp_path / f"up.{rank}").exists() for rank in (0, 1)))
    began = time.monotonic()
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 75
    assert time.monotonic() - began < 10
    assert job.report["outcome"] == "preempted"
    assert all((tmp_path / f"saved.{rank}").exists() for rank in (0, 1))


POLLS = """
while [ ! -e "$MPIJOB_PREEMPTION_FILE" ]; do : > $0/up.$RANK; sleep 0.05; done
: > $0/saved.$RANK
"""


def test_a_program_may_poll_for_its_end(launch, tmp_path):
    """The file that MPIJOB_PREEMPTION_FILE names is there once the job is to end."""
    script = f"trap '' TERM; {POLLS}"
    job = launch("--host", "localhost:2", "--grace", "5", "--", "sh", "-c", script, str(tmp_path))
    wait_for(lambda: all((tmp_path / f"up.{rank}").exists() for rank in (0, 1)))
    job.process.send_signal(signal.SIGTERM)
    assert job.end() == 75
    assert all((tmp_path / f"saved.{rank}").exists() for rank in (0, 1))


def test_a_second_interrupt_ends_at_once(launch, local_mpi, tmp_path, is_alive):
    """Ctrl-C twice: 130 without waiting for a grace, and nothing is left."""
    mpirun = f"{local_mpi['PATH'].split(':')[0]}/mpirun"
    with open(mpirun, encoding="utf-8") as file:
        text = file.read().replace("trap 'kill $pids' TERM", "trap '' TERM INT")
    with open(mpirun, "w", encoding="utf-8") as file:
        file.write(text)
    script = f"trap '' INT TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    job = launch("--host", "localhost", "--grace", "60", "--", "sh", "-c", script)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    began = time.monotonic()
    job.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert job.process.poll() is None
    job.process.send_signal(signal.SIGINT)
    assert job.end() == 130
    assert time.monotonic() - began < 15
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_lines_of_ranks_are_not_mixed(launch):
    """Ranks that write in halves, at one time, give whole lines each with its own prefix."""
    script = 'i=0; while [ $i -lt 20 ]; do printf "a$RANK"; printf "b\\n"; i=$((i + 1)); done'
    job = launch("--host", "localhost:3", "--", "sh", "-c", script)
    assert job.end() == 0, job.stderr
    lines = job.stdout.splitlines()
    expected = {f"[{rank} localhost] a{rank}b" for rank in range(3)}
    assert set(lines) == expected
    assert len(lines) == 60, job.stderr + job.stdout


def test_each_rank_has_its_log_file(launch, tmp_path):
    """--log-dir holds both streams of each rank, without prefixes, and each start by itself."""
    argv = ("--log-dir", str(tmp_path / "logs"), "--host", "localhost:2")
    for _ in range(2):
        job = launch(*argv, "--", "sh", "-c", "echo out $RANK; sleep 0.1; echo err >&2")
        assert job.end() == 0, job.stderr
        last = max((tmp_path / "logs").iterdir())
        assert f"the ranks' logs: {last}" in job.stderr
    for start in (tmp_path / "logs").iterdir():
        found = {path.name: path.read_text() for path in start.iterdir()}
        assert found == {f"rank-{rank}.log": f"out {rank}\nerr\n" for rank in (0, 1)}
    assert len(list((tmp_path / "logs").iterdir())) == 2


def test_ranks_of_a_killed_launcher_end_within_the_grace(launch, tmp_path, is_alive):
    """SIGKILL to the launcher: the host's agent ends what it has left, deaf or not."""
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid.$RANK; while :; do sleep 0.05; done"
    job = launch("--host", "localhost:2", "--grace", "1", "--", "sh", "-c", script)
    files = [tmp_path / f"pid.{rank}" for rank in (0, 1)]
    wait_for(lambda: all(file.exists() and file.read_text().strip() for file in files))
    left = descendants(job.process.pid)
    job.process.kill()
    began = time.monotonic()
    wait_for(lambda: not any(is_alive(int(file.read_text())) for file in files), seconds=8)
    assert time.monotonic() - began < 5
    wait_for(lambda: not any(map(is_alive, left)))
    job.end()


def test_without_the_wrapper_a_success_is_unproved(launch):
    """MPIJOB_RANK_WRAPPER= is respected; that nothing tells where ranks are is said."""
    job = launch("--host", "localhost:2", "--", "true", environ={"MPIJOB_RANK_WRAPPER": ""})
    assert job.end() == 0, job.stderr
    assert "warning: where the ranks will be is unproved" in job.stderr
    assert job.report["outcome"] == "succeeded"
    assert job.report["spread"].startswith("unproved: MPIJOB_RANK_WRAPPER")


RAISES = """
import os, time
if os.environ["RANK"] == "1":
    raise ValueError("bad batch")
time.sleep(0.5)
"""


def test_the_exception_of_the_first_failure_is_the_reason(launch):
    """The last words of the rank that failed are in the report."""
    job = launch("--host", "localhost:2", "--", sys.executable, "-c", RAISES)
    assert job.end() != 0
    failure = job.report["first_failure"]
    assert failure["rank"] == 1
    assert "ValueError: bad batch" in failure["cause"]


def test_ranks_that_differ_are_said(launch, local_mpi):
    """A variable that one rank alone has is shown before the start."""
    place = local_mpi["PATH"].split(":")[0]
    with open(f"{place}/rank", encoding="utf-8") as file:
        text = file.read()
    with open(f"{place}/rank", "w", encoding="utf-8") as file:
        file.write(text.replace("exec", "NCCL_X=$OMPI_COMM_WORLD_RANK exec"))
    job = launch("--host", "localhost:2", "--", "true")
    assert job.end() == 0, job.stderr
    assert "ranks differ" in job.stderr
    assert "NCCL_X" in job.stderr


def test_a_stalled_job_is_ended_with_its_stacks(launch):
    """Nothing moves for --stall-timeout: 75, and what the ranks were doing."""
    job = launch("--host", "localhost:2", "--stall-timeout", "0.6", "--", "sleep", "60")
    assert job.end() == 75, job.stderr
    assert "the job makes no progress" in job.report["reason"]
    assert "ranks 0-1" in job.report["reason"]


def test_a_log_directory_that_cannot_be_made_is_78(launch, tmp_path):
    """The flag is named, and nothing has started."""
    (tmp_path / "file").touch()
    job = launch("--host", "localhost", "--log-dir", f"{tmp_path}/file/logs", "--", "true")
    assert job.end() == 78
    assert "--log-dir" in job.report["reason"]
    assert job.report["ranks_started"] == 0


IMPATIENT = """
import sys
from mpijob_runtime import preemption, watch
from mpijob_runtime.cli import main
preemption._LEAVE_SECONDS = watch._FINISH_SECONDS = watch._CLOSE_SECONDS = 0.5
sys.exit(main())
"""


def test_an_own_agent_that_hangs_does_not_hold_the_launcher(launch, is_alive):
    """SIGSTOP to it: SIGTERM still ends the job, with an outcome, and leaves nothing behind."""
    options = ("--grace", "1", "--host", "localhost:2")
    job = launch(*options, "--", "sh", "-c", "echo up; exec sleep 60", code=IMPATIENT)
    assert {job.process.stdout.readline() for _ in range(2)} == {
        f"[{rank} localhost] up\n" for rank in (0, 1)
    }
    below = descendants(job.process.pid)
    (agent,) = [pid for pid in below if name_of(pid) == "mpijob-agent"]
    os.kill(agent, signal.SIGSTOP)
    began = time.monotonic()
    job.process.terminate()
    assert job.end() == 75, job.stderr
    assert time.monotonic() - began < 15
    assert job.report["outcome"] == "preempted"
    assert not any(map(is_alive, below))
