"""Options and fixtures that all tests share."""

import os
import signal
import sys

import pytest


def pytest_addoption(parser):
    """Offer ``--update-golden``."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the code gives to the golden files instead of comparing",
    )


def pytest_configure(config):
    """Know pytest-mpi's marker without that plugin; let signals be as a terminal has them.

    A shell starts its background jobs with SIGINT ignored, nohup with SIGHUP, and what tests start
    would inherit it.
    """
    config.addinivalue_line("markers", "mpi: runs under mpirun (pytest-mpi, --with-mpi)")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # ignored here, not in what tests start


@pytest.fixture
def golden(request):
    """Return a function that compares a text with a file under golden/ beside the test."""

    def check(name, found):
        path = request.path.parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(found, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden and read the diff"
        expected = path.read_text(encoding="utf-8")
        assert expected == found, "run pytest --update-golden if the change is wanted"

    return check


@pytest.fixture
def bare_environ(tmp_path):
    """Return an environment for child processes that holds nothing of this machine's."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    home = tmp_path / "home"
    home.mkdir()
    python = os.path.dirname(sys.executable)
    return {
        "PATH": f"{python}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "MPIJOB_RUN_DIR": str(tmp_path / "run"),
        "MPIJOB_TERMINATION_LOG": str(tmp_path / "termination-log"),
        **kept,
    }


@pytest.fixture
def is_alive():
    """Return a function that tells whether a process runs and is no zombie."""

    def ask(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return file.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    return ask


FAKE_MPIRUN = """#!/bin/sh
# Stands in for Open MPI's mpirun: starts -n ranks here, each behind the fork agent.
if [ "$1" = --version ]; then echo 'mpirun (Open MPI) 4.1.4'; exit 0; fi
[ "$1" = -n ] || { echo "plain $*"; exit 0; }
n=$2
shift 2
[ "$1" != --map-by ] || shift 2
i=0
while [ $i -lt "$n" ]; do
  OMPI_COMM_WORLD_RANK=$i OMPI_COMM_WORLD_SIZE=$n OMPI_COMM_WORLD_LOCAL_RANK=$i \\
  OMPI_COMM_WORLD_LOCAL_SIZE=$n $OMPI_MCA_orte_fork_agent "$@" &
  pids="$pids $!"
  i=$((i + 1))
done
trap 'kill $pids' TERM
code=0
for pid in $pids; do
  wait "$pid" || { last=$?; [ $code -ne 0 ] || code=$last; }
done
exit $code
"""


@pytest.fixture
def local_mpi(tmp_path, bare_environ):
    """Return an environment with a stand-in for mpirun and the real rank wrapper."""
    place = tmp_path / "mpi"
    place.mkdir()
    wrapper = f'#!/bin/sh\nexec {sys.executable} -m mpijob_runtime.rank "$@"\n'
    for name, text in (("mpirun", FAKE_MPIRUN), ("rank", wrapper)):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return bare_environ | {
        "PATH": f"{place}:{bare_environ['PATH']}",
        "MPIJOB_RANK_WRAPPER": f"{place}/rank",
        "MPIJOB_TERMINATION_LOG": str(tmp_path / "termination-log"),
    }
