"""What a launch's ranks do: real process groups of two ranks, with Gloo."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from mpijob_bench.plan import (
    Emulation,
    Inject,
    Options,
    Plan,
    Steps,
    Workload,
    format_plan,
)
from mpijob_bench.profiles import read_profile, shipped
from mpijob_bench.ranks.train import Blocks, Place, mode_order

STEPS = Steps(warmup=2, warmup_seconds=0.0, full=4, ablation=4)
EMULATION = Emulation(100e9, byte_scale=500.0, time_scale=1.0)
PROFILE = Plan(
    Workload("profile", "resnet50"), fidelity="emulated", emulation=EMULATION, steps=STEPS
)
SIZE = {"layers": 2, "width": 32, "heads": 2, "vocabulary": 50, "sequence": 16}
MODEL = Plan(Workload("model", "gpt2", size=SIZE, batch=2), steps=STEPS)

GRADIENT_BYTES = read_profile(shipped("resnet50")).gradient_bytes / EMULATION.byte_scale

pytestmark = pytest.mark.timeout(240)


def launch(plan, *options, ranks=2):
    """Run the ranks of a launch and return what each has told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = json.dumps(json.loads(format_plan(plan)))
    argv = (sys.executable, "-m", "mpijob_bench.ranks.train", "--plan", text, "--launch", "1")
    started = [
        subprocess.Popen(
            (*argv, *options), env=environ(rank, ranks, port), stdout=subprocess.PIPE, text=True
        )
        for rank in range(ranks)
    ]
    outputs = [process.communicate(timeout=200)[0] for process in started]
    assert [process.returncode for process in started] == [0] * ranks
    return [[json.loads(line) for line in output.splitlines()] for output in outputs]


def environ(rank, ranks, port):
    """Return a rank's variables: each on a node of its own."""
    return {
        **os.environ,
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def of(told, what):
    """Return the objects of one kind."""
    return [line for line in told if line["bench"] == what]


@pytest.mark.parametrize("plan", [PROFILE, MODEL], ids=["profile", "model"])
def test_together_all_blocks_are_told(plan):
    """Warm-up and steps of each mode, its end, and no wrong element."""
    for told in launch(plan):
        assert sorted(block["mode"] for block in of(told, "block")) == ["full", "local", "tiny"]
        counted = [line for line in of(told, "steps") if not line["warmup"]]
        assert sum(len(line["seconds"]) for line in counted) == 12
        assert of(told, "rank")[0]["wrong_elements"] == 0


@pytest.fixture
def one_rank():
    """Start a process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


FALLING = [0.1 * 0.97**step for step in range(100)]
EVEN = [0.05] * 20


@pytest.mark.parametrize(
    ("runs", "asked", "settled"),
    [
        ([EVEN], [20], True),
        ([FALLING[:20], EVEN[:10], EVEN[:10]], [20, 10, 10], True),
        (
            [FALLING[:20], *(FALLING[n : n + 10] for n in range(20, 100, 10))],
            [20] + [10] * 8,
            False,
        ),
    ],
    ids=["even", "settles", "never"],
)
def test_steps_that_drift_are_warmed_up_further(runs, asked, settled, one_rank, monkeypatch):
    """Ten at a time, until they are even, or four times as many as the plan wants were added."""
    plan = dataclasses.replace(MODEL, steps=dataclasses.replace(STEPS, warmup=20))
    blocks = Blocks.__new__(Blocks)
    blocks._plan = plan
    blocks._place = Place(0, [0], dist.group.WORLD, torch.device("cpu"))
    found = []

    def measure(_reducing, _computing, _mode, steps, *, warmup):
        assert warmup
        found.append(steps)
        return runs[len(found) - 1]

    monkeypatch.setattr(blocks, "_measure", measure)
    assert blocks._warm_up(None, SimpleNamespace(lateness=list), "full") is settled
    assert found == asked


def test_ranks_warm_up_alike():
    """They agree on how long and whether steps have settled; of few steps nobody can tell."""
    steps = dataclasses.replace(STEPS, warmup=20)
    ranks = launch(dataclasses.replace(MODEL, steps=steps), "--alone")
    found = set()
    for told in ranks:
        [block] = of(told, "block")
        done = [line for line in of(told, "steps") if line["warmup"]]
        found.add((sum(len(line["seconds"]) for line in done), block["settled"]))
    [(count, settled)] = found
    assert 20 <= count <= 5 * 20
    assert isinstance(settled, bool)
    for told in launch(MODEL, "--alone"):
        assert of(told, "block")[0]["settled"] is None


def test_alone_there_is_one_block_and_nothing_goes_out():
    """Nodes by themselves reduce with nobody, so counters of the interface stay."""
    for told in launch(PROFILE, "--alone"):
        [block] = of(told, "block")
        assert block["mode"] == "full"
        sent = block["after"]["sent_bytes"] - block["before"]["sent_bytes"]
        assert sent < GRADIENT_BYTES, "not even one step's gradients"
        assert of(told, "rank")[0]["wrong_elements"] == 0


@pytest.mark.parametrize(
    "options",
    [
        Options(gradient_as_bucket_view=True),
        Options(compression="fp16"),
        Options(bucket_mb=5),
        Options(accumulation=2),
    ],
    ids=["view", "fp16", "bucket", "accumulation"],
)
def test_sums_are_right_whatever_the_options(options):
    """Gradients are chosen such that 16 bits hold them and their mean."""
    workload = dataclasses.replace(PROFILE.workload, options=options)
    for told in launch(dataclasses.replace(PROFILE, workload=workload)):
        assert of(told, "rank")[0]["wrong_elements"] == 0


def test_one_wrong_element_is_counted():
    """On the rank that has it."""
    emulation = dataclasses.replace(EMULATION, inject=Inject(wrong_elements=1))
    told = launch(dataclasses.replace(PROFILE, emulation=emulation))
    assert [of(each, "rank")[0]["wrong_elements"] for each in told] == [1, 0]


def test_a_slow_rank_is_slow_by_its_share():
    """Without communication the step is longer by it, and with it for all ranks."""
    emulation = dataclasses.replace(EMULATION, inject=Inject(slow_rank=1, slow_share=1.0))
    told = launch(dataclasses.replace(PROFILE, emulation=emulation))
    seconds = [
        {block["mode"]: block["seconds"] / block["steps"] for block in of(each, "block")}
        for each in told
    ]
    assert 1.8 < seconds[1]["local"] / seconds[0]["local"] < 2.2
    assert 0.9 < seconds[1]["tiny"] / seconds[0]["tiny"] < 1.1


def test_a_delayed_hook_costs_nodes_together_and_not_alone():
    """Two buckets and more, 50 ms each at this scale: alone there is nothing to delay."""
    emulation = dataclasses.replace(EMULATION, inject=Inject(hook_delay_seconds=0.05))
    plan = dataclasses.replace(PROFILE, emulation=emulation)
    alone = of(launch(plan, "--alone")[0], "block")[0]
    together = {block["mode"]: block for block in of(launch(plan)[0], "block")}
    step = alone["seconds"] / alone["steps"]
    assert step < 0.13
    assert together["full"]["seconds"] / together["full"]["steps"] > step + 0.04
    assert together["tiny"]["seconds"] / together["tiny"]["steps"] > step + 0.04


def test_the_order_of_blocks_is_shuffled_by_the_seed():
    """Equal on all ranks, and not always the same."""
    orders = {tuple(mode_order(alone=False, seed=seed)) for seed in range(30)}
    assert len(orders) == 6
    assert mode_order(alone=True, seed=1) == ["full"]
