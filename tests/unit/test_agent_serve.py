import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from ranks import modules_with

from mpijob_runtime import frames

READY = "echo ready; "
FOR_EVER = "while :; do sleep 0.05; done"
HANDLER = """
import os, signal, sys, time
def save(*_):
    os.write(1, b"saving\\n")
    time.sleep(0.2)
    sys.exit(3)
signal.signal(signal.SIGUSR1, save)
os.write(1, b"ready\\n")
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def go(start_agent, start_rank):
    """Return a function that starts an agent and programs, given as argv, past the gate."""

    def start(*programs, **options):
        agent = start_agent(**options)
        agent.event("hello")
        ranks = [
            start_rank(*argv, environ={"OMPI_COMM_WORLD_RANK": str(number)})
            for number, argv in enumerate(programs)
        ]
        for _ in ranks:
            agent.event("start")
        agent.tell(do="go")
        for _ in ranks:
            agent.event("running")
        return agent, ranks

    return start


def sh(script):
    """Return the argv of a shell script."""
    return ("sh", "-c", script)


def wait_for(predicate, seconds=10):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not predicate() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert predicate()


def wait_for_output(agent, rank, text):
    """Wait until a rank has written something; a sample asks the agent for a word of its own."""
    deadline = time.monotonic() + 10
    while text not in agent.output.get((rank, 1), b"") and time.monotonic() < deadline:
        agent.tell(do="stacks")
        agent.event("stacks")
    assert text in agent.output[rank, 1]


def test_hello_says_where_and_what_is_there(start_agent):
    """The launcher learns the host, its kernel and Open MPI's daemons at once."""
    agent = start_agent()
    hello = agent.event("hello")
    assert hello["host"] == os.uname().nodename
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert hello["boot_id"] == file.read().strip()
    assert set(hello["daemons"]) <= {"orted", "prted"}
    assert hello["ended"] == 0
    assert "refused" not in hello


@pytest.mark.parametrize("name", ["orted", "prted"])
def test_daemons_are_found_on_path(name, start_agent, bare_environ, tmp_path):
    """Another Open MPI than the launcher's is noticed before mpirun hangs on it."""
    (tmp_path / name).touch(mode=0o755)
    bare_environ["PATH"] = f"{tmp_path}:/nowhere"
    assert start_agent().event("hello")["daemons"] == [name]


def test_an_ending_pod_takes_part_in_nothing_new(start_agent, bare_environ):
    """The marker of the worker's supervisor is enough; the agent ends by itself."""
    os.makedirs(bare_environ["MPIJOB_RUN_DIR"])
    with open(f"{bare_environ['MPIJOB_RUN_DIR']}/ending", "w", encoding="ascii"):
        agent = start_agent()
    assert "about to end" in agent.event("hello")["refused"]
    assert agent.process.wait(5) == 0


@pytest.fixture
def leftover(bare_environ):
    """Return a function that starts a process of some attempt."""
    started = []

    def start(attempt):
        environ = bare_environ | {"OMPI_MPIJOB_ATTEMPT": attempt}
        process = subprocess.Popen(["sleep", "60"], env=environ)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_working_directory_that_is_not_here_is_told_with_the_home(start_agent, tmp_path):
    """Ranks start there: neither Open MPI says so."""
    here, gone = str(tmp_path), f"{tmp_path}/gone"
    machine = start_agent(directory=here).event("hello")["machine"]
    assert machine["missing_directory"] == ""
    machine = start_agent("200-me-x", directory=gone).event("hello")["machine"]
    assert machine["missing_directory"] == gone
    assert os.path.isdir(machine["home"])
    assert start_agent("300-me-x").event("hello")["machine"]["missing_directory"] == ""


def test_the_clock_is_told_at_question_and_answer(start_agent):
    """In this order, by this host's clock."""
    asked = time.time()
    heard, answered = start_agent().event("hello")["clock"]
    assert asked <= heard <= answered <= time.time()


@pytest.mark.parametrize(
    ("zone", "expected"), [("UTC", "+0000"), ("Etc/UTC", "+0000"), ("XYZ-5:30", "+0530")]
)
def test_a_rank_starts_with_its_directory_and_time_zone(zone, expected, start_agent, start_rank):
    """The zone as its distance from UTC, so that names of the same one are alike."""
    agent = start_agent()
    agent.event("hello")
    start_rank("true", environ={"TZ": zone})
    start = agent.event("start")
    assert start["zone"] == expected
    assert "TZ" not in start["env"]
    assert start["directory"] == os.getcwd()


def test_an_older_attempt_is_ended_before_the_hello(start_agent, leftover):
    """What was left is counted; the host is free then."""
    process = leftover("100-you-a")
    assert start_agent("200-me-x").event("hello")["ended"] == 1
    assert process.wait(5) == -signal.SIGTERM


def test_other_jobs_of_the_launcher_are_kept(start_agent, leftover):
    """The hello names them."""
    process = leftover("100-me-a")
    assert start_agent("200-me-x", keep="100-me-a,150-me-b").event("hello")["ended"] == 0
    assert process.poll() is None


def test_a_newer_attempt_is_given_way_to(start_agent, leftover):
    """An old launcher that comes back late learns who is at work."""
    leftover("300-you-a")
    assert "300-you-a" in start_agent("200-me-x").event("hello")["refused"]


def test_a_rank_goes_from_the_gate_to_its_end(start_agent, start_rank):
    """start, go, running, output of both streams, exit; every event names the rank."""
    agent = start_agent()
    agent.event("hello")
    rank = start_rank(*sh("echo out; echo err >&2; printf last; exit 7"))
    start = agent.event("start")
    assert (start["rank"], start["world_size"], start["found"]) == (3, 8, 1)
    assert "PATH" in start["env"]
    time.sleep(0.1)
    assert agent.output == {}
    agent.tell(do="go")
    assert agent.event("running")["pid"] > 0
    end = agent.event("exit")
    assert (end["rank"], end["exit_code"]) == (3, 7)
    assert agent.output == {(3, 1): b"out\nlast", (3, 2): b"err\n"}
    assert rank.end()[0] == 7


def test_a_rank_that_comes_late_goes_at_once(start_agent, start_rank):
    """Once the gate is open it stays open, for ranks that the program spawns as well."""
    agent = start_agent()
    agent.event("hello")
    agent.tell(do="go")
    rank = start_rank("true")
    agent.event("exit", exit_code=0)
    assert rank.end()[0] == 0


def test_much_output_comes_whole_and_in_order(go):
    """More than all buffers between hold; the last byte comes before the exit."""
    script = f"i=0; while [ $i -lt 20000 ]; do echo $i {'a' * 30}; i=$((i+1)); done"
    agent, _ = go(sh(script))
    agent.event("exit", exit_code=0)
    expected = b"".join(b"%d " % n + b"a" * 30 + b"\n" for n in range(20000))
    assert agent.output[0, 1] == expected


def test_a_launcher_that_does_not_read_makes_ranks_wait(go, is_alive):
    """The agent's memory stays small; when the launcher reads again all of it comes."""
    agent, ranks = go(sh("head -c 2500000 /dev/zero | tr '\\0' '\\n'"))
    time.sleep(0.5)
    assert ranks[0].process.poll() is None
    with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert kib < 60_000
    agent.event("exit", exit_code=0)
    assert agent.output[0, 1] == b"\n" * 2_500_000


def test_a_warning_reaches_handlers_only(go):
    """SIGUSR1 to who handles it; the others learn it from the file; nobody is ended."""
    agent, ranks = go((sys.executable, "-c", HANDLER), sh(READY + FOR_EVER))
    for rank in (0, 1):
        wait_for_output(agent, rank, b"ready")
    flag = f"{agent.run_dir}/preempted-{agent.attempt}"
    assert not os.path.exists(flag)
    agent.tell(do="warn")
    assert agent.event("warned")["ranks"] == [0]
    assert os.path.exists(flag)
    assert agent.event("exit")["exit_code"] == 3
    assert b"saving" in agent.output[0, 1]
    assert ranks[1].process.poll() is None


def test_a_handler_that_comes_late_is_warned_too(go, tmp_path):
    """A program that is still importing when the end comes gets its word once it can take it."""
    now = str(tmp_path / "now")
    late = f"import os, time\nwhile not os.path.exists({now!r}): time.sleep(0.02)\n"
    agent, _ = go((sys.executable, "-c", late + HANDLER))
    agent.tell(do="warn")
    assert agent.event("warned")["ranks"] == []
    (tmp_path / "now").touch()
    assert agent.event("warned", ranks=[0])
    assert agent.event("exit")["exit_code"] == 3


def test_a_warned_handler_is_warned_once(go):
    """A second SIGUSR1 would interrupt what the first has begun."""
    counting = HANDLER.replace("sys.exit(3)", "pass")
    agent, _ = go((sys.executable, "-c", counting))
    wait_for_output(agent, 0, b"ready")
    agent.tell(do="warn")
    agent.event("warned", ranks=[0])
    agent.tell(do="warn")
    time.sleep(0.6)
    agent.tell(do="signal", number=9)
    agent.event("exit")
    assert agent.output[0, 1].count(b"saving") == 1


def test_wrappers_of_a_warned_job_stay_until_released(go):
    """The first end would make mpirun kill the others in the middle of their checkpoint."""
    agent, ranks = go(sh("exit 0"), sh(READY + FOR_EVER))
    agent.event("exit", rank=0)
    ranks[0].end()
    agent.tell(do="warn")
    agent.tell(do="signal", number=15)
    agent.event("exit", rank=1)
    time.sleep(0.2)
    assert ranks[1].process.poll() is None
    agent.tell(do="release")
    assert ranks[1].end()[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGABRT, signal.SIGKILL])
def test_a_signal_goes_to_programs_and_all_that_they_started(number, go, is_alive):
    """Their wrappers stay to tell how it ended."""
    agent, _ = go(sh("sleep 60 & echo $!; wait"))
    wait_for_output(agent, 0, b"\n")
    child = int(agent.output[0, 1])
    agent.tell(do="signal", number=int(number))
    assert agent.event("exit")["signal"] == number
    wait_for(lambda: not is_alive(child))


def test_kill_ends_who_is_deaf(go):
    """Nothing survives the end of the grace."""
    agent, ranks = go(sh(f"trap '' TERM; {READY}{FOR_EVER}"))
    wait_for_output(agent, 0, b"ready")
    agent.tell(do="kill")
    assert agent.event("exit")["signal"] == signal.SIGKILL
    assert ranks[0].end()[0] == -signal.SIGKILL


def test_samples_tell_processor_time_step_and_state(go):
    """What a stall is judged by, as often as asked."""
    agent, _ = go(sh(f'echo 41 > "$MPIJOB_PROGRESS_FILE"; {READY}while :; do :; done'))
    wait_for_output(agent, 0, b"ready")
    agent.tell(do="sample", seconds=0.1)
    first, second = (agent.event("progress")["ranks"]["0"] for _ in range(2))
    assert second[0] >= first[0] >= 0
    assert second[1:] == ["41", "R"]
    agent.tell(do="signal", number=int(signal.SIGSTOP))
    deadline = time.monotonic() + 5
    while agent.event("progress")["ranks"]["0"][2] != "T":
        assert time.monotonic() < deadline


def test_stacks_of_what_is_no_python_come_from_the_kernel(go):
    """Name, state and where it waits."""
    agent, _ = go(sh(READY + FOR_EVER))
    wait_for_output(agent, 0, b"ready")
    agent.tell(do="stacks")
    found = agent.event("stacks")
    assert (found["rank"], found["how"]) == (0, "kernel")
    assert "(sh): " in found["text"]


def test_finish_ends_leftovers_and_cleans_up(go, is_alive):
    """What outlived its rank is ended and counted; socket and files are gone; the agent ends."""
    agent, _ = go(sh("setsid sleep 60 & echo $!"))
    agent.event("exit", rank=0)
    left = int(agent.output[0, 1])
    assert is_alive(left)
    agent.tell(do="warn")
    agent.tell(do="finish")
    assert agent.event("finished")["ended"] == 1
    assert agent.process.wait(5) == 0
    assert not is_alive(left)
    assert not [name for name in os.listdir(agent.run_dir) if agent.attempt in name]


def test_finish_does_not_let_waiting_ranks_run(start_agent, start_rank, tmp_path):
    """A job that is ended at the gate has not run anywhere, not even for a moment."""
    agent = start_agent()
    agent.event("hello")
    rank = start_rank("touch", str(tmp_path / "ran"))
    agent.event("start")
    agent.tell(do="finish")
    agent.event("finished")
    rank.end()
    assert not (tmp_path / "ran").exists()


def test_a_vanished_wrapper_is_told(go):
    """Killed without a word: its rank has ended for the launcher, and its program with it."""
    agent, ranks = go(sh("exec sleep 60"))
    ranks[0].process.kill()
    assert agent.event("vanished")["rank"] == 0


def test_without_a_launcher_ranks_end_within_the_grace(go):
    """The end of stdin is the launcher's: SIGTERM for who does not handle SIGUSR1."""
    agent, ranks = go(sh("exec sleep 60"), grace_seconds=5.0)
    began = time.monotonic()
    agent.close()
    assert ranks[0].end()[0] == -signal.SIGTERM
    assert time.monotonic() - began < 2
    assert agent.process.wait(10) == 0


def test_without_a_launcher_the_deaf_are_killed_at_the_grace(go):
    """Nobody is there to say it any more."""
    agent, ranks = go(sh(f"trap '' TERM; {READY}{FOR_EVER}"), grace_seconds=0.8)
    wait_for_output(agent, 0, b"ready")
    began = time.monotonic()
    agent.close()
    assert ranks[0].end()[0] == -signal.SIGKILL
    assert 0.7 < time.monotonic() - began < 4
    assert agent.process.wait(10) == 0


def test_without_a_launcher_handlers_have_their_time(go):
    """SIGUSR1 first: a checkpoint is worth as much then."""
    agent, ranks = go((sys.executable, "-c", HANDLER), grace_seconds=5.0)
    wait_for_output(agent, 0, b"ready")
    agent.close()
    assert ranks[0].end()[0] == 3
    assert agent.process.wait(10) == 0


def test_the_workers_end_is_told_and_acted_upon(go):
    """SIGUSR1 to the agent: the pod is to end, the launcher learns it, the ranks go."""
    agent, _ = go(sh("exec sleep 60"))
    agent.process.send_signal(signal.SIGUSR1)
    agent.event("ending")
    assert agent.event("exit")["signal"] == signal.SIGTERM


def test_sigterm_to_the_agent_ends_its_attempt(go):
    """A newer attempt's fence, or the end of the pod: everything here is ended, and said."""
    agent, ranks = go(sh("exec sleep 60"))
    agent.process.send_signal(signal.SIGTERM)
    agent.event("stopped")
    agent.event("finished")
    assert agent.process.wait(5) == 0
    assert ranks[0].process.wait(5) != 0


def test_the_agent_is_seen_by_its_name(start_agent):
    """ps, and the worker's supervisor, find it."""
    agent = start_agent()
    agent.event("hello")
    with open(f"/proc/{agent.process.pid}/comm", encoding="ascii") as file:
        assert file.read() == "mpijob-agent\n"


def test_unknown_commands_are_passed_over(start_agent):
    """A newer launcher may say more."""
    agent = start_agent()
    agent.event("hello")
    agent.tell(do="dance")
    agent.tell(nothing="to do")
    agent.tell(do="finish")
    agent.event("finished")


def test_the_agent_imports_nothing_heavy():
    """Every host of every job starts one."""
    found = modules_with("mpijob_runtime.agent.begin")
    heavy = {"typing", "subprocess", "dataclasses", "logging", "paramiko", "psutil", "threading"}
    assert not heavy & found


def test_a_warning_without_its_file_is_a_warning(go):
    """Where no file can be made the agent says so, and does all else; later it makes the file."""
    agent, _ = go((sys.executable, "-c", HANDLER.replace("sys.exit(3)", "pass")))
    wait_for_output(agent, 0, b"ready")
    os.rename(agent.run_dir, f"{agent.run_dir}.away")
    agent.tell(do="warn")
    assert "No such file or directory; programs that poll" in agent.event("trouble")["what"]
    agent.event("warned", ranks=[0])
    wait_for_output(agent, 0, b"saving")
    os.rename(f"{agent.run_dir}.away", agent.run_dir)
    wait_for(lambda: os.path.exists(f"{agent.run_dir}/preempted-{agent.attempt}"))
    agent.tell(do="signal", number=9)
    agent.event("exit")
    assert [event["event"] for event in agent.events].count("trouble") == 1


def test_what_the_system_refuses_does_not_end_the_agent(go):
    """A command that fails is told; the next one, in the same packet, is obeyed."""
    agent, ranks = go(sh("exec sleep 60"))
    command = frames.format_command({"do": "signal", "number": 999})
    agent.process.stdin.write(command + frames.format_command({"do": "signal", "number": 15}))
    agent.event("trouble", what="[Errno 22] Invalid argument")
    assert agent.event("exit")["signal"] == signal.SIGTERM
    assert ranks[0].end()[0] == -signal.SIGTERM


def test_a_full_run_directory_is_a_reason_to_refuse(start_agent, bare_environ):
    """The host, the place and the cause, in place of an agent that is not there."""
    with open(bare_environ["MPIJOB_RUN_DIR"], "w", encoding="ascii"):
        refused = start_agent().event("hello")["refused"]
    assert refused.endswith("cannot make the socket for ranks: File exists")


def test_the_agent_may_open_as_many_files_as_the_host_lets(start_agent):
    """Three for each rank: a soft limit of 1,024 would be met at 300."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        agent = start_agent()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    agent.event("hello")
    assert resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
