import os
import resource
import subprocess
import sys

import pytest

from mpijob_runtime.rank_logs import RankLogs

SMALL_FILES = """
import resource, signal, sys
from mpijob_runtime.rank_logs import RankLogs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
logs = RankLogs(sys.argv[1], print)
limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (12, limit))
for _ in range(3):
    logs.write(0, b"four\\nfive\\n")
logs.write(1, b"fits\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
logs.write(0, b"there is room\\n")
logs.close()
"""


@pytest.fixture
def logs(tmp_path):
    """Return logs whose warnings are kept."""
    warnings = []
    logs = RankLogs(str(tmp_path / "logs"), warnings.append)
    logs.warnings = warnings
    yield logs
    logs.close()


def test_what_does_not_go_in_is_counted_told_once_and_marked(tmp_path):
    """A file that may not grow stands in for a full disk: half a line goes in, then none.

    Once there is room again, a line says how much is missing at that place; the end says the sum.
    """
    done = subprocess.run(
        (sys.executable, "-c", SMALL_FILES, str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    mark = "mpijob: missing here are 4 lines (18 bytes)"
    text = f"four\nfive\nfo\n{mark}\nthere is room\n"
    assert (tmp_path / "rank-0.log").read_text() == text
    assert (tmp_path / "rank-1.log").read_text() == "fits\n"
    told, remedy, whole = done.stdout.splitlines()
    assert told.startswith(f"{tmp_path}/rank-0.log: cannot write: File too large; the job goes on")
    assert "next: " in remedy
    assert whole == f"{tmp_path}: missing are 4 lines (18 bytes) of rank 0"


def test_half_a_line_that_went_in_is_not_counted_as_bytes(logs, tmp_path):
    """Only what is missing is."""
    os.symlink("/dev/full", tmp_path / "logs" / "rank-2.log")
    logs.write(2, b"line\nhalf")
    logs.close()
    assert logs.warnings[-1] == f"{tmp_path}/logs: missing are 2 lines (9 bytes) of rank 2"


def test_many_ranks_raise_the_limit_of_open_files(logs):
    """A file stays open for each rank; what was lost in silence before were the later ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        logs.expect(100)
        for rank in range(100):
            logs.write(rank, b"x\n")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert logs.warnings == []


def test_nothing_is_said_where_nothing_is_missing(logs, tmp_path):
    """Numbers as wide as the largest."""
    logs.expect(11)
    logs.write(3, b"a\n")
    logs.close()
    assert (logs.warnings, os.listdir(tmp_path / "logs")) == ([], ["rank-03.log"])
