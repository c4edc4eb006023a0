"""Looks at the hosts before a benchmark: what they are, their clocks, their speed, their links.

    python -m mpijob_bench.ranks.machine --backend gloo

Lines, by their key ``bench``: ``machine`` and ``clock`` from the first rank of each host,
``speed`` from each rank, ``pair`` from each rank of the lower host of each pair of hosts.
"""

import argparse
from collections.abc import Mapping, Sequence

from mpijob_bench.ranks.backends import TorchBackend
from mpijob_bench.ranks.clock import measure_offset
from mpijob_bench.ranks.links import measure_pairs
from mpijob_bench.ranks.memory import boot_id
from mpijob_bench.ranks.speed import measure_speed
from mpijob_bench.ranks.tell import tell
from mpijob_runtime.errors import WorldError
from mpijob_runtime.machine import describe_machine
from mpijob_runtime.training import World, world

Places = Mapping[tuple[int, int], int]
"""(host, local rank) -> rank."""


def main(argv: Sequence[str] | None = None) -> None:
    """Look at everything, one after the other."""
    arguments = _parse(argv)
    backend = TorchBackend(arguments.backend)
    place = world()
    host = _host(place)
    places = {at: rank for rank, at in enumerate(backend.gather((host, place.local_rank)))}
    if place.local_rank == 0:
        _tell_machine(place)
    _clocks(backend, places)
    flop, seconds = measure_speed(backend, rounds=arguments.rounds)
    tell("speed", flop=flop, seconds=seconds)
    measure_pairs(backend, places, repeats=arguments.rounds)
    backend.barrier()
    backend.close()


def _host(place: World) -> int:
    """Return the index of this rank's host.

    Raises:
        WorldError: if nothing tells it and there are several.
    """
    if place.node_rank is None and place.local_size < place.size:
        message = f"several hosts by {place.launcher}, but MPIJOB_NODE_RANK is unset"
        raise WorldError(message, remedy="start with mpijob-runtime launch")
    return place.node_rank or 0


def _tell_machine(place: World) -> None:
    facts = describe_machine()
    tell("machine", index=_host(place), local_ranks=place.local_size, boot_id=boot_id(), **facts)


def _clocks(backend: TorchBackend, places: Places) -> None:
    """Ask each host's first rank for its clock, one by one."""
    for host, local_rank in sorted(places):
        if local_rank == 0 and host > 0:
            if backend.rank in (0, places[host, 0]):
                offset = measure_offset(0, places[host, 0], device=backend.device)
                if offset is not None:
                    tell("clock", offset_seconds=offset[0], round_trip_seconds=offset[1])
            backend.barrier()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Look at the hosts.")
    parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo")
    parser.add_argument("--rounds", type=int, default=3, help="of computation and of exchanges")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
