"""A rank of a launch that fills every link at once: each sends to the next and takes from the last.

Told to the launcher: ``link``, the payload that has come and how long it took.
"""

import argparse
import time

import torch
import torch.distributed as dist

from mpijob_bench.ranks.tell import tell
from mpijob_runtime.training import init_process_group, world

_CHUNK_BYTES = 256 << 10
_IN_FLIGHT = 8  # chunks: a link is never without one


def main() -> None:
    """Exchange chunks and tell the rate at which they came."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, required=True, help="that each rank sends")
    arguments = parser.parse_args()
    with init_process_group("gloo"):
        chunks = max(2 * _IN_FLIGHT, arguments.bytes // _CHUNK_BYTES)
        exchange(_IN_FLIGHT)
        dist.barrier()
        seconds = exchange(chunks)
        tell("link", payload_bytes=chunks * _CHUNK_BYTES, seconds=seconds)
        dist.barrier()


def exchange(chunks: int) -> float:
    """Send so many chunks to the next rank, take as many from the last, and return the seconds."""
    here = world()
    after, before = (here.rank + 1) % here.size, (here.rank - 1) % here.size
    out = torch.zeros(_CHUNK_BYTES, dtype=torch.uint8)
    into = [torch.zeros(_CHUNK_BYTES, dtype=torch.uint8) for _ in range(_IN_FLIGHT)]
    going: list[tuple[dist.Work | None, dist.Work | None]] = []
    started = time.monotonic()
    for chunk in range(chunks):
        if len(going) == _IN_FLIGHT:
            _finish(going.pop(0))
        received = dist.irecv(into[chunk % _IN_FLIGHT], before)
        going.append((dist.isend(out, after), received))
    for pair in going:
        _finish(pair)
    return time.monotonic() - started


def _finish(pair: tuple[dist.Work | None, dist.Work | None]) -> None:
    for work in pair:
        if work is not None:
            work.wait()


if __name__ == "__main__":
    main()
