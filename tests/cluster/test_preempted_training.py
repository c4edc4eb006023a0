"""The DDP example, told to end and started again."""

import json
import secrets
import time
from pathlib import Path

import pytest
from engines import existing_image
from jobs import SECONDS, Job, RunningJob, run_job

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
RANKS, EPOCHS, STEPS_OF_AN_EPOCH = 4, 40, 11
TRAIN = (
    *("mpijob-runtime", "launch", "--grace", "60", "--env", "MPIJOB_METRICS_DIR=/shared", "--"),
    *("python", "/home/mpiuser/train.py", "--seeds", "1", "--epochs", str(EPOCHS)),
    *("--at-least", "0", "--checkpoint-dir", "/shared"),
)


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


def test_a_training_on_four_pods_goes_on_from_its_claim(podman, tmp_path):
    """The launcher's pod is told to end; a second job with the same claim does the other steps."""
    image = existing_image(podman, "mpijob-example:ddp-ompi4.1")
    shared = tmp_path / "shared"
    claim = f"--claim=shared={shared}"
    job = Job(f"p{secrets.token_hex(3)}", image, TRAIN, RANKS, claims=(("shared", "/shared"),))

    with RunningJob(job, tmp_path, claim) as running:
        wait_for_steps(running, shared)
        label = f"--filter=label=mpijob.local/job=default/{job.name}"
        launcher = ("--filter=label=mpijob.local/role=launcher", label)
        podman.run("stop", "--time=90", *podman.run("ps", "--quiet", *launcher).stdout.split())
        first = running.end()
    done_first = steps(shared)
    second = run_job(job, tmp_path, claim)

    assert first.exit_code == 75, first.text
    assert second.exit_code == 0, second.text
    (stopped_after,) = {done[-1] for done in done_first.values()}
    assert stopped_after < EPOCHS * STEPS_OF_AN_EPOCH
    assert f"going on after step {stopped_after} of" in second.text
    whole = list(range(1, EPOCHS * STEPS_OF_AN_EPOCH + 1))
    assert steps(shared) == dict.fromkeys(range(RANKS), whole)
    assert len({line["host"] for line in lines(shared)}) == RANKS


def lines(directory):
    """Yield what the ranks have noted of their steps, each rank's in order."""
    for rank in range(RANKS):
        path = directory / f"metrics-rank-{rank}.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        yield from map(json.loads, filter(None, text.rpartition("\n")[0].split("\n")))


def steps(directory):
    """Return the numbers of the steps that each rank has done."""
    found = {}
    for line in lines(directory):
        found.setdefault(line["rank"], []).append(line["step"])
    return found


def wait_for_steps(running, directory):
    """Return once all ranks have done a step."""
    deadline = time.monotonic() + SECONDS
    while len(steps(directory)) < RANKS:
        assert running.process.poll() is None, running.text
        assert time.monotonic() < deadline, running.text
        time.sleep(0.05)
