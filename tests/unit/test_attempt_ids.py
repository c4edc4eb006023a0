import os
import re
import subprocess
import sys
from datetime import datetime

import pytest

from mpijob_runtime.attempts import RunningAttempt
from mpijob_runtime.errors import ConfigurationError

HOLDS = """
import sys
from mpijob_runtime.attempts import RunningAttempt
attempt = RunningAttempt(sys.argv[1])
print(attempt.id, attempt.number, *attempt.siblings(), flush=True)
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
    """TIME-LAUNCHER-LETTERS: no slash, no space, nothing a shell takes for its own."""
    attempt = RunningAttempt(str(tmp_path))
    assert re.fullmatch(r"20\d{6}T\d{6}\.\d{6}-[0-9a-f]{8}-[0-9a-f]{8}", attempt.id)
    attempt.close()


def test_ids_of_one_container_are_in_the_order_of_their_starts(tmp_path, monkeypatch):
    """Within a microsecond, and when the clock is set back: the fence relies on it."""
    moments = iter([2, 2, 1, 3])

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, next(moments), tzinfo=tz)

    monkeypatch.setattr("mpijob_runtime.attempts.datetime", Clock)
    attempts = [RunningAttempt(str(tmp_path)) for _ in range(4)]
    ids = [attempt.id for attempt in attempts]
    assert ids == sorted(set(ids))
    assert ids[3].startswith("20260103T000000.000000-")
    for attempt in attempts:
        attempt.close()


def test_each_has_the_lowest_number_that_is_free(hold, tmp_path):
    """Ports and the like count from it: a job alone has 0, whatever ran before."""
    killed, first = hold()
    _, second = hold()
    attempt = RunningAttempt(str(tmp_path))
    assert (first[1], second[1], attempt.number) == ("0", "1", 2)
    killed.kill()
    killed.wait()
    after = RunningAttempt(str(tmp_path))
    assert after.number == 0
    after.close()
    attempt.close()


def test_a_full_directory_is_said_with_its_remedy(tmp_path):
    """Not a bug of ours: a retry can not help."""
    (tmp_path / "attempts").touch()
    with pytest.raises(ConfigurationError, match="cannot note this start of the job") as caught:
        RunningAttempt(str(tmp_path))
    assert "MPIJOB_RUN_DIR" in caught.value.remedy


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
    assert (first[2:], second[2:]) == ([], first[:1])
    assert set(attempt.siblings()) == {first[0], second[0]}
    attempt.close()


def test_siblings_are_asked_anew_each_time(hold, tmp_path):
    """One that has died since our start is none any more; one that came later is."""
    process, (early, _) = hold()
    attempt = RunningAttempt(str(tmp_path))
    assert attempt.siblings() == (early,)
    process.kill()
    process.wait()
    _, (late, _, *_) = hold()
    assert attempt.siblings() == (late,)
    attempt.close()


def test_a_dead_launchers_attempt_is_forgotten(hold, tmp_path):
    """Killed without a word: its lock is gone, and then its file."""
    process, (dead, _) = hold()
    process.kill()
    process.wait()
    assert dead in os.listdir(tmp_path / "attempts")
    attempt = RunningAttempt(str(tmp_path))
    assert attempt.siblings() == ()
    assert os.listdir(tmp_path / "attempts") == [attempt.id]
    attempt.close()


def test_a_closed_attempt_leaves_nothing(tmp_path):
    """Closing once or after somebody else has tidied up is the same."""
    attempt = RunningAttempt(str(tmp_path))
    os.unlink(tmp_path / "attempts" / attempt.id)
    attempt.close()
    assert os.listdir(tmp_path / "attempts") == []
    assert (tmp_path / "attempts").stat().st_mode & 0o777 == 0o700
