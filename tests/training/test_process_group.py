import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is in the torch images only")

from mpijob_runtime.errors import UsageError, WorldError  # noqa: E402 - after the skip
from mpijob_runtime.training import World  # noqa: E402
from mpijob_runtime.training.distributed import choose_device  # noqa: E402

WITHIN_SECONDS = 280
"""Below the collectives' timeout of 600 s: a rank that waits for others fails the test."""

PROGRAM = """
import sys, time
import torch, torch.distributed as dist
from mpijob_runtime.training import init_process_group
how = sys.argv[1]
with init_process_group() as group:
    rank = group.world.rank
    total = torch.tensor([rank + 1])
    dist.all_reduce(total)
    print(f"sum {total.item()} by {group.backend} on {group.device}", flush=True)
    much = torch.ones(1 << 20)  # ranks that reduce different sizes end by that alone
    if rank == 2 and how != "well":
        work = dist.all_reduce(much, async_op=True) if "async" in how else None
        if "exit" in how:
            sys.exit(7)
        raise RuntimeError("on purpose")
    if "busy" in how:
        time.sleep(600)
    dist.all_reduce(much)
    dist.all_reduce(much)
print("after", dist.is_initialized(), flush=True)
"""

launched = pytest.mark.skipif(not shutil.which("mpijob-runtime"), reason="in an image only")


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a Python program with no variables of any launcher."""
    script = tmp_path / "program.py"

    def call(text, *arguments, before=(), environ=None):
        script.write_text(text)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME") or name.startswith("COVERAGE")
        }
        return subprocess.run(
            [*before, sys.executable, str(script), *arguments],
            env={**kept, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
            check=False,
        )

    return call


@pytest.fixture
def launch(run, tmp_path):
    """Return a function that launches the program on four ranks: the run and its outcome."""

    def call(how):
        report = tmp_path / "outcome.json"
        before = ("mpijob-runtime", "launch", "--host", "localhost:4", "--report", str(report))
        found = run(PROGRAM, how, before=(*before, "--"))
        return found, json.loads(report.read_text())

    return call


@launched
def test_ranks_under_mpirun_work_together(launch):
    """Four ranks sum over Gloo, and the group is gone after the block."""
    found, outcome = launch("well")
    assert outcome["outcome"] == "succeeded"
    assert found.stdout.count("sum 10 by gloo on cpu") == 4
    assert found.stdout.count("after False") == 4


@launched
@pytest.mark.parametrize("others", ["waiting", "busy"])
@pytest.mark.parametrize("pending", ["", "async"])
def test_an_uncaught_exception_ends_the_job_and_names_its_rank(launch, others, pending):
    """Also with a collective under way, whose clean-up waits for the other ranks."""
    found, outcome = launch(f"{others} {pending}")
    assert (outcome["first_failure"]["rank"], outcome["first_failure"]["exit_code"]) == (2, 1)
    # a rank that waited can abort (134) before mpirun notices the end of the one that it lost
    assert outcome["exit_code"] in ({1, 134} if others == "waiting" else {1})
    lines = [line for line in found.stderr.splitlines() if line.startswith("[2 ")]
    assert any("Traceback" in line for line in lines)
    assert any("RuntimeError: on purpose" in line for line in lines)


@launched
@pytest.mark.parametrize("pending", ["", "async"])
def test_sys_exit_ends_the_job_with_its_code(launch, pending):
    """A program's own exit code passes through, and does not wait either."""
    _, outcome = launch(f"busy exit {pending}")
    assert (outcome["first_failure"]["rank"], outcome["exit_code"]) == (2, 7)


def test_a_single_process_needs_no_network_and_says_nothing(run):
    """A world of one works without variables, address or port."""
    found = run(PROGRAM, "well")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "sum 1 by gloo on cpu\nafter False\n"


STUBS = """
import torch
make_network = lambda: torch.nn.Linear(3, 2)
loss = torch.nn.functional.cross_entropy
batches = lambda world: [(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))] * 3
"""


def test_the_example_in_the_documentation_runs(run):
    """docs/training.md begins with a script; what it leaves to the reader is stubbed."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    found = run(STUBS + page.partition("```python\n")[2].partition("```")[0])
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("learning rate 0.0125 = 0.1 x 0.125\n")


ONCE = """
import torch.distributed as dist
from mpijob_runtime.training import init_process_group
first = init_process_group()
try:
    init_process_group()
except Exception as error:
    print(type(error).__name__, error)
first.close()
first.close()
with init_process_group("gloo", timeout_seconds=5):
    print(dist.get_backend(), dist.is_initialized())
try:
    with init_process_group():
        raise KeyError
except KeyError:
    print(dist.is_initialized())
"""


def test_a_second_group_is_an_error_until_the_first_is_closed(run):
    """Two parts of a program that both initialise should know of each other."""
    found = run(ONCE)
    assert "UsageError torch.distributed is initialised already, with gloo" in found.stdout
    assert found.stdout.splitlines()[-2:] == ["gloo True", "False"]
    assert found.returncode == 0


def test_ranks_that_cannot_find_each_other_say_so(run):
    """Plain mpirun sets no MASTER_ADDR; torch's own error does not say who should have."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    environ = {f"OMPI_COMM_WORLD_{name.removeprefix('WORLD_')}": "1" for name in names}
    environ |= {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    found = run(PROGRAM, "well", environ=environ)
    assert found.returncode == 1
    assert "WorldError: 2 ranks by openmpi, but MASTER_ADDR or MASTER_PORT is unset" in found.stderr


def place(local_rank, local_size, gpu=None):
    """Return a rank's place on a host of eight ranks in all."""
    return World(local_rank, 8, local_rank, local_size, 0, (), "openmpi", gpu=gpu)


@pytest.mark.parametrize(
    ("where", "gpus", "backend", "expected"),
    [
        (place(3, 4), 0, "gloo", "cpu"),
        (place(3, 4), 4, "nccl", "cuda:3"),
        (place(3, 4, gpu=1), 4, "nccl", "cuda:1"),
        (place(3, 4), 2, "gloo", "cuda:1"),
    ],
)
def test_the_device_is_the_launchers_choice_or_by_local_rank(where, gpus, backend, expected):
    """Without GPUs it is the processor. How many there are is a parameter: none is needed."""
    assert str(choose_device(where, gpus=gpus, backend=backend)) == expected


@pytest.mark.parametrize(
    ("where", "gpus", "error", "message"),
    [
        (place(0, 4), 0, UsageError, "torch sees none"),
        (place(0, 4), 2, WorldError, "4 ranks share 2 GPUs"),
        (place(0, 1, gpu=3), 1, WorldError, "MPIJOB_GPU=3"),
    ],
)
def test_too_few_gpus_for_nccl_are_an_error(where, gpus, error, message):
    """NCCL itself ends with 'invalid usage' or takes the wrong GPU."""
    with pytest.raises(error, match=message):
        choose_device(where, gpus=gpus, backend="nccl")
