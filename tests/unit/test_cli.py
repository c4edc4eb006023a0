import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime import __version__
from mpijob_runtime.cli import COMMANDS, main
from mpijob_runtime.facts import NcclFacts
from mpijob_runtime.probes import gpu_child, nccl
from mpijob_runtime.probes.gpu import probe_gpus

LR = ("lr", "--base-lr", "0.1", "--base-batch", "256", "--micro-batch", "32")


@pytest.fixture(autouse=True)
def _no_variables_of_this_machine(monkeypatch):
    """Commands read the environment: start from none of ours and no operator's."""
    for name in list(os.environ):
        if name.startswith(("MPIJOB_", "OMPI_", "K_MPI_", "PRTE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def run(capsys):
    """Return a function that runs a command line and returns code, stdout and stderr."""

    def call(*argv):
        code = main(list(argv))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def hostfile(tmp_path):
    """Return the path of a hostfile with two workers."""
    path = tmp_path / "hostfile"
    path.write_text("w0.job:2\nw1.job slots=3\n")
    return str(path)


@pytest.fixture
def mpi(local_mpi, monkeypatch):
    """Put the stand-in for mpirun on PATH."""
    for name in ("PATH", "MPIJOB_RANK_WRAPPER", "MPIJOB_RUN_DIR", "MPIJOB_TERMINATION_LOG"):
        monkeypatch.setenv(name, local_mpi[name])


@pytest.mark.parametrize(
    "argv", [("--help",), ("-h",), *((name, "--help") for name in COMMANDS)], ids=" ".join
)
def test_the_help_of_every_command_has_an_example(argv, run):
    """Who asks for help sees a command line to copy."""
    code, out, _ = run(*argv)
    assert code == 0
    assert "Example" in out
    assert "mpijob-runtime " in out.split("Example", 1)[1] or "[mpijob-runtime" in out


def test_help_lists_every_command(run):
    """No command is hidden."""
    _, out, _ = run("--help")
    assert all(name in out for name in COMMANDS)


def test_without_arguments_there_is_help(run):
    """An empty command line is a question, not an error."""
    code, out, _ = run()
    assert code == 0
    assert "Usage: mpijob-runtime" in out


def test_the_version_is_the_packages(run):
    """--version prints one line."""
    assert run("--version") == (0, f"mpijob-runtime {__version__}\n", "")


@pytest.mark.parametrize(
    "argv",
    [
        ("no-such-command",),
        ("--no-such-flag",),
        ("hosts", "--no-such-flag"),
        ("hosts", "argument"),
        ("launch",),
        ("launch", "-n"),
        ("launch", "-n", "two", "--", "true"),
        ("launch", "-n", "0", "--", "true"),
        ("launch", "--timeout", "soon", "--", "true"),
        ("launch", "--timeout", "-1", "--host", "localhost", "--", "true"),
        ("launch", "--grace", "nan", "--host", "localhost", "--", "true"),
        ("launch", "--env", "A-B=1", "--host", "localhost", "--", "true"),
        ("launch", "--env", "NOT_SET_ANYWHERE", "--host", "localhost", "--", "true"),
        ("plan", "--json"),
        ("plan", "-n", "9", "--host", "localhost:2", "--", "true"),
        ("wait", "--timeout", "x"),
        ("lr", "--base-lr", "0.1"),
        (*LR, "--world-size", "0"),
        (*LR, "--world-size", "eight"),
        (*LR, "--world-size", "8", "--base-lr", "nan"),
        (*LR, "--world-size", "8", "--rule", "cubic"),
        (*LR, "--world-size", "8", "--adasum", "3"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("mpi")
def test_a_wrong_command_line_is_64_and_no_traceback(argv, run):
    """Every usage error says what is wrong on stderr and nothing on stdout."""
    code, out, err = run(*argv)
    assert code == 64
    assert out == ""
    assert err
    assert "Traceback" not in err


def test_a_wrong_variable_is_64(run, monkeypatch):
    """A variable is as much usage as a flag."""
    monkeypatch.setenv("MPIJOB_SSH_PORT", "ssh")
    code, _, err = run("hosts", "--host", "localhost")
    assert code == 64
    assert "MPIJOB_SSH_PORT" in err


def test_hosts_prints_open_mpis_form(run, hostfile):
    """Whatever the spelling, out comes one that every Open MPI reads."""
    expected = (0, "w0.job slots=2\nw1.job slots=3\n", "")
    assert expected == run("hosts", "--hostfile", hostfile)


def test_hosts_json_has_the_shape_of_the_contract(run, hostfile):
    """Hosts, world size and source, and nothing else."""
    code, out, _ = run("hosts", "--hostfile", hostfile, "--json")
    assert code == 0
    assert json.loads(out) == {
        "hosts": [{"name": "w0.job", "slots": 2}, {"name": "w1.job", "slots": 3}],
        "world_size": 5,
        "source": hostfile,
    }


def test_a_flag_wins_over_the_variable(run, hostfile, monkeypatch):
    """--host and --hostfile come before MPIJOB_HOSTFILE."""
    monkeypatch.setenv("MPIJOB_HOSTFILE", "/nowhere")
    assert run("hosts", "--hostfile", hostfile)[0] == 0
    assert run("hosts", "--host", "a:2")[1] == "a slots=2\n"
    assert run("hosts")[0] == 65


@pytest.mark.parametrize("place", ["missing", "."])
def test_a_hostfile_that_cannot_be_read_is_65(place, run, tmp_path):
    """Missing, or a directory: path, why, and where to look."""
    path = os.path.join(tmp_path, place)
    code, out, err = run("hosts", "--hostfile", path)
    assert (code, out) == (65, "")
    assert f"{path}: found" in err
    assert "next: " in err


def test_without_any_hosts_it_is_65_and_never_a_local_run(run):
    """Nothing named and no operator: an error."""
    code, _, err = run("launch", "--", "touch", "/nowhere/ran")
    assert code == 65
    assert "no hostfile" in err


def test_an_empty_hostfile_is_never_a_local_run(run, tmp_path):
    """An empty file ends with 65 and says how to ask for a local run."""
    (tmp_path / "hostfile").touch()
    code, _, err = run("launch", "--hostfile", str(tmp_path / "hostfile"), "--", "true")
    assert code == 65
    assert "--host localhost" in err


@pytest.mark.usefixtures("mpi")
def test_plan_json_has_the_shape_of_the_contract(run, hostfile):
    """The plan's keys, with each variable's value, source and reason."""
    argv = (
        "--hostfile",
        hostfile,
        "--env",
        "STORE=https://me:hunter2@store",
        "--",
        "python",
        "-c",
        "a b",
    )
    code, out, err = run("plan", "--json", *argv)
    data = json.loads(out)
    assert (code, err) == (0, "")
    keys = ["mpi", "hosts", "world_size", "argv", "environ", "rank_environ", "binding"]
    assert list(data) == keys
    assert data["mpi"] == {"name": "Open MPI", "version": "4.1.4"}
    assert data["world_size"] == 5
    assert data["argv"][-3:] == ["python", "-c", "a b"]
    assert data["environ"]["OMPI_MPIJOB_ATTEMPT"]["why"] == "decided at launch"
    assert "hunter2" not in data["environ"]["OMPI_MPIJOB_ENV_STORE"]["value"]


@pytest.mark.usefixtures("mpi")
def test_plan_refuses_to_forward_a_secret(run, hostfile):
    """64 before anything runs; the value is not repeated, and the next step is named."""
    argv = ("--hostfile", hostfile, "--env", "HF_TOKEN=hunter2", "--", "true")
    code, out, err = run("plan", *argv)
    assert (code, out) == (64, "")
    assert "--env HF_TOKEN" in err
    assert "secretKeyRef" in err
    assert "hunter2" not in err


@pytest.mark.usefixtures("mpi")
def test_plan_touches_nothing(run, hostfile, tmp_path):
    """No run directory, no connection, no mpirun."""
    before = sorted(os.listdir(tmp_path))
    assert run("plan", "--hostfile", hostfile, "--", "true")[0] == 0
    assert before == sorted(os.listdir(tmp_path))


@pytest.mark.usefixtures("mpi")
def test_plan_says_n_beyond_the_slots_with_the_arithmetic(run, hostfile):
    """64, and how many slots there are."""
    code, _, err = run("plan", "-n", "6", "--hostfile", hostfile, "--", "true")
    assert code == 64
    assert "2 + 3 = 5 slots" in err


def test_plan_without_mpirun_is_78(run, hostfile, monkeypatch):
    """No mpirun in this container: a retry cannot help."""
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = run("plan", "--hostfile", hostfile, "--", "true")
    assert code == 78
    assert "MPIJOB_MPIRUN" in err


@pytest.mark.parametrize("command", ["plan", "launch"])
@pytest.mark.parametrize("form", [(b"--json",), ()], ids=["json", "text"])
def test_bytes_that_are_no_unicode_are_no_traceback(command, form, local_mpi):
    """A value or path from outside may hold any bytes."""
    argv = [sys.executable, "-m", "mpijob_runtime", command]
    if command == "plan":
        argv += [*form, "--host", "localhost", "--env", b"A=\xff", "--", "true"]
    else:
        argv += ["--hostfile", b"/nowhere/\xff", "--report", "r.json", "--", "true"]
    cwd = local_mpi["HOME"]
    answer = subprocess.run(argv, env=local_mpi, capture_output=True, check=False, cwd=cwd)
    assert b"Traceback" not in answer.stderr
    assert answer.returncode == (0 if command == "plan" else 65)


def test_a_reader_that_goes_away_is_no_traceback(local_mpi):
    """``mpijob-runtime plan … | head -1`` ends quietly."""
    command = f"{sys.executable} -m mpijob_runtime hosts --host "
    hosts = ",".join(f"w{number}" for number in range(20000))
    script = f"{command}{hosts} | head -1"
    answer = subprocess.run(
        ["/bin/sh", "-c", script], env=local_mpi, capture_output=True, text=True, check=False
    )
    assert answer.stdout == "w0 slots=1\n"
    assert "Traceback" not in answer.stderr
    assert "Exception ignored" not in answer.stderr


@pytest.mark.usefixtures("mpi")
def test_probe_json_has_every_group_of_facts(run):
    """From the system to NCCL, as plain data."""
    code, out, _ = run("probe", "--json")
    data = json.loads(out)
    assert code == 0
    groups = ["system", "user", "key", "mpi", "rank_wrapper", "rsh", "host", "control_interface"]
    assert list(data) == [*groups, "directory", "gpu", "nccl"]
    assert data["mpi"]["version"] == "4.1.4"
    assert isinstance(data["system"]["capabilities"], list)


@pytest.mark.usefixtures("mpi")
def test_probe_shows_gpus_and_nccl(run, monkeypatch):
    """Of a hand-made host, as text and as JSON."""
    host = probe_gpus(FakeNvml(hand_made.with_nvswitch(count=2)))
    library = NcclFacts("/x/libnccl.so.2", "2.29.7", "Python package")
    monkeypatch.setattr(gpu_child, "probe_gpus_in_child", lambda _seconds: host)
    monkeypatch.setattr(nccl, "probe_nccl", lambda _environ, python: library)
    _, out, _ = run("probe")
    assert "gpu: GPU 1: NVIDIA H100 80GB HBM3, 80.0 GiB, GPU-" in out
    assert "gpu: GPU1 NV18 X\n" in out
    assert "nccl: 2.29.7, /x/libnccl.so.2 (Python package)\n" in out
    data = json.loads(run("probe", "--json")[1])
    assert [gpu["index"] for gpu in data["gpu"]["gpus"]] == [0, 1]
    assert data["nccl"]["version"] == "2.29.7"


@pytest.mark.usefixtures("mpi")
def test_probe_prints_one_fact_a_line(run):
    """People read lines."""
    code, out, _ = run("probe")
    assert code == 0
    assert "mpi.version: 4.1.4\n" in out
    assert all(": " in line for line in out.splitlines())


@pytest.mark.usefixtures("mpi")
def test_wait_for_this_container_is_over_at_once(run):
    """A local host needs no login."""
    code, out, _ = run("wait", "--host", "localhost", "--json")
    data = json.loads(out)
    assert code == 0
    assert (data["ready"], data["missing"]) == (["localhost"], {})
    assert data["waited_seconds"] < 5


@pytest.mark.parametrize("form", [("--json",), ()], ids=["json", "text"])
@pytest.mark.usefixtures("mpi")
def test_wait_names_the_hosts_that_are_missing(form, run, tmp_path, monkeypatch):
    """69 within the deadline, with the reason of each host."""
    argv = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", tmp_path / "id_rsa"]
    subprocess.run(argv, check=True)
    monkeypatch.setenv("MPIJOB_SSH_DIR", str(tmp_path))
    monkeypatch.setenv("MPIJOB_SSH_PORT", "1")
    code, out, err = run("wait", "--timeout", "0.3", "--host", "127.0.0.3,127.0.0.2", *form)
    assert code == 69
    if form:
        data = json.loads(out)
        assert (data["ready"], list(data["missing"])) == ([], ["127.0.0.3", "127.0.0.2"])
        assert data["missing"]["127.0.0.2"].startswith("tcp: Connection refused")
    else:
        assert "127.0.0.2: tcp: Connection refused" in err


@pytest.fixture
def serve(monkeypatch):
    """Return a function that serves one connection with bytes, and sets the port's variable."""
    threads = []

    def start(data):
        server = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setenv("MPIJOB_SSH_PORT", str(server.getsockname()[1]))

        def answer():
            with server, server.accept()[0] as connection:
                connection.sendall(data)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(5)


def test_healthcheck_is_0_for_an_ssh_banner(serve, run):
    """Sshd answers: ready."""
    serve(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    assert run("healthcheck") == (0, "", "")


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b""])
def test_healthcheck_is_1_for_anything_else(data, serve, run):
    """Another server on the port, or one that says nothing, is not ready."""
    serve(data)
    code, _, err = run("healthcheck")
    assert code == 1
    assert f"found {data!r}, wanted an ssh banner" in err


def test_healthcheck_is_1_if_nobody_listens(run, monkeypatch):
    """No sshd yet: not ready, with the port and why."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MPIJOB_SSH_PORT", str(port))
    assert run("healthcheck") == (1, "", f"port {port}: Connection refused\n")


def test_lr_explains_rule_by_rule(run):
    """The chosen rule in words, then each rule's rate, formula and paper."""
    code, out, err = run(*LR, "--world-size", "64", "--rule", "sqrt")
    assert (code, err) == (0, "")
    assert out.startswith("learning rate 0.282843 = 0.1 x 2.82843\n")
    table = [line.split() for line in out.partition("\n\n")[2].splitlines()]
    assert table[0][:3] == ["rule", "factor", "rate"]
    assert [row[:4] for row in table[1:]] == [
        ["linear", "8", "0.8", "base"],
        ["*", "sqrt", "2.82843", "0.282843"],
        ["none", "1", "0.1", "base"],
    ]


def test_lr_json_has_the_plan_and_the_other_rules(run):
    """AdaSum is listed where it was asked for."""
    code, out, _ = run(*LR, "--world-size", "64", "--adasum", "8", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["rule"], found["factor"], found["effective_batch"]) == ("adasum", 8.0, 2048)
    assert [each["rule"] for each in found["rules"]] == ["linear", "sqrt", "none", "adasum"]
