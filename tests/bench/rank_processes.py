"""Programs of ranks as processes of this container, over its loopback interface."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import mpijob_bench

_SECONDS = 120


def run_ranks(module, *arguments, ranks=3, hosts=1, mpi=False):
    """Run a rank program and return what each rank told, a list for each.

    Args:
        module: its name in mpijob_bench.ranks.
        arguments: its arguments.
        ranks: how many.
        hosts: among how many they believe to be.
        mpi: by mpirun; else by torch's variables.
    """
    program = [sys.executable, "-m", f"mpijob_bench.ranks.{module}", *map(str, arguments)]
    root = str(Path(mpijob_bench.__file__).parents[1])
    common = os.environ | {"PYTHONPATH": root, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    common["OMPI_MCA_mpi_yield_when_idle"] = "1"  # it polls, on few processors
    if mpi:
        output = ["--host", f"localhost:{ranks}", "-n", str(ranks)]
        done = subprocess.run(
            ["mpirun", *output, *program],
            env=common,
            capture_output=True,
            check=True,
            timeout=_SECONDS,
        )
        return [[*told(done.stdout)]]
    variables = [common | torch_variables(rank, ranks, hosts, free_port()) for rank in range(ranks)]
    port = variables[0]["MASTER_PORT"]
    processes = [
        subprocess.Popen(program, env=env | {"MASTER_PORT": port}, stdout=subprocess.PIPE)
        for env in variables
    ]
    outputs = [process.communicate(timeout=_SECONDS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks
    return [[*told(output)] for output in outputs]


def torch_variables(rank, ranks, hosts, port):
    """Return what a launcher would set."""
    local_size = ranks // hosts
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank % local_size),
        "LOCAL_WORLD_SIZE": str(local_size),
        "MPIJOB_NODE_RANK": str(rank // local_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def told(output):
    """Yield the objects among a program's lines."""
    for line in output.splitlines():
        if line.startswith(b'{"bench"'):
            yield json.loads(line)
