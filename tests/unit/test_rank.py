import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mpijob_runtime.rank import find_program, rank_environ, read_container_environ
from mpijob_runtime.records import parse_record

RANK_3 = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_MPIJOB_MASTER_ADDR": "w0.job.svc",
    "OMPI_MPIJOB_MASTER_PORT": "29500",
    "OMPI_MPIJOB_ATTEMPT": "1-a",
}
TORCH = {
    "RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "w0.job.svc",
    "MASTER_PORT": "29500",
}


def test_torchs_variables_come_from_open_mpis():
    """torch.distributed finds what it needs."""
    assert TORCH.items() <= rank_environ(RANK_3, {}).items()


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("where", ["session", "container", "--env"])
def test_a_variable_of_the_user_is_never_overridden(name, where):
    """Whoever set RANK or MASTER_ADDR meant it."""
    session, container = dict(RANK_3), {}
    if where == "session":
        session[name] = "mine"
    elif where == "container":
        container[name] = "mine"
    else:
        session[f"OMPI_MPIJOB_ENV_{name}"] = "mine"
    assert rank_environ(session, container)[name] == "mine"


def test_without_open_mpi_there_are_no_torch_variables():
    """A gap that nothing can fill stays one."""
    assert rank_environ({}, {}).keys() == {"MPIJOB_INSIDE"}


def test_the_containers_variables_reach_the_rank():
    """What the pod's spec sets on a worker is there, newlines included."""
    found = rank_environ(RANK_3, {"DATA": "line 1\nline 2", "HF_TOKEN": "x"})
    assert (found["DATA"], found["HF_TOKEN"]) == ("line 1\nline 2", "x")


def test_the_session_lies_over_the_container_and_env_over_both():
    """The strongest word is --env, the weakest the container's."""
    session = RANK_3 | {"A": "session", "B": "session", "OMPI_MPIJOB_ENV_B": "env"}
    found = rank_environ(session, {"A": "container", "B": "container", "C": "container"})
    assert (found["A"], found["B"], found["C"]) == ("session", "env", "container")


@pytest.mark.parametrize("name", ["SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY"])
def test_the_ssh_session_does_not_show(name):
    """Programs must not think that they run in somebody's login."""
    assert name not in rank_environ({name: "x"}, {})


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "SHLVL", "_"])
def test_the_containers_shell_does_not_show(name):
    """Where the container's start happened to be is not where the rank is."""
    assert name not in rank_environ({}, {name: "x"})


def test_a_rank_knows_that_it_is_inside():
    """A shim inside a rank is the plain program."""
    assert rank_environ({}, {})["MPIJOB_INSIDE"] == "1"


def test_the_containers_environment_is_read_from_the_worker(tmp_path):
    """The supervisor's own environment, by the pid that it left, byte for byte."""
    environ = {"A": "line 1\nline 2", "B": "x=y", "C": "\udcff"}
    with subprocess.Popen(["/bin/sleep", "20"], env=environ) as worker:
        (tmp_path / "worker.pid").write_text(str(worker.pid))
        found = read_container_environ(str(tmp_path))
        worker.kill()
    assert environ == found


@pytest.mark.parametrize("text", [None, "", "x", "999999999"])
def test_without_a_worker_there_is_no_container_environment(text, tmp_path):
    """On the launcher, or with a stale file, there is nothing to add."""
    if text is not None:
        (tmp_path / "worker.pid").write_text(text)
    assert read_container_environ(str(tmp_path)) == {}


@pytest.fixture
def places(tmp_path):
    """Return a PATH of two directories: a has a script that cannot run, b one that can."""
    for place, mode in (("a", 0o644), ("b", 0o755)):
        (tmp_path / place).mkdir()
        script = tmp_path / place / "tool"
        script.write_text("#!/bin/sh\n")
        script.chmod(mode)
    (tmp_path / "a" / "folder").mkdir()
    return f"{tmp_path}/missing:{tmp_path}/a:{tmp_path}/b"


def test_a_program_is_searched_on_path(places, tmp_path):
    """As execvp does: what cannot run does not hide what can."""
    assert find_program("tool", places) == f"{tmp_path}/b/tool"


@pytest.mark.parametrize("name", ["missing", "folder", "a/missing", "/nowhere/x"])
def test_a_program_that_is_not_there_is_nothing(name, places):
    """Neither a missing file nor a folder is a program."""
    assert find_program(name, places) is None


@pytest.mark.parametrize("name", ["/bin/sh", "./tool"])
def test_a_program_with_a_slash_is_not_searched(name, tmp_path, monkeypatch):
    """A path is taken as it is."""
    (tmp_path / "tool").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    assert find_program(name, "") == name


class Rank:
    """A wrapper around a program, in a process group of its own as daemons make them."""

    def __init__(self, environ, *argv, **options):
        self.run_dir = environ["MPIJOB_RUN_DIR"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mpijob_runtime.rank", *argv],
            env=environ,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def line(self):
        """Return the next line of the program's output."""
        return self.process.stdout.readline().strip()

    def end(self, stdin=None):
        """Wait for the end; return the code as subprocess has it, and stderr."""
        self.output, errors = self.process.communicate(stdin, timeout=20)
        return self.process.returncode, errors

    def records(self, attempt="1-a"):
        """Return the lines that the wrapper wrote."""
        with open(f"{self.run_dir}/attempts/{attempt}", encoding="utf-8") as file:
            return [json.loads(line) for line in file]


@pytest.fixture
def start_rank(bare_environ):
    """Return a function that starts a program as rank 3; what is left is killed at the end."""
    started = []

    def start(*argv, environ=None, **options):
        rank = Rank(bare_environ | RANK_3 | (environ or {}), *argv, **options)
        started.append(rank)
        return rank

    yield start
    for rank in started:
        if rank.process.poll() is None:
            os.killpg(rank.process.pid, signal.SIGKILL)
        rank.process.communicate(timeout=5)


def sh(script):
    """Return the argv of a shell script."""
    return ("sh", "-c", script)


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_an_exit_code_passes_through(code, start_rank):
    """The wrapper ends as its program ends, and records it."""
    rank = start_rank(*sh(f"exit {code}"))
    assert rank.end() == (code, "")
    start, end = rank.records()
    assert (start["event"], end["event"]) == ("start", "exit")
    assert (end["exit_code"], end["signal"]) == (code, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGINT])
def test_a_signals_death_is_mirrored(number, start_rank):
    """The daemon sees the very signal that ended the program, and the record has it."""
    rank = start_rank(*sh(f"kill -{number.value} $$"))
    assert rank.end() == (-number, "")
    end = rank.records()[1]
    assert (end["exit_code"], end["signal"]) == (None, number)


def test_records_say_who_where_and_when(start_rank):
    """Each record can be read by the launcher and has the program's pid and both clocks."""
    before = time.time()
    rank = start_rank(*sh("echo $$"))
    pid = int(rank.line())
    rank.end()
    start, end = rank.records()
    assert (start["rank"], start["world_size"], start["local_rank"]) == (3, 8, 1)
    assert start["host"] == os.uname().nodename
    assert start["pid"] == end["pid"] == pid
    assert before <= start["time"] <= end["time"] <= time.time()
    assert start["monotonic"] <= end["monotonic"]
    assert len(start["boot_id"]) == 36
    assert parse_record(json.dumps(start)).rank == 3
    assert parse_record(json.dumps(end)).event == "exit"


def test_ranks_of_one_host_share_a_file_without_mixing_lines(start_rank):
    """Appended lines stay whole."""
    ranks = [start_rank("true", environ={"OMPI_COMM_WORLD_RANK": str(n)}) for n in range(4)]
    for rank in ranks:
        rank.end()
    found = sorted((record["rank"], record["event"]) for record in ranks[0].records())
    expected = sorted((n, event) for n in range(4) for event in ("start", "exit"))
    assert expected == found


def test_the_record_is_private(start_rank):
    """Other users of a node learn nothing."""
    rank = start_rank("true")
    rank.end()
    assert os.stat(f"{rank.run_dir}/attempts/1-a").st_mode & 0o777 == 0o600
    assert os.stat(f"{rank.run_dir}/attempts").st_mode & 0o777 == 0o700


def test_a_record_that_cannot_be_written_does_not_hinder_the_rank(start_rank, tmp_path):
    """A full or read-only disk costs the record, not the job."""
    (tmp_path / "file").touch()
    rank = start_rank(*sh("exit 3"), environ={"MPIJOB_RUN_DIR": f"{tmp_path}/file"})
    code, errors = rank.end()
    assert code == 3
    assert "no record of rank 3" in errors


def test_a_program_that_is_missing_is_127_with_rank_and_host(start_rank):
    """The message has what was looked for, and who looked where."""
    rank = start_rank("no-such-program", "--x")
    code, errors = rank.end()
    host = os.uname().nodename
    assert code == 127
    assert errors == f"mpijob: rank 3 on {host}: program not found: no-such-program\n"
    assert rank.records()[-1]["exit_code"] == 127


def test_a_program_that_cannot_run_is_126(start_rank, tmp_path):
    """A file without the execute bit is there, and the message says what is wrong with it."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    rank = start_rank(str(script))
    code, errors = rank.end()
    assert code == 126
    assert f"rank 3 on {os.uname().nodename}: cannot run {script}: Permission denied" in errors


def test_without_a_program_the_wrapper_says_so(start_rank):
    """An empty command is a missing program."""
    code, errors = start_rank().end()
    assert code == 127
    assert "program not found: (none)" in errors


def test_the_program_sees_the_ranks_environment(start_rank):
    """The environment that is computed is the one that is given, arguments unchanged."""
    rank = start_rank(*sh('echo "$RANK $WORLD_SIZE $MASTER_ADDR $EPOCHS $1"'), "sh", "a  b;c",
                      environ={"OMPI_MPIJOB_ENV_EPOCHS": "90"})  # fmt: skip
    rank.end()
    assert rank.output == "3 8 w0.job.svc 90 a  b;c\n"


def test_path_of_the_container_finds_the_program(start_rank, tmp_path):
    """A program is found on the PATH that the rank itself will have."""
    script = tmp_path / "mytool"
    script.write_text("#!/bin/sh\nexit 5\n")
    script.chmod(0o755)
    rank = start_rank("mytool", environ={"OMPI_MPIJOB_ENV_PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert rank.end()[0] == 5


def test_stdin_passes_through(start_rank):
    """Rank 0 reads what mpirun is given."""
    rank = start_rank("cat", stdin=subprocess.PIPE)
    assert rank.end(stdin="a\nb\n") == (0, "")
    assert rank.output == "a\nb\n"


def test_the_end_of_stdout_is_seen_when_the_program_closes_it(start_rank):
    """The wrapper holds no end of the pipe open."""
    rank = start_rank(*sh("echo last; exec >&-; exec sleep 20"))
    began = time.monotonic()
    assert rank.line() == "last"
    assert rank.process.stdout.read() == ""
    assert time.monotonic() - began < 5


def test_sigterm_to_the_group_reaches_the_program_and_not_the_wrapper(start_rank):
    """The program ends in its own way; the wrapper waits and records its code."""
    script = "trap 'sleep 0.2; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    rank = start_rank(*sh(script))
    assert rank.line() == "ready"
    os.killpg(rank.process.pid, signal.SIGTERM)
    assert rank.end()[0] == 9
    assert rank.records()[1]["exit_code"] == 9


STANDARD = (1 << 31) - 1  # 32 and 33 are the C library's own; GNU make leaves them ignored


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGQUIT])
def test_signals_to_the_group_do_not_end_the_wrapper(number, start_rank):
    """What a program handles, its wrapper survives."""
    name = number.name.removeprefix("SIG")
    rank = start_rank(*sh(f"trap 'exit 8' {name}; echo ready; while :; do sleep 0.05; done"))
    rank.line()
    os.killpg(rank.process.pid, number)
    assert rank.end()[0] == 8


def test_the_program_gets_the_usual_signal_dispositions(start_rank):
    """Neither the wrapper's ignored signals nor Python's SIGPIPE are inherited."""
    rank = start_rank("/bin/grep", "-E", "^(SigIgn|SigBlk)", "/proc/self/status")
    rank.end()
    masks = [int(line.split()[1], 16) & STANDARD for line in rank.output.splitlines()]
    assert masks == [0, 0]


def test_an_ignored_signal_stays_ignored_for_the_program(bare_environ):
    """Nohup's wish is kept: the daemon's SIG_IGN is passed on."""
    python = f"exec {sys.executable} -m mpijob_runtime.rank grep SigIgn /proc/self/status"
    answer = subprocess.run(
        ["/bin/sh", "-c", f"trap '' HUP; {python}"],
        env=bare_environ | RANK_3,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(answer.stdout.split()[1], 16) & STANDARD == 1 << (signal.SIGHUP - 1)


def test_the_program_dies_with_its_wrapper(start_rank, is_alive):
    """When a daemon kills the wrapper, no rank goes on computing."""
    rank = start_rank(*sh("echo $$; exec sleep 30"))
    pid = int(rank.line())
    rank.process.kill()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_the_wrapper_dies_with_its_daemon(bare_environ, is_alive):
    """When mpirun is killed, wrapper and program both end."""
    wrapper = f"{sys.executable} -m mpijob_runtime.rank sh -c 'echo $PPID; exec sleep 30'"
    with subprocess.Popen(
        ["/bin/sh", "-c", f"{wrapper}; :"],
        env=bare_environ | RANK_3,
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        pid = int(daemon.stdout.readline())
        daemon.kill()
        deadline = time.monotonic() + 5
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_alive(pid)


def test_the_wrapper_imports_nothing_heavy():
    """Every rank pays for each module before its program starts."""
    script = "import sys; import mpijob_runtime.rank; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-IS", "-c", f"import sys; sys.path[:0] = ['.']; {script}"],
        cwd=os.path.join(os.path.dirname(__file__), "..", ".."),
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"typing", "collections.abc", "json", "re", "subprocess", "dataclasses", "logging"}
    assert not heavy & set(answer.stdout.split())
    assert "mpijob_runtime.rank" in answer.stdout.split()
