"""Runs on every rank: sums 25 MB over all ranks, by Gloo or by MPI, over a choice of network.

Arguments: ``gloo`` or ``mpi``; an interface, "nothing set", or "the runtime's choice" (what the
environment of the rank says); the number of the round. Rank 0 prints one JSON object: the seconds
of the slowest rank, and what share of all bytes went out by which interface.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ELEMENTS = 25_000_000 // 4
TIMES = 3
VARIABLES = {"gloo": "GLOO_SOCKET_IFNAME", "mpi": "OMPI_MCA_btl_tcp_if_include"}


def main() -> None:
    """Measure and print."""
    library, choice, number = sys.argv[1:]
    variable = VARIABLES[library]
    if choice == "nothing set":
        os.environ.pop(variable, None)
    elif choice != "the runtime's choice":
        os.environ[variable] = choice
    rank, allreduce, slowest, total = {"gloo": gloo, "mpi": mpi}[library]()
    allreduce()  # opens the connections
    slowest(0.0)
    before = sent_bytes()
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        allreduce()
        seconds.append(slowest(time.perf_counter() - began))
    sent = {name: count - before.get(name, 0) for name, count in sent_bytes().items()}
    sent = {name: total(float(count)) for name, count in sent.items()}
    if rank == 0:
        sample = {"library": library, "choice": choice, "round": int(number), "seconds": seconds}
        value = os.environ.get(variable, "")
        print(json.dumps({**sample, "variable": value, "sent_bytes": sent}), flush=True)


Reduction = Callable[[float], float]


def gloo() -> tuple[int, Callable[[], None], Reduction, Reduction]:
    """Return the rank, the allreduce, and the largest value and the sum over all ranks."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    data = torch.ones(ELEMENTS)

    def allreduce() -> None:
        data.fill_(1.0)
        dist.all_reduce(data)
        assert data[0] == data[-1] == dist.get_world_size()

    def reduce(value: float, operation: dist.ReduceOp.RedOpType) -> float:
        one = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(one, operation)
        return float(one)

    return (
        dist.get_rank(),
        allreduce,
        lambda value: reduce(value, dist.ReduceOp.MAX),
        lambda value: reduce(value, dist.ReduceOp.SUM),
    )


def mpi() -> tuple[int, Callable[[], None], Reduction, Reduction]:
    """Return the same by MPI."""
    import numpy as np
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    data = np.ones(ELEMENTS, dtype=np.float32)

    def allreduce() -> None:
        data.fill(1.0)
        world.Allreduce(MPI.IN_PLACE, data)
        assert data[0] == data[-1] == world.Get_size()

    return (
        world.Get_rank(),
        allreduce,
        lambda value: world.allreduce(value, MPI.MAX),
        lambda value: world.allreduce(value, MPI.SUM),
    )


def sent_bytes() -> dict[str, int]:
    """Return the bytes that this pod has sent, by interface."""
    root = Path("/sys/class/net")
    return {
        path.name: int((path / "statistics/tx_bytes").read_text())
        for path in sorted(root.iterdir())
        if path.name != "lo"
    }


main()
