"""However a launcher or a worker fails to start, somebody can read why."""

import json
import subprocess
import sys

import pytest

SHIM = "import sys; sys.argv[0] = '{name}'; from mpijob_runtime import early, shims; import os\n"
SHIM += "early.run('mpijob_runtime.shims', '{function}', early.{role}_outlets(os.environ))"
LAUNCHER = {"K_MPI_JOB_ROLE": "launcher"}
LAUNCH = ("-m", "mpijob_runtime", "launch")


@pytest.fixture
def run(local_mpi, tmp_path):
    """Return a function that runs a program of ours: code, termination log, report, stderr."""
    (tmp_path / "termination-log").touch()

    def call(argv, environ=None, *, shell=""):
        line = [sys.executable, *argv]
        if shell:
            line = ["bash", "-o", "pipefail", "-c", f'"$@" {shell}', "bash", *line]
        done = subprocess.run(
            line,
            env=local_mpi | {"MPIJOB_REPORT": str(tmp_path / "report.json")} | (environ or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        report = tmp_path / "report.json"
        data = json.loads(report.read_text()) if report.exists() else None
        return done.returncode, (tmp_path / "termination-log").read_text(), data, done.stderr

    return call


def shim(name, *arguments):
    """Return the command line of a shim."""
    function, role = {"sshd": ("sshd", "worker"), "entrypoint": ("entrypoint", "worker")}.get(
        name, ("mpirun", "launcher")
    )
    return ("-c", SHIM.format(name=name, function=function, role=role), *arguments)


WRONG = {
    "a variable": (LAUNCH, {"MPIJOB_TIMEOUT": "10min"}, 64, "MPIJOB_TIMEOUT (--timeout): found"),
    "a switch": (LAUNCH, {"MPIJOB_DISTINCT_NODES": "ja"}, 64, "wanted on or off"),
    "a flag's value": ((*LAUNCH, "--grace", "1w"), {}, 64, "Invalid value for '--grace': found"),
    "a flag": ((*LAUNCH, "--tiemout", "5"), {}, 64, "No such option"),
    "a number": ((*LAUNCH, "-n", "0"), {}, 64, "-n 0: found 0 ranks"),
    "a log directory": ((*LAUNCH, "--log-dir", "/proc/x"), {}, 78, "--log-dir /proc/x"),
    "a hostfile that is none": ((*LAUNCH, "--hostfile", "/"), {}, 65, "Is a directory"),
    "a hostfile that is missing": (LAUNCH, {"MPIJOB_HOSTFILE": "/no/file"}, 65, "/no/file"),
}


@pytest.mark.parametrize(("argv", "environ", "code", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_launch_that_cannot_start_says_so_everywhere(argv, environ, code, words, run):
    """Termination log, report and stderr agree, whatever is wrong."""
    host = () if "--hostfile" in argv or "MPIJOB_HOSTFILE" in environ else ("--host", "localhost")
    found, log, report, errors = run((*argv, *host, "--", "true"), environ)
    assert found == code, errors
    assert log.startswith("not started: ")
    assert words in log
    assert (report["outcome"], report["exit_code"], report["ranks_started"]) == (
        "not_started",
        code,
        0,
    )
    assert words in report["reason"]
    assert f"mpijob: error: {log.splitlines()[0]}" in errors


def test_no_program_is_a_wrong_line_too(run):
    """``launch`` alone is 64."""
    code, log, report, errors = run(LAUNCH)
    assert (code, report["exit_code"]) == (64, 64)
    assert "Missing argument 'PROGRAM...'" in log
    assert "next: mpijob-runtime launch --help" in errors


def test_the_flag_for_the_report_holds_on_a_wrong_line(run, tmp_path):
    """Wherever it stands among the options."""
    code, _, report, _ = run((*LAUNCH, "--timeout", "soon", "--report", "mine.json", "--", "true"))
    assert (code, report) == (64, None)
    assert "'--timeout'" in json.loads((tmp_path / "mine.json").read_text())["reason"]


@pytest.mark.parametrize("name", ["mpirun", "mpiexec"])
def test_a_shim_with_a_wrong_variable_says_so_everywhere(name, run):
    """The same function as for launch."""
    argv = shim(name, "-n", "1", "true")
    code, log, report, errors = run(argv, LAUNCHER | {"MPIJOB_GRACE": "soon"})
    assert (code, report["exit_code"], report["outcome"]) == (64, 64, "not_started")
    assert "MPIJOB_GRACE (--grace): found 'soon', wanted a time" in log
    assert "10m" in errors


def test_a_worker_says_so_in_its_termination_log_alone(run):
    """Its report would stand where the launcher's is."""
    code, log, report, _ = run(shim("sshd", "-De"), {"MPIJOB_SSH_PORT": "ssh"})
    assert (code, report) == (64, None)
    assert "MPIJOB_SSH_PORT" in log
    code, log, report, _ = run(
        ("-m", "mpijob_runtime", "worker"), {"MPIJOB_WORKER_IDLE_TIMEOUT": "x"}
    )
    assert (code, report) == (64, None)
    assert "MPIJOB_WORKER_IDLE_TIMEOUT" in log


def test_a_command_that_does_not_exist_is_in_the_termination_log(run):
    """The ENTRYPOINT cannot become it."""
    code, log, report, errors = run(shim("entrypoint", "/no/program"))
    assert (code, report) == (127, None)
    assert log == "not started: /no/program: No such file or directory\n"
    assert log in errors


@pytest.mark.parametrize("argv", [("hosts", "--hostfile", "/"), ("plan", "--", "true"), ("wait",)])
def test_a_question_leaves_no_outcome(argv, run):
    """A script that asks before it runs the job does not lose the job's report."""
    code, log, report, errors = run(("-m", "mpijob_runtime", *argv))
    assert (code, log, report) == (65, "", None), errors


STREAMS = ["2>&-", ">&-", "0<&-", "2>/dev/full", ">/dev/full", "2>&- >&- <&-", "2>&1 | :"]


@pytest.mark.parametrize("shell", STREAMS)
def test_broken_streams_change_neither_code_nor_outcome(shell, run):
    """A stderr that is closed, full or not read any more: 64 is in both files."""
    wrong = (*LAUNCH, "--host", "localhost", "--", "true")
    code, log, report, _ = run(wrong, {"MPIJOB_GRACE": "x"}, shell=shell)
    assert (code, report["exit_code"]) == (64, 64)
    assert log.startswith("not started: MPIJOB_GRACE")


@pytest.mark.parametrize("shell", STREAMS)
def test_a_job_with_broken_streams_ends_as_it_does(shell, run):
    """No file of the job's takes the place of a stream that was closed."""
    script = "echo out; echo err >&2; exit 7"
    argv = (*LAUNCH, "--host", "localhost", "--", "sh", "-c", script)
    code, log, report, _ = run(argv, shell=shell)
    assert (code, report["exit_code"], report["ranks_started"]) == (7, 7, 1)
    assert log.startswith("failed: rank 0")
    assert "out" not in log


def test_a_report_on_a_full_disk_costs_only_itself(run, tmp_path):
    """The code and the termination log are the job's."""
    argv = (*LAUNCH, "--host", "localhost", "--report", "/dev/full", "--", "sh", "-c", "exit 7")
    code, log, _, errors = run(argv)
    assert code == 7
    assert log.startswith("failed: rank 0")
    assert "/dev/full: cannot write the outcome: No space left on device" in errors
