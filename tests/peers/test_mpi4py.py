"""mpi4py's own test suite: a launch on two hosts gives what plain Open MPI gives.

A short form by default; ``make peers`` runs all of it (``MPIJOB_PEERS=whole``).
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engines import existing_image
from jobs import Job, run_job

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WHOLE = os.environ.get("MPIJOB_PEERS") == "whole"
SECONDS = 1800 if WHOLE else 280

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(SECONDS)]

SHORT = (
    *("attributes", "cco_buf", "cco_nb_buf", "cco_ngh_buf", "cco_obj", "cco_vec", "comm"),
    *("comm_topo", "errhandler", "group", "op", "p2p_buf", "p2p_buf_matched", "p2p_obj"),
    *("pack", "request", "rma", "rma_nb", "threads", "win"),
)
"""Modules that send, collect and map memory: what is left has little to do with us."""

ALL = (r"^test_(?!spawn|dynproc|file|io)",)
"""But for files, which want one file system on both hosts, and for starting more processes, where
Open MPI 5.0.11 crashes on two hosts, plain or not."""

RANKS = ("0", "1")


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Return a directory to build the image in: mpi4py's sources by pip, checked by their hash."""
    place = tmp_path_factory.mktemp("peers")
    wanted = ("--requirement", str(HERE / "requirements.txt"), "--dest", str(place))
    how = ("--require-hashes", "--no-deps", "--no-binary=:all:", "--no-build-isolation")
    argv = (sys.executable, "-m", "pip", "download", "--quiet", *how, *wanted)
    subprocess.run(argv, check=True)
    for name in ("Containerfile", "compare.sh"):
        shutil.copy(HERE / name, place)
    return place


@pytest.fixture
def image(open_mpi, podman, sources):
    """Return the test image with mpi4py's suite in it."""
    existing_image(podman, f"mpijob-runtime:test-ompi{open_mpi}")
    tag = f"mpijob-peers:mpi4py-ompi{open_mpi}"
    podman.run("build", "--quiet", f"--build-arg=OPEN_MPI={open_mpi}", f"--tag={tag}", str(sources))
    return tag


def test_mpi4pys_suite_gives_what_it_gives_under_plain_open_mpi(image, tmp_path):
    """With the best settings that plain Open MPI has; every rank, each failure by its name."""
    modules = ALL if WHOLE else (rf"^test_({'|'.join(SHORT)})\.py$",)
    command = ("bash", "/home/mpiuser/compare.sh", *modules)

    ended = run_job(Job("peers", image, command), tmp_path, "--quiet", seconds=SECONDS)

    said = re.findall(r"^peer: (plain|ours), rank (\d+): (.*)$", ended.text, re.MULTILINE)
    plain, ours = (
        {rank: words for way, rank, words in said if way == w} for w in ("plain", "ours")
    )
    assert tuple(sorted(plain)) == RANKS, ended.text
    assert ours == plain, ended.text
    ran = [int(words.partition("Ran ")[2].split()[0]) for words in ours.values()]
    assert min(ran) > len(SHORT), ended.text


def test_the_suite_is_that_of_the_mpi4py_in_the_images():
    """Another version's tests would say little."""
    pin = re.compile(r"^mpi4py==(\S+)", re.MULTILINE)
    names = ("torch.txt", "test.txt")
    files = (HERE / "requirements.txt", *(ROOT / "images/requirements" / name for name in names))
    versions = {pin.search(path.read_text(encoding="utf-8"))[1] for path in files}
    assert len(versions) == 1
