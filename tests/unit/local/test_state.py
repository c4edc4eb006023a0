import os
import stat

import pytest

from mpijob_local.state import JobState
from mpijob_runtime.errors import UsageError


@pytest.fixture
def state(tmp_path):
    """Return the state of a job that never ran."""
    return JobState.of(tmp_path, namespace="team", job="pi")


def test_a_job_runs_once(state):
    """A second run of a job is refused while the first one holds it, with the next step."""
    with state.claim("team/pi"):
        assert state.owner() == os.getpid()
        with pytest.raises(UsageError, match="mpijob-local down team/pi"), state.claim("team/pi"):
            pass

    assert state.owner() is None


def test_claim_leaves_nothing(state):
    """The lock goes with its holder, also after an error."""
    with pytest.raises(ZeroDivisionError), state.claim("team/pi"):
        raise ZeroDivisionError

    assert list(state.directory.parent.iterdir()) == []
    with state.claim("team/pi"):
        pass


def test_what_a_killed_run_left_is_no_owner(state):
    """A lock file that nobody holds does not count."""
    state.directory.parent.mkdir(parents=True)
    state.directory.with_name("team.pi.lock").write_text("1")

    assert state.owner() is None
    with state.claim("team/pi"):
        pass


def test_directory_is_private(state):
    """Nobody else can read a job's key, and an earlier run's files are gone."""
    state.empty()
    (state.volumes / "old").touch()
    state.empty()

    assert stat.S_IMODE(state.directory.stat().st_mode) == 0o700
    assert list(state.volumes.iterdir()) == []
