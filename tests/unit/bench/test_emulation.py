"""The emulated job: its scales, its manifest, and its end by Ctrl-C. Jobs are in tests/cluster."""

import json
import signal
import subprocess
import sys

import pytest

from mpijob_bench import emulation as emulating
from mpijob_bench.also import also_words
from mpijob_bench.assemble import nominal_step_seconds
from mpijob_bench.emulation import doubled, find_mpijob_local, scale
from mpijob_bench.errors import LaunchError
from mpijob_bench.manifest import CLAIM, RESULTS, emulated_job
from mpijob_bench.plan import Emulation, Inject, Plan, Workload, format_plan
from mpijob_bench.profiles import read_profile, shipped
from mpijob_local.manifest import load_manifest

PLAN = Plan(Workload("profile", "vgg16"), fidelity="emulated", emulation=scale(25e9, None, 8.0))


def test_links_are_as_fast_as_this_machine_keeps():
    """K is what the network has more; bytes take what time leaves of it."""
    emulation = scale(100e9, None, 8.0)
    assert emulation.k == 800
    assert emulation.byte_scale == 100
    assert emulation.link_bits_per_second == 125e6


def test_a_slow_network_is_not_made_faster():
    """Bytes are never more than they are."""
    assert scale(100e6, None, 8.0).byte_scale == 1


def test_twice_the_scale_is_the_same_bytes_over_half_the_rate():
    """All takes twice as long but for what a host adds to each message."""
    again = doubled(PLAN, 1)
    assert again.emulation.link_bits_per_second == PLAN.emulation.link_bits_per_second / 2
    assert again.emulation.byte_scale == PLAN.emulation.byte_scale
    assert again.emulation.time_scale == 2 * PLAN.emulation.time_scale
    assert (again.pairs, again.curve.nodes) == (1, ())


def test_the_manifest_is_one(tmp_path):
    """mpijob-local takes it: a launcher with the claim, and a worker for each node."""
    command = ("mpijob-bench", "run", "--out", RESULTS)
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(emulated_job("b", image="i", nodes=8, command=command)))
    job = load_manifest(str(path), claims=(CLAIM,)).job
    assert job.workers == 8
    launcher = job.spec.mpi_replica_specs.launcher
    [volume] = launcher.template.spec.volumes
    assert volume.persistent_volume_claim.claim_name == CLAIM


PROGRAM = """
import signal, sys, time
from mpijob_bench.emulation import run_to_its_end
from mpijob_runtime.errors import MpiJobError
child = '''
import signal, sys, time
def end(number, frame):
    time.sleep(0.3)
    print("tidied up", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, end)
print("up", flush=True)
time.sleep(60)
'''
try:
    run_to_its_end((sys.executable, "-c", child), "")
except KeyboardInterrupt:
    sys.exit(130)
except MpiJobError as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_the_job_ends_before_the_command_does(number, code):
    """Whoever ends the command lets the job tidy up; nothing stays behind."""
    argv = (sys.executable, "-c", PROGRAM)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.read() == "tidied up\n"
        assert process.wait(10) == code


@pytest.mark.parametrize("quiet", [False, True])
def test_the_run_inside_is_as_quiet_as_the_command(quiet, monkeypatch, tmp_path):
    """What its launcher is told; this stand-in of mpijob-local runs nothing."""
    program = tmp_path / "mpijob-local"
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/job\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(emulating, "find_mpijob_local", lambda: str(program))
    with pytest.raises(LaunchError, match="exit code 7"):
        emulating.run_job(format_plan(PLAN), tmp_path / "out", image="i", quiet=quiet)
    job = json.loads((tmp_path / "job").read_text())
    template = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]
    [launcher] = template["spec"]["containers"]
    assert ("--quiet" in launcher["command"]) == quiet


def test_in_an_image_the_next_step_is_told(monkeypatch, tmp_path):
    """There is no mpijob-local, and containers cannot make containers."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LaunchError, match="no mpijob-local"):
        find_mpijob_local()


@pytest.mark.parametrize(
    ("also", "words"),
    [
        (None, []),
        ({"efficiency_of_one": "x"}, []),
        ({"efficiency_of_one": 0.755}, ["against one rank by itself: 75.5%"]),
        (
            {"samples_per_second": 2400.4, "reference": 2500},
            ["2,400 samples/s is below the reference of 2,500"],
        ),
        ({"samples_per_second": 2500, "reference": 2500}, ["2,500 samples/s reaches"]),
    ],
)
def test_what_is_shown_and_not_judged(also, words):
    """In words; odd values of somebody else's result are left out."""
    found = list(also_words(also))
    assert [line.startswith(word) for line, word in zip(found, words, strict=True)] == [True] * len(
        words
    )


@pytest.mark.parametrize(
    ("nodes", "inject", "known"),
    [
        (8, Inject(), True),
        (8, Inject(slow_share=0.2), True),
        (2, Inject(slow_share=0.2), False),
        (8, Inject(stall_seconds=0.05, stall_share=0.1), False),
    ],
)
def test_the_nominal_step_is_the_profiles_unless_a_fault_changes_it(nodes, inject, known):
    """Of eight nodes with a slow one the typical one is as fast as ever; of two it is not."""
    emulation = Emulation(25e9, byte_scale=25.0, time_scale=8.0, inject=inject)
    workload = Workload("profile", "resnet50")
    plan = Plan(workload, fidelity="emulated", nodes=nodes, emulation=emulation)
    step = read_profile(shipped("resnet50")).step_seconds
    assert nominal_step_seconds(plan) == (pytest.approx(8 * step) if known else None)
