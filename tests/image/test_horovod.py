"""Horovod in its image: what it was built with, what it computes, and horovodrun."""

from pathlib import Path

import pytest
from engines import existing_image

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]
CHECKS = Path(__file__).with_name("horovod_checks.py")
LAUNCHER = "--env=K_MPI_JOB_ROLE=launcher"


@pytest.fixture
def inside(podman, open_mpi):
    """Return a function that runs a command in the horovod image."""
    image = existing_image(podman, f"mpijob-runtime:horovod-ompi{open_mpi}")

    def run(*command, options=()):
        arguments = ("run", "--rm", "--network=none", f"--volume={CHECKS}:/checks.py:ro", *options)
        return podman.run(*arguments, image, *command, accept=range(256))

    return run


@pytest.mark.parametrize(
    "launcher",
    [
        ("mpijob-runtime", "launch", "--host", "localhost:4", "--"),
        # bare Open MPI 5 refuses to bind more ranks than there are cores
        ("mpirun", "--bind-to", "none", "--host", "localhost:4", "-n", "4"),
        ("horovodrun", "-np", "4"),
    ],
    ids=lambda launcher: launcher[0],
)
def test_four_ranks_agree(launcher, inside):
    """Builds, allreduce, DistributedOptimizer, fp16 and what is missing, on every rank."""
    done = inside(*launcher, "python", "/checks.py")

    assert done.exit_code == 0, done.stderr + done.stdout
    for rank in range(4):
        assert f"rank {rank} of 4: all checks passed" in done.stdout


def test_the_label_has_the_version_inside(podman, open_mpi, inside):
    """io.mpijob.horovod is what the package says of itself."""
    image = f"mpijob-runtime:horovod-ompi{open_mpi}"
    label = '--format={{index .Labels "io.mpijob.horovod"}}'
    found = podman.run("image", "inspect", label, image).stdout
    assert found == inside("horovodrun", "--version").stdout


def test_tuning_flags_reach_the_ranks_as_variables(inside):
    """Horovod's own parser makes them; a launch carries them."""
    line = ("horovodrun", "-np", "2", "-H", "localhost:2", "--fusion-threshold-mb", "32")
    done = inside(*line, "sh", "-c", "echo $HOROVOD_FUSION_THRESHOLD", options=(LAUNCHER,))

    assert done.exit_code == 0, done.stderr
    assert done.stdout.count(str(32 << 20)) == 2
    assert "succeeded: 2 ranks" in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("--gloo", "-p", "2222", "true"), "horovodrun --gloo, --ssh-port: not supported"),
        (("--cycle-time-ms", "-1", "true"), "cycle_time_ms=-1.0 must be >= 0"),
        (("--config-file", "/nowhere.yaml", "true"), "/nowhere.yaml"),
        ((), "no program"),
    ],
    ids=lambda value: value[:2] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_a_word_and_64(line, words, inside):
    """No flag is silently dropped, and nobody reads a traceback."""
    done = inside("horovodrun", "-np", "2", *line, options=(LAUNCHER,))

    assert done.exit_code == 64, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_switched_off_it_is_horovods_own(inside):
    """MPIJOB_SHIM=off runs the launcher that horovod brings, and says so."""
    off = (LAUNCHER, "--env=MPIJOB_SHIM=off")
    done = inside("horovodrun", "-np", "2", "echo", "hello", options=off)

    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("<stdout>:") == 2
    said = [line for line in done.stderr.splitlines() if "mpijob:" in line]
    assert all("MPIJOB_SHIM=off" in line for line in said), done.stderr
    assert "horovodrun is the plain one" in said[0]
