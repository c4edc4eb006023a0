"""Horovod with Gloo alone, under any launcher: MPI's ranks poll, and take the cores of others.

``horovodrun --gloo`` starts a rendezvous server and gives each rank its place in variables; here
the first rank of a group starts the server and torch's process group carries its port.
"""

import os
from collections.abc import Sequence

import torch.distributed as dist

from mpijob_bench.buckets import MIB
from mpijob_bench.plan import CYCLE_MS, FUSION_MB, Options


def start_horovod(
    group: dist.ProcessGroup,
    ranks: Sequence[int],
    *,
    options: Options,
    byte_scale: float,
    time_scale: float,
) -> None:
    """Initialise Horovod for the ranks of a group, each a host of its own to it.

    Args:
        group: of torch.distributed, with Gloo.
        ranks: its members.
        options: Horovod's part of them is taken.
        byte_scale: the fusion buffer is smaller by this factor.
        time_scale: the cycle is longer by this factor.
    """
    import horovod.torch as hvd

    place, size = ranks.index(dist.get_rank()), len(ranks)
    environ = {
        **dict.fromkeys(("HOROVOD_CONTROLLER", "HOROVOD_CPU_OPERATIONS"), "gloo"),
        **{f"HOROVOD_{kind}RANK": str(place) for kind in ("", "CROSS_")},
        **{f"HOROVOD_{kind}SIZE": str(size) for kind in ("", "CROSS_")},
        "HOROVOD_LOCAL_RANK": "0",
        "HOROVOD_LOCAL_SIZE": "1",
        "HOROVOD_HOSTNAME": _name(place),
        **tuning(options, byte_scale=byte_scale, time_scale=time_scale),
    }
    if size > 1:
        environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"] = rendezvous_address(size, dist.get_world_size())
        environ["HOROVOD_GLOO_RENDEZVOUS_PORT"] = _rendezvous_port(group, ranks, place)
    os.environ.update(environ)
    hvd.init()
    if hvd.size() != size:
        message = f"Horovod: found {hvd.size()} ranks, wanted {size}"
        raise RuntimeError(message)


def rendezvous_address(size: int, world_size: int) -> str:
    """Return where the first rank of a group is: of all ranks, rank 0; of a part, this node."""
    return os.environ["MASTER_ADDR"] if size == world_size else "127.0.0.1"


def tuning(options: Options, *, byte_scale: float, time_scale: float) -> dict[str, str]:
    """Return Horovod's variables; without a wish its defaults, scaled."""
    fusion = FUSION_MB if options.fusion_mb is None else options.fusion_mb
    cycle = CYCLE_MS if options.cycle_ms is None else options.cycle_ms
    return {
        "HOROVOD_FUSION_THRESHOLD": str(round(fusion * MIB / byte_scale)),
        "HOROVOD_CYCLE_TIME": str(cycle * time_scale),
    }


def _rendezvous_port(group: dist.ProcessGroup, ranks: Sequence[int], place: int) -> str:
    port: list[object] = [None]
    if place == 0:
        from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
        from horovod.runner.http.http_server import RendezvousServer

        hosts = ",".join(f"{_name(index)}:1" for index in range(len(ranks)))
        server = RendezvousServer()
        port = [server.start()]
        server.init(get_host_assignments(parse_hosts(hosts), len(ranks)))
    dist.broadcast_object_list(port, src=ranks[0], group=group)
    return str(port[0])


def _name(place: int) -> str:
    return f"node{place}"
