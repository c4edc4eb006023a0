"""The bandwidth between all pairs of hosts, in rounds of pairs that do not disturb each other."""

import time
from collections.abc import Mapping

import torch
import torch.distributed as dist

from mpijob_bench.pairing import rounds_of_pairs
from mpijob_bench.ranks.backends import TorchBackend
from mpijob_bench.ranks.tell import tell

_PROBE_BYTES = 1 << 20
_EXCHANGE_SECONDS = 0.3
_MOST_BYTES = 256 << 20


def measure_pairs(
    backend: TorchBackend, places: Mapping[tuple[int, int], int], *, repeats: int
) -> None:
    """Tell the seconds of exchanges with each other host: a message there and one back.

    Rank i of a host exchanges with rank i of the other, all ranks of both at once; ranks that have
    no counterpart wait. Messages are as large as the fastest pair sends in 0.15 s.
    """
    own = next(at for at, rank in places.items() if rank == backend.rank)
    size_bytes = 0
    rounds = rounds_of_pairs(1 + max(host for host, _ in places))
    for number, pairs in enumerate(rounds):
        peer = _peer(own, pairs, places)
        size_bytes = size_bytes or _size(backend, peer)
        backend.barrier()
        seconds = _exchange(backend, peer, size_bytes, repeats=repeats)
        if peer is not None and backend.rank < peer:
            tell(
                "pair",
                round=number,
                of_rounds=len(rounds),
                other=_host_of(peer, places),
                bytes=size_bytes,
                seconds=seconds,
            )


def _peer(
    own: tuple[int, int], pairs: list[tuple[int, int]], places: Mapping[tuple[int, int], int]
) -> int | None:
    host, local_rank = own
    partners = dict(pairs) | {b: a for a, b in pairs}
    return places.get((partners[host], local_rank)) if host in partners else None


def _host_of(rank: int, places: Mapping[tuple[int, int], int]) -> int:
    return next(host for (host, _), at in places.items() if at == rank)


def _size(backend: TorchBackend, peer: int | None) -> int:
    """Return a size by which the fastest pair exchanges in the time aimed at; all agree on it."""
    own = min(_exchange(backend, peer, _PROBE_BYTES, repeats=2)) if peer is not None else 1e9
    fastest = max(min(backend.gather(own)), 1e-9)
    wanted = int(_EXCHANGE_SECONDS / fastest) * _PROBE_BYTES
    return max(_PROBE_BYTES, min(_MOST_BYTES, wanted))


def _exchange(
    backend: TorchBackend, peer: int | None, size_bytes: int, *, repeats: int
) -> list[float]:
    """Return the seconds of each exchange, after one that is not counted."""
    if peer is None:
        return []
    message = torch.ones(size_bytes, dtype=torch.uint8, device=backend.device)
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        for sends in (backend.rank < peer, backend.rank > peer):
            (dist.send if sends else dist.recv)(message, peer)
        if message.is_cuda:
            torch.cuda.synchronize(message.device)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]
