import os
import re
import subprocess
import sys

import pytest

from mpijob_runtime.attempts import RunningAttempt

HOLDS = """
import sys
from mpijob_runtime.attempts import RunningAttempt
attempt = RunningAttempt(sys.argv[1])
print(attempt.id, *attempt.siblings, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """Return a function that starts a launcher which holds an attempt, and its first words."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, process.stdout.readline().split()

    yield start
    for process in started:
        process.communicate()


def test_an_id_orders_by_time_and_is_safe_in_names(tmp_path):
    """SECONDS-LAUNCHER-LETTERS: no slash, no space, nothing a shell takes for its own."""
    attempt = RunningAttempt(str(tmp_path))
    assert re.fullmatch(r"\d{10}-[0-9a-f]{8}-[0-9a-f]{8}", attempt.id)
    attempt.close()


def test_attempts_of_one_container_share_the_launchers_mark(tmp_path):
    """And differ in their letters."""
    one, two = RunningAttempt(str(tmp_path)), RunningAttempt(str(tmp_path))
    assert one.id != two.id
    assert one.id.split("-")[1] == two.id.split("-")[1]
    one.close()
    two.close()


def test_siblings_are_those_that_run_now(hold, tmp_path):
    """Each later one knows the earlier ones; none knows itself."""
    _, first = hold()
    _, second = hold()
    attempt = RunningAttempt(str(tmp_path))
    assert (first[1:], second[1:]) == ([], first)
    assert set(attempt.siblings) == {first[0], second[0]}
    attempt.close()


def test_a_dead_launchers_attempt_is_forgotten(hold, tmp_path):
    """Killed without a word: its lock is gone, and then its file."""
    process, (dead,) = hold()
    process.kill()
    process.wait()
    assert dead in os.listdir(tmp_path / "attempts")
    attempt = RunningAttempt(str(tmp_path))
    assert attempt.siblings == ()
    assert os.listdir(tmp_path / "attempts") == [attempt.id]
    attempt.close()


def test_a_closed_attempt_leaves_nothing(tmp_path):
    """Closing once or after somebody else has tidied up is the same."""
    attempt = RunningAttempt(str(tmp_path))
    os.unlink(tmp_path / "attempts" / attempt.id)
    attempt.close()
    assert os.listdir(tmp_path / "attempts") == []
    assert (tmp_path / "attempts").stat().st_mode & 0o777 == 0o700
