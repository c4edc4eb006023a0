import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from mpijob_runtime.cli import main
from mpijob_runtime.probes.ssh import HostRefusal, probe_ssh

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the worker here runs as root")


class Worker:
    """A worker's container as far as its processes go."""

    def __init__(self, environ, port, *arguments):
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mpijob_runtime", "worker", *arguments],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )

    def connect(self, identity):
        """Log in as soon as it is up."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return probe_ssh("127.0.0.1", port=self.port, identity=identity, timeout_seconds=5)
            except HostRefusal:
                assert self.process.poll() is None, self.process.stderr.read()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@pytest.fixture
def worker(bare_environ, keys, make_server, tmp_path):
    """Return a running worker with the job's key in a mounted directory."""
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(keys / "job", secret / "id_rsa")
    shutil.copy(keys / "job.pub", secret / "authorized_keys")
    port = make_server().port
    environ = bare_environ | {
        "MPIJOB_SSH_DIR": str(secret),
        "MPIJOB_SSH_PORT": str(port),
        "MPIJOB_HOST_NAMES": "127.0.0.1",
        "MPIJOB_GRACE": "2",
        "DATA": "line 1\nline 'two'",
    }
    started = Worker(environ, port)
    yield started
    started.process.terminate()
    started.process.communicate(timeout=20)


def test_a_worker_takes_the_jobs_login(worker, identity):
    """From a mounted secret to a working login, with the run directory in the session."""
    connection = worker.connect(identity)
    assert connection.run('test -f "$MPIJOB_RUN_DIR/worker.pid"').exit_code == 0
    connection.close()


def test_a_rank_on_a_worker_has_the_containers_variables(worker, identity):
    """What the pod's spec sets reaches the rank, newlines and quotes included."""
    connection = worker.connect(identity)
    command = f"{sys.executable} -m mpijob_runtime.rank sh -c 'printf %s \"$DATA\"'"
    assert connection.run(command).stdout == "line 1\nline 'two'"
    connection.close()


def test_the_healthcheck_agrees(worker, identity, monkeypatch, capsys):
    """A worker that takes logins is ready."""
    worker.connect(identity).close()
    monkeypatch.setenv("MPIJOB_SSH_PORT", str(worker.port))
    assert main(["healthcheck"]) == 0
    assert capsys.readouterr().err == ""


def test_sigterm_ends_the_worker_and_what_runs_on_it(worker, identity, is_alive):
    """A deleted pod's ranks get SIGTERM and time to end; the worker ends with 0."""
    connection = worker.connect(identity)
    script = "trap 'sleep 0.2; echo saved; exit' TERM; echo $$; while :; do sleep 0.05; done"
    channel = connection.start(
        f"{sys.executable} -m mpijob_runtime.rank sh -c {shlex.quote(script)}"
    )
    pid = int(channel.read(timeout_seconds=10))
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert not is_alive(pid)
    connection.close()


def test_a_worker_without_a_key_ends_with_78(bare_environ, tmp_path):
    """Nothing to log in with: said at once, with the remedy."""
    environ = bare_environ | {"MPIJOB_SSH_DIR": str(tmp_path / "empty")}
    worker = Worker(environ, 0)
    _, errors = worker.process.communicate(timeout=20)
    assert worker.process.returncode == 78
    assert "no ssh key" in errors
    assert "Traceback" not in errors
