import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mpijob_runtime import early
from mpijob_runtime.carried import INSIDE
from mpijob_runtime.cli.launch import command
from mpijob_runtime.outcome import Outcome

PROGRAM = """
import os, sys
from mpijob_runtime import early
sys.path.insert(0, {place!r})
early.run("program", "main", early.launcher_outlets(os.environ))
"""


@pytest.fixture
def start(bare_environ, tmp_path):
    """Return a function that starts a program whose module has this text."""
    log = tmp_path / "termination-log"
    log.touch()

    def call(text, **changes):
        (tmp_path / "program.py").write_text(text)
        environ = bare_environ | {"MPIJOB_REPORT": str(tmp_path / "report.json")} | changes
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(place=str(tmp_path))],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    call.log, call.report = log, tmp_path / "report.json"
    return call


SLOW_IMPORT = "import time\nprint('loading', flush=True)\ntime.sleep(20)\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGHUP, 75)]
)
def test_a_signal_while_modules_load_leaves_an_outcome(number, code, start):
    """A pod that is deleted in its launcher's first moment says so everywhere."""
    with start(SLOW_IMPORT) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    words = f"not started: got {number.name}\n"
    assert process.returncode == code
    assert errors == f"mpijob: {words}"
    assert start.log.read_text() == words
    expected = Outcome("not_started", code, f"got {number.name}").to_json()
    assert json.loads(start.report.read_text()) == expected


@pytest.mark.parametrize(
    "text",
    ["import no_such_module", "1 / 0", "def other():\n    pass\n", "raise ValueError('\"\\\\')"],
)
def test_a_program_that_cannot_be_loaded_leaves_an_outcome(text, start):
    """70, with what is broken: an image from which a package is missing."""
    process = start(text)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 70
    assert "not started: cannot load program: " in errors
    assert "next: this image is broken" in start.log.read_text()
    report = json.loads(start.report.read_text())
    assert report["exit_code"] == 70
    assert report["reason"] in errors


@pytest.mark.parametrize(
    "changes",
    [
        {"MPIJOB_REPORT": "/dev/full"},
        {"MPIJOB_REPORT": "/no/such/directory/report.json"},
        {"MPIJOB_TERMINATION_LOG": "/dev/full"},
        {"MPIJOB_TERMINATION_LOG": "/"},
    ],
    ids=lambda changes: " ".join(changes.values()),
)
def test_what_cannot_be_written_costs_only_itself(changes, start):
    """A full disk does not change the code; the other file is written."""
    with start(SLOW_IMPORT, **changes) as process:
        process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 75
    assert "not started: got SIGTERM" in errors
    if "MPIJOB_REPORT" in changes:
        assert "cannot write the outcome: No s" in errors
        assert start.log.read_text() == "not started: got SIGTERM\n"
    else:
        assert json.loads(start.report.read_text())["exit_code"] == 75


def test_a_pipe_that_nobody_reads_does_not_hold_the_end_up(start, tmp_path):
    """A report may be a fifo; within a grace there is no time to wait for its reader."""
    os.mkfifo(tmp_path / "fifo")
    with start(SLOW_IMPORT, MPIJOB_REPORT=str(tmp_path / "fifo")) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) == 75


def test_inside_a_job_the_outcome_is_the_jobs(start):
    """A rank that runs mpirun or a command of ours writes over nothing."""
    process = start("import no_such_module", **{INSIDE: "1"})
    process.communicate(timeout=10)
    assert process.returncode == 70
    assert start.log.read_text() == ""
    assert not start.report.exists()


SETTLED = """
import time
from mpijob_runtime.early import settle
def main():
    settle()
    print("settled", flush=True)
    time.sleep(1)
    return 3
"""


def test_once_the_outcome_is_known_a_signal_changes_nothing(start):
    """Nor at the interpreter's exit, which is slow while modules are torn down."""
    with start(SETTLED) as process:
        process.stdout.readline()
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.002)
    assert process.returncode == 3
    assert not start.report.exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--report r -- x", "r"),
        ("--report=r -- x", "r"),
        ("-q --report r x", "r"),
        ("--timeout 10x --report r -- x", "r"),
        ("--no-such-flag 5 --report r -- x", "r"),
        ("--no-such-flag --report r -- x", "r"),
        ("-n2 --report r -- x", "r"),
        ("--timeout -1 --report r -- x", "r"),
        ("--report a --report b", "b"),
        ("--report", None),
        ("--report --", None),
        ("", None),
        ("-- x --report r", None),
        ("x --report r", None),
        ("-v x --report r", None),
        ("-n 2 x --report r -- y", None),
        ("-n2 x --report r", None),
    ],
)
def test_the_report_is_found_on_a_line_that_is_wrong_otherwise(line, expected):
    """What a program's own --report is belongs to the program."""
    assert early.find_report(line.split()) == expected


def test_the_flags_of_launch_are_known():
    """find_report knows which options of launch take no value."""
    flags = {
        name for option in command.params if getattr(option, "is_flag", 0) for name in option.opts
    }
    assert flags | {"-h", "--help"} == early._FLAGS


@pytest.mark.parametrize(
    ("words", "log", "report"),
    [
        (["launch"], "/l", "/r"),
        (["launch", "--report", "/f", "--", "x"], "/l", "/f"),
        (["worker"], "/l", None),
        (["plan", "--report", "/f"], "", None),
        (["--version"], "", None),
        ([], "", None),
    ],
)
def test_only_what_runs_a_job_leaves_an_outcome(words, log, report):
    """A worker's report would be written over the launcher's; a question has no outcome."""
    environ = {"MPIJOB_TERMINATION_LOG": "/l", "MPIJOB_REPORT": "/r"}
    found = early.command_outlets(words, environ)
    assert (found.termination_log, found.report) == (log, report)


def test_the_termination_log_is_kubernetes_unless_told():
    """As in the settings."""
    assert early.launcher_outlets({}).termination_log == "/dev/termination-log"
