import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from real_sshd import SSHD, needs_sshd

ENTRYPOINTS = Path(__file__).parents[2] / "entrypoints"

LAUNCHER = {"K_MPI_JOB_ROLE": "launcher"}


@pytest.fixture
def shimmed(local_mpi, tmp_path):
    """Return a function that runs a shim; shims stand on PATH before the stand-in mpirun."""
    shims = tmp_path / "shims"
    shims.mkdir()
    for name, source in (
        *((name, "mpirun") for name in ("mpirun", "mpiexec", "orterun", "prte", "mpirun.none")),
        ("sshd", "sshd"),
        ("entrypoint", "entrypoint"),
    ):
        text = (ENTRYPOINTS / source).read_text(encoding="utf-8")
        (shims / name).write_text(text.replace("/opt/venv/bin/python", sys.executable))
        (shims / name).chmod(0o755)
    environ = local_mpi | {"PATH": f"{shims}:{local_mpi['PATH']}"}

    def run(name, *arguments, **changes):
        answer = subprocess.run(
            [f"{shims}/{name}", *arguments],
            env=environ | changes,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=tmp_path,
        )
        return answer.returncode, answer.stdout, answer.stderr

    run.environ = environ
    run.place = str(shims)
    return run


@pytest.fixture
def hostfile(tmp_path):
    """Return the path of an operator's hostfile that names this machine."""
    path = tmp_path / "hostfile"
    path.write_text(f"{os.uname().nodename} slots=2\n")
    return str(path)


@pytest.mark.parametrize("environ", [{}, LAUNCHER], ids=["plain", "launcher"])
def test_a_question_is_answered_by_the_real_mpirun(environ, shimmed):
    """--version passes through byte for byte, operator or not."""
    assert shimmed("mpirun", "--version", **environ) == (0, "mpirun (Open MPI) 4.1.4\n", "")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"K_MPI_JOB_ROLE": "worker"},
        LAUNCHER | {"MPIJOB_INSIDE": "1"},
    ],
    ids=["no operator", "worker", "inside"],
)
def test_a_shim_without_a_job_is_the_plain_program(environ, shimmed):
    """In somebody's build, on a worker or inside a job, nothing of ours happens."""
    expected = (0, "plain -x A b c\n", "")
    assert expected == shimmed("mpirun", "-x", "A", "b c", **environ)


def test_a_shim_that_is_switched_off_says_so(shimmed):
    """The plain program runs, and nobody takes it for a launch that was checked."""
    code, out, err = shimmed("mpirun", "-x", "A", **LAUNCHER, MPIJOB_SHIM="off")
    assert (code, out) == (0, "plain -x A\n")
    assert "MPIJOB_SHIM=off: mpirun is the plain one" in err
    assert shimmed("mpirun", "--version", MPIJOB_SHIM="off")[2] == ""
    assert shimmed("mpirun", "-x", "A", MPIJOB_SHIM="off", MPIJOB_INSIDE="1")[2] == ""


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "true"), ("--daemonize",)])
def test_daemons_without_a_job_are_refused_in_a_launcher(arguments, shimmed, tmp_path):
    """``prte`` would have every rank that it is given later run in the launcher."""
    log = tmp_path / "termination-log"
    log.touch()
    code, _, err = shimmed("prte", *arguments, **LAUNCHER)
    assert code == 64
    assert "next: start the program by `mpirun" in err
    assert "prte: found in a job's launcher" in log.read_text()
    code, _, err = shimmed("mpirun", "--no-ready-msg", *arguments, **LAUNCHER)
    assert code == 64, err


@pytest.mark.parametrize("name", ["mpiexec", "orterun"])
def test_every_name_of_a_launcher_is_a_launch(name, shimmed, hostfile):
    """Whatever name Open MPI is called by, the pipeline is the same."""
    environ = LAUNCHER | {"OMPI_MCA_orte_default_hostfile": hostfile}
    code, out, err = shimmed(name, "-n", "2", "sh", "-c", "echo $RANK", **environ)
    assert code == 0, err
    assert sorted(out.split()) == ["0", "1"]
    assert "2 ranks started on 1 host" in err


def test_a_launchers_mpirun_is_a_launch_with_the_arguments_as_they_are(shimmed, hostfile, tmp_path):
    """The operator's `mpirun …` runs the whole pipeline, and the ranks have what they need."""
    environ = LAUNCHER | {
        "OMPI_MCA_orte_default_hostfile": hostfile,
        "MPIJOB_REPORT": str(tmp_path / "report.json"),
    }
    code, out, err = shimmed(
        "mpirun", "-n", "2", "sh", "-c", 'echo "$RANK $1"', "sh", "a  b", **environ
    )
    assert code == 0, err
    assert sorted(out.splitlines()) == ["0 a  b", "1 a  b"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["outcome"], report["world_size"]) == ("succeeded", 2)


def test_a_launchers_failure_passes_through(shimmed, hostfile):
    """The code is the rank's, the reason on stderr."""
    environ = LAUNCHER | {"OMPI_MCA_orte_default_hostfile": hostfile}
    code, _, err = shimmed("mpirun", "-n", "1", "sh", "-c", "exit 9", **environ)
    assert code == 9
    assert "failed first: exit code 9" in err


def test_a_shim_inside_a_rank_is_the_plain_program(shimmed, hostfile):
    """The recursion guard: mpirun within a rank does not start our pipeline again."""
    environ = LAUNCHER | {"OMPI_MCA_orte_default_hostfile": hostfile}
    code, out, err = shimmed("mpirun", "-n", "1", "mpirun", "--inner", **environ)
    assert code == 0, err
    assert out == "plain --inner\n"


def test_without_a_real_program_the_shim_says_so(shimmed):
    """A shim with nothing behind it is 127."""
    code, _, err = shimmed("mpirun.none", "-n", "1", "true", PATH=shimmed.place)
    assert code == 127
    assert "no real mpirun.none" in err


def test_a_wrong_variable_is_64(shimmed):
    """A shim has no flags, but variables."""
    code, _, err = shimmed("mpirun", "-n", "1", "true", MPIJOB_LOG_FORMAT="xml")
    assert code == 64
    assert "MPIJOB_LOG_FORMAT" in err


def test_the_entrypoint_becomes_the_command(shimmed):
    """Exit code and arguments are the command's own."""
    code, out, _ = shimmed("entrypoint", "sh", "-c", 'echo "$1"; exit 4', "sh", "a  b")
    assert (code, out) == (4, "a  b\n")


@pytest.mark.parametrize(("name", "expected"), [("/nowhere/x", 127), ("/etc/passwd", 126)])
def test_the_entrypoint_cannot_become_what_cannot_run(name, expected, shimmed):
    """Missing is 127, not executable 126, as shells have it."""
    code, _, err = shimmed("entrypoint", name)
    assert expected == code
    assert name in err


def test_the_entrypoint_without_a_command_shows_help(shimmed):
    """An image that is started with nothing to do explains itself."""
    code, out, _ = shimmed("entrypoint")
    assert code == 0
    assert "Usage: mpijob-runtime" in out


def test_sigterm_to_a_launchers_mpirun_ends_the_job(shimmed, hostfile, tmp_path, is_alive):
    """A pod that is deleted ends its ranks."""
    environ = shimmed.environ | LAUNCHER | {"OMPI_MCA_orte_default_hostfile": hostfile}
    script = f"echo $$ > {tmp_path}/pid; exec sleep 30"
    argv = [f"{shimmed.place}/mpirun", "-n", "1", "sh", "-c", script]
    with subprocess.Popen(argv, env=environ | {"MPIJOB_GRACE": "1"}) as process:
        deadline = time.monotonic() + 10
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 75
    assert not is_alive(int(pid.read_text()))


@needs_sshd
@pytest.mark.parametrize("environ", [{}, {"MPIJOB_SHIM": "off"}, {"MPIJOB_INSIDE": "1"}])
def test_a_question_to_sshd_is_answered_by_the_real_one(environ, shimmed):
    """``sshd -t`` says what the real sshd says, byte for byte."""
    arguments = ("-t", "-f", "/nowhere/sshd_config")
    expected = subprocess.run([SSHD, *arguments], capture_output=True, text=True, check=False)
    found = shimmed("sshd", *arguments, **environ)
    assert found == (expected.returncode, expected.stdout, expected.stderr)


@needs_sshd
def test_a_worker_whose_key_cannot_serve_leaves_word(shimmed, tmp_path):
    """78, and kubectl describe shows why: the termination log has the reason."""
    (tmp_path / "keys").mkdir()
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "keys" / "id_rsa"]
    subprocess.run(argv, check=True)
    log = tmp_path / "termination-log"
    log.touch()
    code, _, err = shimmed("sshd", "-De", MPIJOB_SSH_DIR=str(tmp_path / "keys"))
    assert code == 78
    assert "FIPS" in err
    assert "FIPS" in log.read_text()
