import os
import re
import signal
import subprocess
import sys
import time

import pytest
from ranks import RANK_3, modules_with

from mpijob_runtime.rank import find_program, rank_environ, read_container_environ

TORCH = {
    "RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "w0.job.svc",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("session", "container", "expected"),
    [({}, {}, "launcher"), ({"A": "s"}, {}, "s"), ({}, {"A": "c"}, "c")],
)
def test_gaps_are_filled_from_the_launcher(session, container, expected):
    """What the launcher has besides reaches a rank only where nobody else has said anything."""
    found = rank_environ(session | {"OMPI_MPIJOB_GAP_A": "launcher"}, container)
    assert found["A"] == expected


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


def sh(script):
    """Return the argv of a shell script."""
    return ("sh", "-c", script)


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_an_exit_code_passes_through(code, start_rank):
    """The wrapper ends as its program ends, also on a host without an agent."""
    assert start_rank(*sh(f"exit {code}")).end() == (code, "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGINT])
def test_a_signals_death_is_mirrored(number, start_rank):
    """The daemon sees the very signal that ended the program."""
    assert start_rank(*sh(f"kill -{number.value} $$")).end() == (-number, "")


def test_a_run_directory_that_is_none_does_not_hinder_the_rank(start_rank, tmp_path):
    """Without an agent's socket the program runs at once."""
    (tmp_path / "file").touch()
    rank = start_rank(*sh("exit 3"), environ={"MPIJOB_RUN_DIR": f"{tmp_path}/file"})
    assert rank.end() == (3, "")


def test_a_program_that_is_missing_is_127_with_rank_and_host(start_rank):
    """The message has what was looked for, and who looked where."""
    rank = start_rank("no-such-program", "--x")
    code, errors = rank.end()
    host = os.uname().nodename
    assert code == 127
    assert errors == f"mpijob: rank 3 on {host}: program not found: no-such-program\n"


def test_a_program_that_cannot_run_is_126(start_rank, tmp_path):
    """A file without the execute bit is there, and the message says what is wrong with it."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    rank = start_rank(str(script))
    code, errors = rank.end()
    assert code == 126
    assert f"rank 3 on {os.uname().nodename}: cannot run {script}: Permission denied" in errors


def test_words_that_nobody_reads_do_not_change_the_code(start_rank, tmp_path):
    """A stderr that is closed at the other end: 126 it stays."""
    (tmp_path / "program").touch(mode=0o644)
    rank = start_rank(str(tmp_path / "program"))
    rank.process.stderr.close()
    assert rank.process.wait(10) == 126
    rank.process.stderr = None


WITHOUT_PROCESSES = """
import os
def fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = fork
from mpijob_runtime.rank import main
main()
"""


def test_a_limit_of_processes_is_said_as_such(start_rank):
    """126 and why, to the agent as well: no traceback, no wrapper that vanished."""
    code, errors = start_rank("true", code=WITHOUT_PROCESSES).end()
    host = os.uname().nodename
    assert code == 126
    reason = "Resource temporarily unavailable"
    assert re.fullmatch(rf"mpijob: rank 3 on {host}: cannot start \S+/true: {reason}\n", errors)


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


STANDARD = (1 << 31) - 1  # 32 and 33 are the C library's own; GNU make leaves them ignored
USR1 = 1 << (signal.SIGUSR1 - 1)


HANDLER = """
import signal, sys
signal.signal(int(sys.argv[1]), lambda *_: sys.exit(8))
print("ready", flush=True)
signal.sigtimedwait([], 20)
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGQUIT])
def test_signals_to_the_group_do_not_end_the_wrapper(number, start_rank):
    """What a program handles, its wrapper survives."""
    rank = start_rank(sys.executable, "-c", HANDLER, str(number.value))
    rank.line()
    os.killpg(rank.process.pid, number)
    assert rank.end()[0] == 8


@pytest.fixture
def nothing_ignored():
    """Take back what whoever started the tests in the background lets them ignore."""
    handlers = dict.fromkeys((signal.SIGQUIT, signal.SIGHUP), signal.SIG_DFL)
    handlers[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("nothing_ignored")
def test_the_program_gets_the_usual_signal_dispositions(start_rank):
    """Neither the wrapper's ignored signals nor Python's SIGPIPE are inherited.

    SIGUSR1 is: the first word of an ending job must not kill who does not know it.
    """
    rank = start_rank("/bin/grep", "-E", "^(SigIgn|SigBlk)", "/proc/self/status")
    rank.end()
    masks = [int(line.split()[1], 16) & STANDARD for line in rank.output.splitlines()]
    blocked, ignored = masks
    assert (blocked, ignored) == (0, USR1)


@pytest.mark.usefixtures("nothing_ignored")
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
    assert int(answer.stdout.split()[1], 16) & STANDARD == USR1 | 1 << (signal.SIGHUP - 1)


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
    found = modules_with("mpijob_runtime.rank")
    heavy = {"typing", "collections.abc", "json", "re", "subprocess", "dataclasses", "logging"}
    assert not heavy & found
    assert "mpijob_runtime.rank" in found


def test_the_program_waits_at_the_gate(start_rank, gate, hear, tmp_path):
    """Nothing of the program runs before the launcher knows all ranks."""
    rank = start_rank("touch", str(tmp_path / "ran"))
    wrapper = gate.accept()
    event, fields, descriptors = hear(wrapper)
    assert (event, fields["rank"], fields["world_size"]) == ("start", 3, 8)
    assert (fields["local_rank"], fields["found"]) == (1, 1)
    assert abs(fields["time"] - time.time()) < 10
    assert len(descriptors) == 2
    time.sleep(0.2)
    assert not (tmp_path / "ran").exists()
    wrapper.tell(b"go")
    event, fields, _ = hear(wrapper)
    assert (event, fields["pid"] > 0) == ("running", True)
    event, fields, _ = hear(wrapper)
    assert (event, fields["exit_code"]) == ("exit", 0)
    assert (tmp_path / "ran").exists()
    assert rank.end() == (0, "")


def test_a_launcher_that_is_gone_before_the_start_ends_the_rank(start_rank, gate, hear, tmp_path):
    """75, and the program has not run."""
    rank = start_rank("touch", str(tmp_path / "ran"))
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.close()
    assert rank.end() == (75, "mpijob: this host's agent is gone, and with it the launcher\n")
    assert not (tmp_path / "ran").exists()


def test_a_signals_death_is_told(start_rank, gate, hear):
    """The launcher learns the signal, and what the memory limit killed meanwhile."""
    rank = start_rank(*sh("kill -SEGV $$"))
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.tell(b"go")
    hear(wrapper)
    event, fields, _ = hear(wrapper)
    assert (event, fields["signal"], fields["oom_kills"]) == ("exit", signal.SIGSEGV, 0)
    assert rank.end()[0] == -signal.SIGSEGV


def test_a_missing_program_waits_at_the_gate_too(start_rank, gate, hear):
    """The launcher is told before any rank runs; the message goes where the program's would."""
    rank = start_rank("no-such-program")
    wrapper = gate.accept()
    _, fields, (_, errors) = hear(wrapper)
    assert fields["found"] == 0
    wrapper.tell(b"go")
    event, fields, _ = hear(wrapper)
    assert (event, fields["exit_code"]) == ("exit", 127)
    assert rank.end() == (127, "")
    assert b"program not found: no-such-program" in os.read(errors, 4096)


@pytest.mark.parametrize("words", [(b"hold",), (b"go", b"hold")], ids=["hold", "second go"])
@pytest.mark.parametrize("last", [b"release", b""], ids=["release", "agent gone"])
def test_a_held_wrapper_stays_until_it_is_released(words, last, start_rank, gate, hear):
    """While the job is being ended the first end must not make mpirun kill the others."""
    rank = start_rank("true")
    wrapper = gate.accept()
    hear(wrapper)
    for word in (b"go", *words):
        wrapper.tell(word)
    while hear(wrapper)[0] != "exit":
        pass
    time.sleep(0.2)
    assert rank.process.poll() is None
    if last:
        wrapper.tell(last)
    else:
        wrapper.close()
    assert rank.end() == (0, "")


def test_a_hold_that_was_taken_back_holds_nothing(start_rank, gate, hear):
    """Released while its program still ran, the wrapper ends with it."""
    rank = start_rank("true")
    wrapper = gate.accept()
    hear(wrapper)
    for word in (b"hold", b"release", b"go"):
        wrapper.tell(word)
    assert rank.end() == (0, "")


@pytest.mark.parametrize("word", [b"hold", b"release"])
def test_only_go_opens_the_gate(word, start_rank, gate, hear, tmp_path):
    """A job that is being ended before its start has not run anything."""
    rank = start_rank("touch", str(tmp_path / "ran"))
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.tell(word)
    time.sleep(0.2)
    wrapper.close()
    assert rank.end()[0] == 75
    assert not (tmp_path / "ran").exists()


def test_a_hold_before_the_start_holds_after_the_end(start_rank, gate, hear):
    """The end of the job began while its ranks were at the gate."""
    rank = start_rank("true")
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.tell(b"hold")
    wrapper.tell(b"go")
    while hear(wrapper)[0] != "exit":
        pass
    time.sleep(0.2)
    assert rank.process.poll() is None
    wrapper.tell(b"release")
    assert rank.end() == (0, "")


PROBE = """
import os, sys, termios
raw = not termios.tcgetattr(1)[1] & termios.OPOST if os.isatty(1) else None
print(os.isatty(1), raw, os.isatty(2))
print("second")
os.write(2, b"error\\n")
"""


def read_all(descriptor):
    """Return everything that comes, to the end; a terminal ends with an error."""
    data = b""
    try:
        while piece := os.read(descriptor, 4096):
            data += piece
    except OSError:
        pass
    os.close(descriptor)
    return data


def test_stdout_is_a_raw_terminal(start_rank, gate, hear):
    r"""Programs flush line by line, and ``\n`` stays ``\n``; stderr is a pipe."""
    rank = start_rank(sys.executable, "-c", PROBE)
    wrapper = gate.accept()
    output, errors = hear(wrapper)[2]
    wrapper.tell(b"go")
    assert read_all(output) == b"True True False\nsecond\n"
    assert read_all(errors) == b"error\n"
    assert rank.end() == (0, "")
    assert rank.output == ""


WITHOUT_TERMINALS = """
import os, sys
def openpty():
    raise OSError(28, "no terminal left")
os.openpty = openpty
from mpijob_runtime.rank import main
main()
"""


def test_without_a_terminal_stdout_is_a_pipe(start_rank, gate, hear):
    """A host without a free terminal costs line buffering, not the rank."""
    rank = start_rank(sys.executable, "-c", PROBE, code=WITHOUT_TERMINALS)
    wrapper = gate.accept()
    output, errors = hear(wrapper)[2]
    wrapper.tell(b"go")
    assert read_all(output) == b"False None False\nsecond\n"
    assert read_all(errors) == b"error\n"
    assert rank.end() == (0, "")


def test_output_is_left_to_mpirun_if_asked(start_rank, gate, hear):
    """--output mpirun: no descriptor is passed, the daemon's pipes are the program's."""
    rank = start_rank(*sh("echo mine"), environ={"OMPI_MPIJOB_STREAMS": "mpirun"})
    wrapper = gate.accept()
    assert hear(wrapper)[2] == []
    wrapper.tell(b"go")
    assert rank.end() == (0, "")
    assert rank.output == "mine\n"


def test_an_agent_is_found_at_the_end_of_a_long_path(start_rank, make_gate, hear, tmp_path):
    """The name of a socket has 107 bytes at most; the run directory may have more."""
    run_dir = str(tmp_path / ("d" * 100) / ("e" * 100))
    gate = make_gate(run_dir)
    rank = start_rank("true", environ={"MPIJOB_RUN_DIR": run_dir})
    wrapper = gate.accept()
    assert hear(wrapper)[0] == "start"
    wrapper.tell(b"go")
    assert rank.end() == (0, "")


def test_what_ranks_should_have_alike_is_told(start_rank, gate, hear):
    """Chosen variables go to the launcher, cut at 1,024 characters; no others do."""
    environ = {"NCCL_A": "x=1\ny", "UCX_B": "b" * 5000, "OMP_NUM_THREADS": "4", "SECRET": "s"}
    start_rank("true", environ=environ)
    fields = hear(gate.accept())[1]
    found = {name[4:]: value for name, value in fields.items() if name.startswith("env.")}
    assert found.keys() == {"NCCL_A", "UCX_B", "OMP_NUM_THREADS", "PATH"}
    assert (found["NCCL_A"], found["UCX_B"]) == ("x=1\ny", "b" * 1024)


def test_the_program_knows_where_to_write_its_step_and_how_it_learns_of_the_end(
    start_rank, gate, hear
):
    """Both files lie in the run directory and belong to this attempt."""
    rank = start_rank(*sh('echo "$MPIJOB_PROGRESS_FILE $MPIJOB_PREEMPTION_FILE"'))
    wrapper = gate.accept()
    output, errors = hear(wrapper)[2]
    os.close(errors)
    wrapper.tell(b"go")
    run_dir = rank.run_dir
    assert read_all(output).decode() == f"{run_dir}/step-1-a-3 {run_dir}/preempted-1-a\n"


def test_a_killed_wrapper_is_noticed(start_rank, gate, hear):
    """Its end of the connection closes without a word."""
    rank = start_rank(*sh("exec sleep 30"))
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.tell(b"go")
    hear(wrapper)
    rank.process.kill()
    assert hear(wrapper) == (None, None, [])


def test_a_signal_before_the_program_runs_is_not_lost(start_rank, gate, hear):
    """SIGTERM between fork and exec ends the program as it would a moment later."""
    rank = start_rank(*sh("exec sleep 30"))
    wrapper = gate.accept()
    hear(wrapper)
    wrapper.tell(b"go")
    pid = hear(wrapper)[1]["pid"]
    os.kill(pid, signal.SIGTERM)
    assert hear(wrapper)[1]["signal"] == signal.SIGTERM
    assert rank.end()[0] == -signal.SIGTERM
