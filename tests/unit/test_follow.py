import json
import os
import subprocess

import pytest

from mpijob_runtime.follow import RecordFollower, follow_command, read_command
from mpijob_runtime.probes.ssh import HostRefusal, RemoteResult


def line(event, rank, at=0.0, **more):
    """Return a record's line as a wrapper writes it."""
    data = {
        "event": event,
        "rank": rank,
        "world_size": 2,
        "host": f"w{rank}",
        "boot_id": "b",
        "time": 1000.0 + at,
    }
    return json.dumps(data | more) + "\n"


class Connection:
    """A connection whose stream and file hold given lines; None for a lost host."""

    def __init__(self, streamed=(), stored=""):
        self.streamed = streamed
        self.stored = stored

    def lines(self, _command):
        """Stream."""
        return iter(self.streamed)

    def run(self, _command, *, timeout_seconds):
        """Read the file."""
        if self.stored is None:
            raise HostRefusal("session", "connection lost")
        return RemoteResult(0, self.stored)


@pytest.fixture
def follow(tmp_path):
    """Return a function that follows connections and collects at once."""

    def call(connections, *, start=False):
        noted = []
        follower = RecordFollower(
            connections, attempt="1-a", run_dir=str(tmp_path), on_record=noted.append
        )
        if start:
            follower.start()
        return (*follower.collect(), noted)

    return call


def test_records_of_all_hosts_and_of_this_one_are_collected_in_order(follow, tmp_path):
    """By time, over hosts; ranks beside the launcher are read from its own file."""
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / "1-a").write_text(line("start", 0, 0.1))
    connections = {
        "w1": Connection(stored=line("start", 1, 0.2)),
        "w2": Connection(stored=line("start", 2)),
    }
    records, lost, noted = follow(connections)
    assert [record.rank for record in records] == [2, 0, 1]
    assert lost == []
    assert len(noted) == 3


def test_a_record_that_comes_twice_counts_once(follow):
    """The stream and the final reading overlap."""
    text = line("start", 1)
    records, _, noted = follow({"w1": Connection(stored=text * 2)})
    assert len(records) == len(noted) == 1


def test_a_host_that_does_not_answer_is_named(follow):
    """The others' records are there all the same."""
    connections = {"w0": Connection(stored=line("start", 0)), "w1": Connection(stored=None)}
    records, lost, _ = follow(connections)
    assert lost == ["w1"]
    assert [record.rank for record in records] == [0]


def test_what_was_streamed_before_a_host_was_lost_is_kept(follow):
    """A lost host's last known records are still evidence."""
    connection = Connection(streamed=(line("start", 1),), stored=None)
    records, lost, _ = follow({"w1": connection}, start=True)
    assert lost == ["w1"]
    assert [record.rank for record in records] == [1]


@pytest.mark.parametrize(
    "noise", ["no record\n", "[" * 3000 + "\n", line("exit", 1, exit_code=[1]), "\x00\n"]
)
def test_noise_in_a_file_does_not_hide_records(noise, follow):
    """A user's program may write into the file; the records around it count."""
    text = line("start", 0) + noise + line("start", 1)
    records, _, _ = follow({"w0": Connection(stored=text)})
    assert [record.rank for record in records] == [0, 1]


def test_without_any_file_there_are_no_records(follow):
    """A job whose wrapper is off leaves nothing."""
    assert follow({}) == ([], [], [])


@pytest.mark.parametrize("name", ["run", "run dir"])
def test_the_commands_are_good_shell(name, tmp_path):
    """Both commands work in a real shell, whatever the run directory is called."""
    environ = {"MPIJOB_RUN_DIR": str(tmp_path / name), "PATH": os.defpath}
    reading = ["/bin/sh", "-c", read_command("1-a")]
    assert subprocess.run(reading, env=environ, check=True, capture_output=True).stdout == b""
    following = ["/bin/sh", "-c", follow_command("1-a")]
    with subprocess.Popen(
        following, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        file = tmp_path / name / "attempts" / "1-a"
        while not file.exists():
            assert tail.poll() is None, tail.stderr.read()
        with open(file, "a", encoding="utf-8") as records:
            records.write("one\n")
        assert tail.stdout.readline() == "one\n"
        tail.kill()
    assert file.stat().st_mode & 0o777 == 0o600
    assert subprocess.run(reading, env=environ, check=True, capture_output=True).stdout == b"one\n"
