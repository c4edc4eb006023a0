import os
import socket
import subprocess
import sys
import threading

import pytest

from mpijob_runtime.daemons import DaemonStarter
from mpijob_runtime.probes.ssh import HostRefusal
from mpijob_runtime.rsh import split_arguments


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("w0", "orted"), ("w0", "orted")),
        (("w0", "PATH=/x ;", "orted", "-mca", "a"), ("w0", "PATH=/x ; orted -mca a")),
        (("-x", "w0", "orted"), ("w0", "orted")),
        (("-o", "ConnectionAttempts=10", "w0", "orted"), ("w0", "orted")),
        (("-oConnectionAttempts=10", "w0", "orted"), ("w0", "orted")),
        (("-F", "/cfg", "-p", "22", "-q", "w0", "orted"), ("w0", "orted")),
        (("-p22", "w0", "orted"), ("w0", "orted")),
        (("-xp", "22", "w0", "orted"), ("w0", "orted")),
        (("-l", "me", "w0", "orted"), ("w0", "orted")),
        (("me@w0", "orted"), ("w0", "orted")),
        (("--", "w0", "orted"), ("w0", "orted")),
        (("-x", "--", "w0", "orted", "-o", "x"), ("w0", "orted -o x")),
    ],
)
def test_an_ssh_command_line_is_split(arguments, expected):
    """Switches, with their values wherever those stand, are ssh's; the rest is host and command."""
    assert split_arguments(arguments) == expected


@pytest.mark.parametrize("arguments", [(), ("w0",), ("-x",), ("-p", "w0"), ("-o", "a", "w0")])
def test_without_host_and_command_it_is_refused(arguments):
    """An interactive login is none of mpirun's."""
    with pytest.raises(ValueError, match="wanted a host and a command"):
        split_arguments(arguments)


class FakeChannel:
    """Stands in for a command on a host."""

    def __init__(self, pieces, code):
        self.pieces, self.code = list(pieces), code

    def read(self):
        """Return the next piece."""
        return self.pieces.pop(0) if self.pieces else b""

    def exit_code(self):
        """Return the code."""
        return self.code

    @property
    def code_so_far(self):
        """Return the code: it has ended."""
        return self.code


class FakeConnection:
    """Stands in for an ssh connection."""

    def __init__(self, host, *pieces, code=0, refusal=None):
        self.host = host
        self.pieces, self.code, self.refusal = pieces, code, refusal
        self.commands = []

    def start(self, command, *, merge_stderr):
        """Note the command."""
        assert merge_stderr
        self.commands.append(command)
        if self.refusal:
            raise self.refusal
        return FakeChannel(self.pieces, self.code)


RSH = "from mpijob_runtime.rsh import main; main()"


@pytest.fixture
def serve(tmp_path):
    """Return a function that serves connections, and calls rsh as mpirun does."""
    services = []
    outsiders = []

    def call(connections, *arguments, run_dir=tmp_path, environ=None):
        run_dir.mkdir(parents=True, exist_ok=True)
        service = DaemonStarter(
            [connection.host for connection in connections],
            attempt="1-a",
            run_dir=str(run_dir),
            on_outsider=outsiders.append,
        )
        service.start()
        for connection in connections:
            service.add(connection)
        service.complete()
        services.append(service)
        answer = subprocess.run(
            [sys.executable, "-c", RSH, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "OMPI_MPIJOB_ATTEMPT": "1-a",
                "MPIJOB_RUN_DIR": str(run_dir),
                **(environ or {}),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        call.contacted, call.ended = service.contacted, service.ended
        return answer.returncode, answer.stdout, answer.stderr

    call.outsiders = outsiders
    yield call
    for service in services:
        service.close()


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_a_daemon_starts_over_the_open_connection(code, serve):
    """The command, its output and its exit code are ssh's; it carries the attempt."""
    connection = FakeConnection("w0.job.svc", b"orted: ", b"oops\n", code=code)
    found = serve([connection], "-x", "w0.job.svc", "orted", "-mca", "x")
    assert found == (code, "", "orted: oops\n")
    assert connection.commands == ["export OMPI_MPIJOB_ATTEMPT=1-a; orted -mca x\nexit $?"]
    assert serve.ended == {"w0.job.svc": code}
    assert serve.contacted == {"w0.job.svc"}


def test_a_host_is_known_by_its_short_name_too(serve):
    """PRRTE cuts domains."""
    connection = FakeConnection("w0.job.svc")
    assert serve([connection], "w0", "prted")[0] == 0
    assert serve.contacted == {"w0.job.svc"}


def test_a_connection_that_broke_is_255_with_its_reason(serve):
    """As ssh has it, which mpirun understands."""
    refusal = HostRefusal("session", "connection lost")
    code, _, errors = serve([FakeConnection("w0", refusal=refusal)], "w0", "orted")
    assert code == 255
    assert errors == "mpijob: w0: session: connection lost\n"


def test_a_host_outside_of_the_plan_is_reached_by_ssh(serve, tmp_path):
    """With the arguments as they came and our configuration; the launcher learns of it."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\necho "$@"\nexit 9\n')
    ssh.chmod(0o755)
    run_dir = tmp_path / "run"
    environ = {"PATH": f"{ssh.parent}:/usr/bin:/bin"}
    found = serve([], "-x", "me@stranger", "orted", run_dir=run_dir, environ=environ)
    assert found == (9, f"-F {run_dir}/ssh_config -x me@stranger orted\n", "")
    assert serve.outsiders == ["stranger"]


def test_a_long_run_directory_is_no_obstacle(serve, tmp_path):
    """The name of a socket has 107 bytes at most."""
    run_dir = tmp_path / ("d" * 100) / ("e" * 100)
    assert serve([FakeConnection("w0")], "w0", "orted", run_dir=run_dir)[0] == 0


def test_without_a_launcher_rsh_says_so(serve, tmp_path):
    """255, and the host in the message."""
    environ = {"OMPI_MPIJOB_ATTEMPT": "2-b"}
    code, _, errors = serve([], "w0", "orted", environ=environ)
    assert code == 255
    assert errors.startswith("mpijob: w0: no answer of the launcher: ")


def test_a_command_line_without_a_command_is_255(serve):
    """And no traceback."""
    code, _, errors = serve([], "w0")
    assert code == 255
    assert "wanted a host and a command" in errors


@pytest.mark.parametrize("request_", [b"", b"\n", b"w0", b"\0\0", b"\xff" * 99])
def test_nonsense_on_the_socket_does_not_end_the_service(request_, serve, tmp_path):
    """The next caller is served."""
    serve([FakeConnection("w0")], "w0", "orted")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(f"{tmp_path}/rsh-1-a")
        caller.sendall(request_)
        caller.shutdown(socket.SHUT_WR)
        caller.settimeout(5)
        caller.recv(99)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(f"{tmp_path}/rsh-1-a")
        caller.sendall(b"w0\0orted")
        caller.shutdown(socket.SHUT_WR)
        caller.settimeout(5)
        assert caller.makefile("rb").read() == b"\x000\n"


def test_closing_removes_the_socket_and_ends_the_thread(tmp_path):
    """Nothing is left of the service."""
    service = DaemonStarter([], attempt="1-a", run_dir=str(tmp_path), on_outsider=print)
    service.start()
    service.close()
    assert os.listdir(tmp_path) == []
    for thread in threading.enumerate():
        if thread.name == "daemons":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("pieces", [(b"a\0b", b"\0"), (b"\0", b"x\n"), (b"a" * 300_000,)])
def test_whatever_a_daemon_says_is_passed_on(pieces, serve):
    """But for NULs, which end the talk between launcher and rsh."""
    code, _, errors = serve([FakeConnection("w0", *pieces, code=3)], "w0", "orted")
    assert (code, errors) == (3, b"".join(pieces).replace(b"\0", b"").decode())


class Calls:
    """mpirun's calls for two hosts, before those are ready."""

    def __init__(self, run_dir):
        self.run_dir = str(run_dir)
        self.service = DaemonStarter(
            ["w0.job.svc", "w1.job.svc"], attempt="1-a", run_dir=self.run_dir, on_outsider=print
        )
        self.service.start()
        self.callers = {host: self._call(host) for host in (b"w0", b"w1")}

    def _call(self, host):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(f"{self.run_dir}/rsh-1-a")
        caller.sendall(host + b"\0orted")
        caller.shutdown(socket.SHUT_WR)
        return caller

    def answer(self, host, seconds=5.0):
        """Return what a caller is told; None if nothing is said yet."""
        self.callers[host].settimeout(seconds)
        try:
            with self.callers[host].makefile("rb") as file:
                return file.read()
        except TimeoutError:
            return None
        except ConnectionResetError:  # it had not been accepted yet
            return b""


@pytest.fixture
def calls(tmp_path):
    """Return calls that wait."""
    calls = Calls(tmp_path)
    yield calls
    calls.service.close()
    for caller in calls.callers.values():
        caller.close()


def test_a_call_waits_for_its_host(calls):
    """Mpirun may start before the hosts are there: each daemon starts as its host gets ready."""
    assert calls.answer(b"w0", 0.1) is None
    calls.service.add(FakeConnection("w0.job.svc"))
    assert calls.answer(b"w0") == b"\x000\n"
    assert calls.answer(b"w1", 0.1) is None


def test_the_last_host_waits_for_all_checks(calls):
    """No rank can start before everything is known to be right."""
    calls.service.add(FakeConnection("w1.job.svc"))
    calls.service.add(FakeConnection("w0.job.svc"))
    assert calls.answer(b"w1") == b"\x000\n"
    assert calls.answer(b"w0", 0.1) is None
    calls.service.complete()
    assert calls.answer(b"w0") == b"\x000\n"


def test_calls_that_wait_end_with_the_service(calls):
    """A host that never comes leaves nobody hanging."""
    calls.service.close()
    assert calls.answer(b"w0") == b""
    assert calls.service.contacted == set()
