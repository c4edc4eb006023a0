"""The DDP example, told to end and started again."""

from pathlib import Path

import pytest
from engines import existing_image

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def test_a_training_that_was_told_to_end_goes_on_as_if_it_had_not(podman):
    """Four ranks: one step of all, each step once with its loss, and the same final weights."""
    image = existing_image(podman, "mpijob-example:ddp-ompi4.1")
    mounted = (f"--volume={ROOT}:/src:ro", "--workdir=/src", "--entrypoint=")
    program = ("python", "benchmarks/training/preemption_inside.py", "--rounds", "1")

    done = podman.run(
        "run",
        "--rm",
        "--network=none",
        *mounted,
        image,
        *program,
        accept=(0, 1),
        timeout_seconds=850,
    )

    assert "1 of 1 rounds are good" in done.stdout, done.stdout
