"""Over what gradients really went. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

_LEAST_SHARE = 0.9
_COMPRESSED = 0.5
_KNOWN = {"socket": "tcp", "aws libfabric": "efa", "libfabric": "efa"}


def transport_of(net: str) -> str:
    """Return how a plan calls what NCCL's log calls NET/..., alike for preflight and run.

    Socket is tcp; IB and the plugins of it (IBext_v8) are ib; aws-ofi-nccl calls itself AWS
    Libfabric, newer ones Libfabric; others keep their names.
    """
    name = net.strip().lower()
    return "ib" if name.startswith("ib") else _KNOWN.get(name, name)


def declared_transport(text: str | None) -> str | None:
    """Return the transport that is asked for, as it will be found; None if none is, or any."""
    found = transport_of(text or "any")
    return None if found == "any" else found


def observed_transport(
    blocks: Sequence[Mapping[str, Any]],
    *,
    ranks: int,
    nodes: int,
    gradient_bytes: float,
    compressed: bool,
    report: Mapping[str, Any],
) -> tuple[str | None, dict[str, Any]]:
    """Return the transport and what proves it.

    NCCL's own log says it. Where it does not the data interface must have sent at least what a
    ring all-reduce sends (2(n-1)/n of the gradients from each rank, of which one rank in each
    node sends to another node); frames make it a few per cent more.

    Args:
        blocks: that ranks told at the end of steps with whole gradients.
        ranks: of the launch.
        nodes: of the launch.
        gradient_bytes: of one step of a rank.
        compressed: to half.
        report: of the launch.
    """
    nccl = report.get("nccl") or {}
    nets = str(nccl.get("net") or "").split(" and ")
    found = {transport_of(net) for net in nets if net}
    if not found and nccl.get("mnnvl"):
        found = {"nvlink"}
    if found:  # a library that is only there, as in torch's CUDA build, proves nothing
        return "+".join(sorted(found)), {"nccl": nccl.get("words", str(nccl))}
    first_of_host: dict[str, int] = {}
    for block in blocks:
        if "before" not in block:
            return None, {"why": "a program of the user's own does not tell what it sent"}
        before, after = block["before"]["sent_bytes"], block["after"]["sent_bytes"]
        if before is None or after is None:
            return None, {"why": "a rank does not know its data interface"}
        first_of_host.setdefault(block["host"], after - before)
    sent = sum(first_of_host.values())
    steps = blocks[0]["steps"] if blocks else 0
    wanted = nodes * 2 * (ranks - 1) / ranks * gradient_bytes * steps
    wanted *= _COMPRESSED if compressed else 1
    proof = {"sent_bytes": sent, "least_bytes": _LEAST_SHARE * wanted}
    interfaces = sorted({str(block["interface"]) for block in blocks})
    ok = wanted > 0 and sent >= _LEAST_SHARE * wanted
    return ("tcp" if ok else None), {**proof, "interfaces": interfaces}
