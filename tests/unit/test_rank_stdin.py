import os
import subprocess
import sys

import pytest

from mpijob_runtime import carried
from mpijob_runtime.rank import pass_on_stdin
from mpijob_runtime.rank_stdin import RankStdin, has_none


def read_all(descriptor):
    """Read to the end, as a slow reader."""
    pieces = []
    while piece := os.read(descriptor, 4096):
        pieces.append(piece)
    os.close(descriptor)
    return pieces


def through_the_wrapper(data, mark):
    """Return what the program behind a rank's wrapper reads of what comes on its stdin."""
    stdin_reading, stdin_writing = os.pipe()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(stdin_reading, 0)
        os.closerange(3, writing)
        pass_on_stdin(writing, mark)
    os.close(writing)
    os.close(stdin_reading)
    for piece in data:
        os.write(stdin_writing, piece)
    got = b"".join(read_all(reading))  # stdin is open still, as Open MPI 5.0 leaves it
    os.close(stdin_writing)
    assert os.waitpid(child, 0)[1] == 0
    return got


@pytest.mark.parametrize(
    "pieces",
    [
        [b"one\ntwo\n", b"MARK"],
        [b"one MA", b"RK"],
        [b"MAMARK"],
        [b"M", b"A", b"R", b"M", b"A", b"R", b"K"],
        [b"MARK"],
        [b"\0\xff" * 3000, b"MARK"],
    ],
)
def test_a_rank_sees_the_end_where_the_mark_is(pieces):
    """Wherever the mark is cut, and whatever comes before it."""
    assert through_the_wrapper(pieces, b"MARK") == b"".join(pieces).removesuffix(b"MARK")


def test_mpirun_5_gets_stdin_in_small_pieces_and_then_the_mark(tmp_path):
    """Pieces of 4 KiB do not reach another host whole; nothing comes before the start."""
    data = os.urandom(100_000)
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        stdin = RankStdin(major=5, wrapped=True, source=file.fileno())
        assert stdin.descriptor is not None
        assert stdin.told
        stdin.start()
        pieces = read_all(stdin.descriptor)
    assert max(map(len, pieces)) <= 2048
    assert b"".join(pieces) == data + stdin.told.encode()


def test_a_rank_outside_of_the_plan_gets_no_mark(tmp_path):
    """Nobody there would know it: it would be taken for input."""
    (tmp_path / "data").write_bytes(b"input")
    with (tmp_path / "data").open("rb") as file:
        stdin = RankStdin(major=5, wrapped=True, source=file.fileno())
        stdin.forgo_end()
        stdin.start()
        assert b"".join(read_all(stdin.descriptor)) == b"input"


_IN_THE_BACKGROUND = """
import os, pty, sys, time
child, terminal = pty.fork()
if child == 0:
    import signal
    from mpijob_runtime.rank_stdin import RankStdin
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    foreground = os.fork()
    if foreground == 0:
        os.setpgid(0, 0)
        time.sleep(30)
        os._exit(0)
    time.sleep(0.2)
    os.tcsetpgrp(0, foreground)
    RankStdin(major=5, wrapped=True).start()
    time.sleep(0.5)
    os.kill(foreground, signal.SIGKILL)
    os._exit(7)
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    ended, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
    if ended:
        break
    time.sleep(0.05)
print("stopped" if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
os.kill(child, 9) if os.WIFSTOPPED(status) else None
"""


def test_a_job_in_the_background_of_a_terminal_is_not_stopped():
    """``mpirun … &`` in a shell: who reads the terminal's input there is stopped by SIGTTIN."""
    argv = (sys.executable, "-c", _IN_THE_BACKGROUND)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == "7\n", done.stderr


def test_without_stdin_ranks_are_told_so():
    """The null device, as in any pod, or a descriptor that is closed."""
    null = os.open(os.devnull, os.O_RDONLY)
    assert RankStdin(major=5, wrapped=True, source=null).told == carried.NO_STDIN
    assert RankStdin(major=4, wrapped=True, source=null).told == carried.NO_STDIN
    os.close(null)
    assert has_none(null)


@pytest.mark.parametrize(("major", "wrapped"), [(4, True), (5, False)])
def test_mpirun_keeps_its_own_stdin(major, wrapped):
    """4.1 tells ranks of the end by itself; without a wrapper nobody knows the mark."""
    source, feeding = os.pipe()
    stdin = RankStdin(major=major, wrapped=wrapped, source=source)
    assert (stdin.descriptor, stdin.told) == (None, None)
    stdin.start()
    os.close(source)
    os.close(feeding)
