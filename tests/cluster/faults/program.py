#!/usr/bin/python3
"""What the ranks of a faulty job run; lies in every pod as /faults/program.

Its arguments: how many seconds it runs, and whether ranks exchange messages (1) or not (0). A
rank leaves its pid in /faults/rank-N once it works, tells its step every second, and does to itself
what /faults/do-N says, once.
"""

import ctypes
import os
import signal
import sys
import time

HERE = "/faults"
STEP_SECONDS = 0.05
STEPS_PER_LINE = 20
NAMES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK")


class Alone:
    """Ranks that know nothing of each other."""

    def exchange(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class Talking:
    """Ranks of an MPI program, each of which sends to each other one in every step."""

    def __init__(self) -> None:
        self._mpi = ctypes.CDLL("libmpi.so.40", mode=ctypes.RTLD_GLOBAL)
        self._mpi.MPI_Init(None, None)
        self._world = ctypes.byref(ctypes.c_char.in_dll(self._mpi, "ompi_mpi_comm_world"))
        self._int = ctypes.byref(ctypes.c_char.in_dll(self._mpi, "ompi_mpi_int"))
        size = ctypes.c_int()
        self._mpi.MPI_Comm_size(self._world, ctypes.byref(size))
        self._sent = (ctypes.c_int * size.value)()
        self._got = (ctypes.c_int * size.value)()

    def exchange(self) -> None:
        """Send one number to everybody and wait for everybody's."""
        self._mpi.MPI_Alltoall(self._sent, 1, self._int, self._got, 1, self._int, self._world)

    def finish(self) -> None:
        """Leave MPI."""
        self._mpi.MPI_Finalize()


def act(path: str) -> None:
    """Do what the file says, having removed it: a second attempt must not do it again."""
    with open(path, encoding="utf-8") as file:
        statement = file.read()
    os.remove(path)
    exec(statement, {"os": os, "signal": signal, "sys": sys})


def tell_progress(step: int) -> None:
    """Write the step where the launcher looks for it: ranks that wait for others burn time, too."""
    if path := os.environ.get("MPIJOB_PROGRESS_FILE"):
        with open(path, "w", encoding="ascii") as file:
            file.write(str(step))


def main() -> None:
    """Work step by step."""
    rank = next(os.environ[name] for name in NAMES if name in os.environ)
    work = Talking() if sys.argv[2] == "1" else Alone()
    # Written and moved: whoever sees the file sees all of it.
    with open(f"{HERE}/new-{rank}", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.replace(f"{HERE}/new-{rank}", f"{HERE}/rank-{rank}")
    for step in range(int(float(sys.argv[1]) / STEP_SECONDS)):
        if step % STEPS_PER_LINE == 0:
            sys.stdout.write(f"rank {rank} step {step}\n")
            sys.stdout.flush()
            tell_progress(step)
        if os.path.exists(f"{HERE}/do-{rank}"):
            act(f"{HERE}/do-{rank}")
        work.exchange()
        time.sleep(STEP_SECONDS)
    work.finish()


main()
