"""Inside the job of variants.py: its launcher does a launch a round, ranks do the steps.

Every option has a block of steps, in an order of the round's own, and so has a block without
communication: what the steps of all options are compared with. All blocks of DDP are of one launch.
Horovod takes its options at its start, and crashes now and then when a process starts it again: its
blocks have a launch each. A round also tells what this machine's processors did meanwhile.
"""

import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mpijob_bench.launches import run_launch
from mpijob_bench.plan import Emulation, Options
from mpijob_bench.profiles.profile import read_profile, shipped
from mpijob_bench.ranks.computing import ProfileComputing
from mpijob_bench.ranks.counters import read_counters
from mpijob_bench.ranks.horovod_start import start_horovod
from mpijob_bench.ranks.reducing import DdpReducing, HorovodReducing, Mode, Reducing
from mpijob_bench.ranks.tell import tell
from mpijob_bench.run import load_of
from mpijob_runtime.training import init_process_group

RESULTS = Path("/results")
WARMUP = 3  # DDP orders its buckets anew after the first
LOCAL = "local"

Asked = Mapping[str, Any]


def launch_rounds() -> None:
    """Do the rounds that are not done; each is a line of its own."""
    asked = json.loads((RESULTS / "asked.json").read_text(encoding="utf-8"))
    samples = RESULTS / "samples.jsonl"
    done = len(samples.read_text(encoding="utf-8").splitlines()) if samples.exists() else 0
    program = Path(__file__).read_text(encoding="utf-8")
    for number in range(done, asked["rounds"]):
        order = [*asked["options"], LOCAL]
        random.Random(f"{asked['seed']}-{number}").shuffle(order)
        began, before = time.monotonic(), asdict(read_counters(None))
        seconds: dict[str, float] = {}
        for blocks in [order] if asked["framework"] == "ddp" else [[name] for name in order]:
            this = json.dumps({**asked, "round": number, "order": blocks})
            launched = run_launch(
                (sys.executable, "-c", program, this),
                lambda line, seconds=seconds: seconds.update(line.data["step_seconds"]),
                log=RESULTS / "launches.log",
            )
            if not launched.ok:
                sys.exit(f"round {number}: {launched.reason}")
        took = time.monotonic() - began
        whole = {
            "before": before,
            "after": asdict(read_counters(None)),
            "seconds": took,
            "late": None,
        }
        line = {"round": number, "order": order, "step_seconds": seconds} | load_of([whole])
        with samples.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"round {number + 1} of {asked['rounds']}: {took:.0f} s", flush=True)


def measure(asked: Asked) -> None:
    """Do a block of each option and tell the seconds of a step."""
    with init_process_group():
        seconds = {name: block(asked, name) for name in asked["order"]}
        if dist.get_rank() == 0:
            tell("round", step_seconds=seconds)


def block(asked: Asked, name: str) -> float:
    """Return the seconds of a step of the slowest rank."""
    emulation = Emulation(**asked["emulation"])
    computing = ProfileComputing(
        read_profile(shipped(asked["profile"])),
        emulation,
        rank=dist.get_rank(),
        ranks=dist.get_world_size(),
        seed=asked["seed"] * 1000 + asked["round"],
    )
    options = Options(**asked["options"].get(name, {}))
    mode: Mode = "local" if name == LOCAL else "full"
    if asked["framework"] == "horovod":
        return with_horovod(computing, mode, options, emulation, asked["steps"])
    group, scale = dist.group.WORLD, emulation.byte_scale
    assert group is not None
    reducing = DdpReducing(computing, mode, options, group=group, byte_scale=scale)
    return step_seconds(reducing, computing, asked["steps"])


def with_horovod(
    computing: ProfileComputing, mode: Mode, options: Options, emulation: Emulation, steps: int
) -> float:
    """Start Horovod with these options, measure, and shut it down; without it if not needed."""
    import horovod.torch as hvd

    if mode == "local":
        return step_seconds(HorovodReducing(computing, mode, options), computing, steps)
    group = dist.group.WORLD
    assert group is not None
    scales = {"byte_scale": emulation.byte_scale, "time_scale": emulation.time_scale}
    start_horovod(group, range(dist.get_world_size()), options=options, **scales)
    try:
        return step_seconds(HorovodReducing(computing, mode, options), computing, steps)
    finally:
        hvd.shutdown()


def step_seconds(reducing: Reducing, computing: ProfileComputing, steps: int) -> float:
    """Warm up, do the steps, and return how long one takes."""
    for _ in range(WARMUP):
        reducing.step()
        computing.update()
    dist.barrier()
    started = time.monotonic()
    for _ in range(steps):
        reducing.step()
        computing.update()
    spent = torch.tensor(time.monotonic() - started, dtype=torch.float64)
    dist.all_reduce(spent, dist.ReduceOp.MAX)
    return float(spent) / steps


if __name__ == "__main__":
    if len(sys.argv) == 1:
        launch_rounds()
    else:
        measure(json.loads(sys.argv[1]))
