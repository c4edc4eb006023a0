"""How even steps were, over the launches of a result: correlation of neighbours, and spikes.

Layer: pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class Evenness:
    """Of blocks of one mode, over some launches.

    Attributes:
        correlation: of a step with the next, the mean over launches; None if none tells.
        all_ranks: spikes in which every rank was slow.
        some_ranks: spikes in which some were.
        steps: among so many.
        unsettled: launches in which steps still drifted when counting began.
    """

    correlation: float | None
    all_ranks: int
    some_ranks: int
    steps: int
    unsettled: int

    @property
    def spikes(self) -> int:
        """All of them."""
        return self.all_ranks + self.some_ranks


def evenness(result: Mapping[str, Any]) -> dict[int, Evenness]:
    """Return number of nodes -> evenness of whole steps; 1 for nodes alone.

    Results that do not tell, as of earlier versions, have none.
    """
    found: dict[int, list[Mapping[str, Any]]] = {}
    for launch, full in _blocks(result, "full"):
        nodes = 1 if launch["kind"] == "alone" else int(launch["nodes"])
        found.setdefault(nodes, []).append(full)
    return {nodes: _evenness(blocks) for nodes, blocks in found.items()}


def without_exchange(result: Mapping[str, Any]) -> Evenness | None:
    """Return the evenness of steps in which ranks do not wait for each other."""
    blocks = [block for _, block in _blocks(result, "local")]
    return _evenness(blocks) if blocks else None


def _blocks(
    result: Mapping[str, Any], mode: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for launch in result.get("launches") or ():
        block = launch["modes"].get(mode) if launch["status"] == "ok" else None
        if block and block.get("spikes") and block.get("steps"):
            yield launch, block


def _evenness(blocks: Sequence[Mapping[str, Any]]) -> Evenness:
    told = [block.get("neighbour_correlation") for block in blocks]
    known = [value for value in told if value is not None]
    return Evenness(
        correlation=fmean(known) if known else None,
        all_ranks=sum(block["spikes"]["all_ranks"] for block in blocks),
        some_ranks=sum(block["spikes"]["some_ranks"] for block in blocks),
        steps=sum(block["steps"] for block in blocks),
        unsettled=sum(block.get("settled") is False for block in blocks),
    )
