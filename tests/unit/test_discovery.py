import json
import os
import threading
import time

import pytest

from mpijob_runtime.cli import main
from mpijob_runtime.discovery import discover_hosts, probe_once, run_script
from mpijob_runtime.errors import HostfileError
from mpijob_runtime.hosts import Host
from mpijob_runtime.probes.ssh import HostRefusal

LAUNCHER = {"K_MPI_JOB_ROLE": "launcher", "OMPI_MCA_orte_set_default_slots": "3"}


class Connection:
    """A fake connection that says whether it was closed."""

    def __init__(self):
        self.closed = False

    def close(self):
        """Note it."""
        self.closed = True


@pytest.fixture
def script(tmp_path):
    """Return a function that writes a script and returns its path."""

    def write(*lines):
        path = tmp_path / "discover_hosts.sh"
        path.write_text("\n".join(("#!/bin/sh", *lines, "")))
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def discover(make_settings):
    """Return a function that discovers hosts for a launcher whose own name is ``me``."""

    def call(path, environ=LAUNCHER, **more):
        return discover_hosts(
            make_settings(environ, **more), script=path, hostname="me", timeout_seconds=2.0
        )

    return call


def test_each_host_is_asked_once_and_its_refusal_kept():
    """One round: a refusal is not tried again, and every connection is closed."""
    asked, made = [], []

    def connect(host):
        asked.append(host)
        if host == "w1":
            raise HostRefusal("tcp", "Connection refused")
        made.append(Connection())
        return made[-1]

    found = probe_once(["w0", "w1", "w2"], connect, 5.0)

    assert found == {"w0": None, "w1": "tcp: Connection refused", "w2": None}
    assert sorted(asked) == ["w0", "w1", "w2"]
    assert [it.closed for it in made] == [True, True]


def test_who_does_not_answer_in_time_is_missing():
    """A silent host costs the timeout, not more, and does not hide the others."""
    silence = threading.Event()

    def connect(host):
        if host == "silent":
            silence.wait(30)
        return Connection()

    began = time.monotonic()
    found = probe_once(["silent", "w1"], connect, 0.5)
    took = time.monotonic() - began
    silence.set()

    assert found == {"silent": "no answer in 0.5 s", "w1": None}
    assert took < 5


def test_a_bug_in_a_login_is_not_a_missing_host():
    """An exception that nobody expected ends the command instead of losing a host."""

    def connect(_host):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        probe_once(["w0"], connect, 5.0)


def test_a_script_is_run_and_read(script):
    """Its output is what is parsed."""
    assert run_script(script("echo w0", "echo w1:2"), 5.0) == b"w0\nw1:2\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [("exit 3", "exit code 3"), ("sleep 60", "no end within 0.3 s"), ("kill -9 $$", "code -9")],
)
def test_a_script_that_fails_is_an_error_with_its_path(line, found, script):
    """Not an empty list: horovodrun would then give up hosts that are there."""
    path = script("echo w0", line)
    began = time.monotonic()
    with pytest.raises(HostfileError, match=found) as caught:
        run_script(path, 0.3 if "sleep" in line else 10.0)
    assert time.monotonic() - began < 8
    assert caught.value.path == path


def test_a_script_that_cannot_run_is_an_error(tmp_path):
    """A file without the right to execute it says so."""
    path = tmp_path / "script"
    path.write_text("#!/nonexistent\n")
    path.chmod(0o755)
    with pytest.raises(HostfileError, match="no such file"):
        run_script(str(path), 5.0)


def test_this_container_needs_no_login(script, discover):
    """runLauncherAsWorker: the launcher is in its own list and runs no sshd."""
    found = discover(script("echo me.job.default.svc"))
    assert found.live == (Host("me.job.default.svc", 3),)


def test_slots_come_from_the_script_then_the_hostfile_then_the_operator(script, discover, tmp_path):
    """The script's number wins; hosts of the hostfile have theirs; new ones the default."""
    (tmp_path / "hostfile").write_text("me slots=5\n")
    more = {"hostfile": str(tmp_path / "hostfile")}

    slots = [discover(script(f"echo {line}"), **more).live[0].slots for line in ("me:2", "me")]
    default = discover(script("echo me.other"), **more).live[0].slots

    assert [*slots, default] == [2, 5, 3]


def test_without_a_script_the_hostfile_names_the_hosts(discover, tmp_path):
    """Trainer mounts no script."""
    (tmp_path / "hostfile").write_text("me slots=2\n")
    found = discover(str(tmp_path / "none"), hostfile=str(tmp_path / "hostfile"))
    assert (found.live, found.source) == ((Host("me", 2),), str(tmp_path / "hostfile"))


def test_nobody_runs_yet_is_no_error(script, monkeypatch, capsys):
    """An empty list is an answer: nothing is printed, and the code is 0."""
    for name in list(os.environ):
        if name.startswith(("MPIJOB_", "OMPI_", "K_MPI_")):
            monkeypatch.delenv(name)
    assert main(["discover-hosts", "--script", script("true")]) == 0
    assert capsys.readouterr().out == ""


def test_a_script_that_prints_nonsense_leaves_stdout_empty(script, capsys):
    """Horovodrun reads stdout: it has host lines or nothing."""
    path = script("echo cannot find any pod")
    assert main(["discover-hosts", "--script", path]) == 65
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{path}:1: found 'cannot find any pod'" in printed.err.replace("\n", " ")


def test_json_has_who_is_there_and_who_is_not(script, capsys):
    """--json names the source, too."""
    path = script(f"echo {os.uname().nodename}:2")
    assert main(["discover-hosts", "--json", "--script", path]) == 0
    found = json.loads(capsys.readouterr().out)
    hosts = [{"name": os.uname().nodename, "slots": 2}]
    assert found == {"hosts": hosts, "missing": {}, "source": path}
