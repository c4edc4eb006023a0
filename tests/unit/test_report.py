import io
import json

import pytest

from mpijob_runtime.console import Console
from mpijob_runtime.outcome import MOST_BYTES, Outcome
from mpijob_runtime.report import publish_outcome

OUTCOME = Outcome("failed", 7, "rank 3 failed first", phases_seconds={"wait": 1.0})


@pytest.fixture
def publish(tmp_path):
    """Return a function that publishes an outcome and returns what was said."""

    def call(outcome=OUTCOME, *, report="report.json", log="termination-log", **console):
        stream = io.StringIO()
        publish_outcome(
            outcome,
            console=Console(stream=stream, **console),
            report=report and str(tmp_path / report),
            termination_log=str(tmp_path / log),
        )
        return stream.getvalue()

    return call


def test_the_termination_log_has_the_outcome_in_words(publish, tmp_path):
    """Kubernetes shows people the outcome's text."""
    log = tmp_path / "termination-log"
    log.write_text("old" * 100)
    publish()
    assert log.read_text() == "failed: rank 3 failed first\n  phases: wait 1.0 s\n"


def test_a_termination_log_is_not_made(publish, tmp_path):
    """Outside Kubernetes there is no such file, and none appears."""
    publish()
    assert not (tmp_path / "termination-log").exists()


def test_the_report_is_the_outcome_as_json(publish, tmp_path):
    """--report holds exactly the outcome's JSON."""
    publish()
    assert json.loads((tmp_path / "report.json").read_text()) == OUTCOME.to_json()


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(OUTCOME, "mpijob: error: failed: "), (Outcome("succeeded", 0, "ok"), "mpijob: succeeded: ")],
)
def test_the_last_lines_say_the_outcome(outcome, expected, publish):
    """A success is news, all else an error."""
    assert publish(outcome).startswith(expected)


def test_json_logs_carry_the_whole_outcome(publish):
    """With JSON logs the last object has every key of the report."""
    data = json.loads(publish(log_format="json"))
    assert OUTCOME.to_json().items() <= data.items()


def test_a_report_that_cannot_be_written_is_said_and_changes_nothing_else(publish, tmp_path):
    """A wrong path for the report loses neither the termination log nor the last lines."""
    log = tmp_path / "termination-log"
    log.touch()
    found = publish(report="missing/report.json")
    assert "missing/report.json: cannot write the outcome: No such file or directory" in found
    assert "failed: rank 3" in found
    assert "failed: rank 3" in log.read_text()


def test_a_long_reason_fits_into_the_termination_log(publish, tmp_path):
    """Kubernetes would cut the text anywhere."""
    log = tmp_path / "termination-log"
    log.touch()
    publish(Outcome("failed", 1, "語" * 4000))
    assert len(log.read_bytes()) <= MOST_BYTES


def test_a_reason_that_is_not_unicode_still_gets_into_the_report(publish, tmp_path):
    """A path with bytes that are no UTF-8 does not end the launcher with a traceback."""
    publish(Outcome("not_started", 65, "/tmp/\udcff: missing"))
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 65
