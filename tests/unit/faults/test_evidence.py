import pytest
from faults.evidence import Line, noticed, read_lines, verdict_of


def test_only_lines_since_the_fault_are_read(tmp_path):
    """A line that is no line of the log is left out."""
    log = tmp_path / "log"
    log.write_text(
        "2026-01-02T03:04:05.1Z stdout F before\nbroken\n2026-01-02T03:04:06.1Z stderr F after it\n"
    )

    lines = read_lines(log, since=1767323046.0)

    assert [line.text for line in lines] == ["after it"]
    assert lines[0].time_seconds == pytest.approx(1767323046.123456)
    assert read_lines(tmp_path / "none", since=0) == []


def test_a_host_that_becomes_ready_is_not_noticed_as_guilty():
    """Every host is named while the launcher waits."""
    lines = [Line(11.0, "[1/3] worker-1: ready"), Line(12.5, "lost worker-1")]

    assert noticed(lines, [["worker-1"]], since=10.0) == 2.5
    assert noticed(lines[:1], [["worker-1"]], since=10.0) is None
    assert noticed(lines, [], since=10.0) is None


def test_the_list_of_all_hosts_is_no_verdict():
    """Only what the report blames counts."""
    report = {
        "reason": "failed first",
        "hosts": [{"name": "worker-0", "ranks": [0]}],
        "first_failure": {"rank": 1, "host": "worker-1", "cause": "x", "evidence": ["y"]},
    }

    assert verdict_of(report).split("\n") == ["failed first", "x", "rank 1", "worker-1", "y"]
    assert verdict_of({}) == ""
