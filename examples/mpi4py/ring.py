"""Pass a token around all ranks, then add their numbers up: every rank must have been there."""

import sys

from mpi4py import MPI


def main() -> int:
    """Run the ring and the sum; return 0 if both came out right."""
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    host = MPI.Get_processor_name()

    if rank == 0:
        world.send([host], dest=1 % size)
        visited = world.recv(source=size - 1)
    else:
        visited = world.recv(source=rank - 1)
        world.send([*visited, host], dest=(rank + 1) % size)

    total = world.allreduce(rank, op=MPI.SUM)
    print(f"rank {rank} of {size} on {host}: sum of ranks {total}", flush=True)
    if rank == 0:
        print(f"token came back after {len(visited)} hosts: {' '.join(visited)}", flush=True)
    return 0 if total == size * (size - 1) // 2 else 1


if __name__ == "__main__":
    sys.exit(main())
