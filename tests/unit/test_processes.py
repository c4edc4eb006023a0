import os
import signal
import subprocess
import sys
import time

import pytest

from mpijob_runtime import processes


@pytest.fixture
def start():
    """Return a function that starts a shell script with variables; it is killed at the end."""
    started = []

    def run(script, **environ):
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            env={"PATH": os.environ["PATH"], **environ},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def wait_for(predicate, seconds=5):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not predicate() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert predicate()


def test_a_process_belongs_to_the_attempt_in_its_environment(start, tmp_path):
    """Found by the environment alone, whoever its parents are; orphans included."""
    mine = {"OMPI_MPIJOB_ATTEMPT": "1-a", "MPIJOB_RUN_DIR": str(tmp_path)}
    leader = start("setsid sleep 30 & echo $!; exec sleep 30", **mine)
    orphan = int(leader.stdout.readline())
    leader.kill()
    leader.wait()
    wait_for(lambda: processes.attempts(str(tmp_path)) == {orphan: "1-a"})
    os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OMPI_MPIJOB_ATTEMPT": ""},
        {"OMPI_MPIJOB_ATTEMPT": "1-a"},
        {"OMPI_MPIJOB_ATTEMPT": "1-a", "MPIJOB_RUN_DIR": "/elsewhere"},
    ],
    ids=["no job", "empty", "default place", "another place"],
)
def test_what_is_not_ours_belongs_to_nothing(environ, start, tmp_path):
    """Another run directory is another job's, whatever its attempt."""
    process = start("echo up; exec sleep 30", **environ)
    process.stdout.readline()
    assert process.pid not in processes.attempts(str(tmp_path))


def test_this_process_and_ended_ones_are_not_counted(start, tmp_path, monkeypatch):
    """Who looks is not among what is found; a zombie is nobody."""
    environ = {"OMPI_MPIJOB_ATTEMPT": "1-a", "MPIJOB_RUN_DIR": str(tmp_path)}
    process = start("echo $$", **environ)
    process.stdout.read()
    time.sleep(0.05)
    assert process.pid not in processes.attempts(str(tmp_path))
    script = f"from mpijob_runtime import processes; print(processes.attempts({str(tmp_path)!r}))"
    answer = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "{}\n"


def test_descendants_come_after_their_parents(start):
    """Children and grandchildren, not the process itself."""
    process = start("sh -c 'sleep 30 & echo $$ $!; wait' & wait")
    child, grandchild = map(int, process.stdout.readline().split())
    assert processes.descendants(process.pid) == [child, grandchild]
    assert processes.children(process.pid) == [child]
    assert processes.programs_below([child]) == [grandchild]
    assert processes.programs_below([process.pid, child]) == [grandchild]


def test_nobody_has_no_descendants():
    """A pid that is gone is no error."""
    assert processes.descendants(1 << 30) == processes.children(1 << 30) == []


HANDLES = """
import signal, sys, time
signal.signal(signal.SIGUSR1, {handler})
print("up", flush=True)
time.sleep(30)
"""


@pytest.mark.parametrize(
    ("handler", "found"),
    [("lambda *_: 0", True), ("signal.SIG_IGN", False), ("signal.SIG_DFL", False)],
)
def test_who_handles_a_signal_is_seen(handler, found, start, tmp_path):
    """A handler counts; ignored and default do not, nor do other signals."""
    script = tmp_path / "script.py"
    script.write_text(HANDLES.format(handler=handler))
    process = start(f"exec {sys.executable} {script}")
    process.stdout.readline()
    assert (processes.handlers_of(signal.SIGUSR1, [process.pid]) == [process.pid]) == found
    assert processes.handlers_of(signal.SIGUSR2, [process.pid, 1 << 30]) == []


def test_a_stopped_process_is_seen(start):
    """SIGSTOP is not the same as waiting."""
    process = start("echo up; exec sleep 30")
    process.stdout.readline()
    assert not processes.is_stopped(process.pid)
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: processes.is_stopped(process.pid))
    assert not processes.is_stopped(1 << 30)


def test_processor_time_is_added_up(start):
    """A busy process gathers time, a sleeping one none."""
    busy, idle = start("while :; do :; done"), start("exec sleep 30")
    wait_for(lambda: processes.cpu_seconds([busy.pid, 1 << 30]) > 0.05)
    assert processes.cpu_seconds([idle.pid]) < 0.05


def test_a_name_is_seen(start):
    """Our own processes are found by the name that they give themselves."""
    script = "from mpijob_runtime import processes as p; p.name_this_process('mpijob-x{0}')"
    name = f"x{os.getpid()}"[:8]
    code = f"{script.format(name)}; print('up', flush=True); import time; time.sleep(30)"
    process = start(f'exec {sys.executable} -c "{code}"')
    process.stdout.readline()
    assert processes.named(f"mpijob-x{name}"[:15]) == [process.pid]
    assert processes.named("no-such-name") == []


def test_what_does_not_end_is_killed(start):
    """SIGTERM, then SIGKILL once the time is over; the pids are returned."""
    process = start("trap '' TERM; echo up; while :; do sleep 0.05; done")
    process.stdout.readline()
    began = time.monotonic()

    def find():
        return [] if process.poll() is not None else [process.pid]

    assert processes.end(find, within_seconds=0.3) == [process.pid]
    assert 0.3 <= time.monotonic() - began < 3
    assert process.returncode == -signal.SIGKILL


def test_what_ends_in_time_is_not_killed(start):
    """It may clean up, is told once, and nobody waits longer than it takes."""
    process = start(
        "trap 'echo term; sleep 0.2; exit 3' TERM; echo up; while :; do sleep 0.02; done"
    )
    process.stdout.readline()
    began = time.monotonic()
    processes.end(lambda: [] if process.poll() is not None else [process.pid], within_seconds=20)
    assert time.monotonic() - began < 5
    assert (process.returncode, process.stdout.read()) == (3, "term\n")


def test_signals_to_nobody_are_no_error():
    """A process that is gone by now is passed over, and the next one is not."""
    processes.send(signal.SIGTERM, [1 << 30])


def test_a_file_that_is_not_there_is_removed_already(tmp_path):
    """Removing twice is removing."""
    (tmp_path / "x").touch()
    for _ in range(2):
        processes.remove_file(str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
