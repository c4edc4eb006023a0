"""Options and fixtures that all tests share."""

import os
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
    """Know pytest-mpi's marker on machines without that plugin, too."""
    config.addinivalue_line("markers", "mpi: runs under mpirun (pytest-mpi, --with-mpi)")


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
