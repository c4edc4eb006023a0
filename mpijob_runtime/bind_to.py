"""Who binds ranks to processors, and to which, where no GPU decides it.

Open MPI binds at mpirun's start, by the processors that it sees: one core for each of two ranks, a
NUMA node from three on. It knows neither a rank's threads nor a cgroup's quota: OpenMP and data
loaders of a rank share its core, and pods of one machine all begin with its first. So mpirun is
told to bind nothing, and the gate binds to whole NUMA nodes where every rank's share of processors
fits into its node.

Layer: pure; imports cpu_lists, mpirun_line, and outcome for words.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.cpu_lists import format_cpu_list
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.outcome import count

POLICY_VARIABLES = ("OMPI_MCA_hwloc_base_binding_policy", "PRTE_MCA_hwloc_default_binding_policy")
_SOCKET_IN_5 = "package"
_PAIR = 2

# of mpirun's words: each says where ranks are bound, on 4.1 or 5.0
_OPTIONS = frozenset(
    {
        *("bind-to", "bind-to-core", "bind-to-socket", "cpu-list", "cpu-set", "rankfile", "rf"),
        *("cpus-per-proc", "cpus-per-rank"),
    }
)
_PARAMETERS = frozenset({"hwloc_base_binding_policy", "hwloc_default_binding_policy"})
_MAPPED = frozenset({"map-by", "rank-by"})


@dataclass(frozen=True, slots=True)
class Binding:
    """Who binds ranks.

    Attributes:
        policy: what mpirun is told, in Open MPI 4.1's words.
        at_gate: whether ranks may be bound at the gate.
        why: one sentence.
        threads: of each rank, if the user has said how many.
    """

    policy: str = "none"
    at_gate: bool = True
    why: str = "at the gate: near the rank's GPU, else to a NUMA node that holds the rank's share"
    threads: int | None = None

    def policy_for(self, major: int) -> str:
        """Return the policy in the words of an Open MPI generation."""
        renamed = self.policy == "socket" and major > 4  # noqa: PLR2004 - the generation
        return _SOCKET_IN_5 if renamed else self.policy


@dataclass(frozen=True, slots=True)
class NodeShares:
    """The NUMA nodes of a host's local ranks.

    Attributes:
        cpus: of each local rank; None to leave it unbound.
        reason: why they are bound so, or why they are not.
    """

    cpus: tuple[frozenset[int] | None, ...]
    reason: str


def choose_binding(
    asked: str,
    environ: Mapping[str, str],
    operators: Collection[str],
    argv: Sequence[str],
    *,
    major: int,
) -> Binding:
    """Decide who binds: the user's mpirun line, then ``--bind-to``, then the gate.

    Args:
        asked: by ``--bind-to``.
        environ: the launcher's, with what ``--env`` forwards.
        operators: names of variables that the operator has set.
        argv: mpirun's own arguments, if a user gave them.
        major: the generation of Open MPI.
    """
    word = _binding_word(argv, major)
    if word is not None:
        return Binding(at_gate=False, why=f"by mpirun, as its own {word} says")
    for name in POLICY_VARIABLES:
        if name in environ and name not in operators:
            return Binding(at_gate=False, why=f"by mpirun: {name} was set by the user")
    if asked == "none":
        return Binding(at_gate=False, why="nobody: --bind-to none")
    if asked != "auto":
        return Binding(asked, at_gate=False, why=f"by mpirun: --bind-to {asked}")
    text = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    known = text.isascii() and text.isdigit() and 0 < len(text) <= 4  # noqa: PLR2004
    return Binding(threads=max(1, int(text)) if known else None)


def share_nodes(
    nodes: Sequence[Collection[int]], cpus: int, ranks: int, threads: int | None = None
) -> NodeShares:
    """Spread ranks over NUMA nodes, neighbours together, each bound to its whole node.

    Two ranks whose threads are known and fit into one node share the first: they talk faster.

    Args:
        nodes: the processors of each that the container may use.
        cpus: that the cgroup leaves of them.
        ranks: how many the host has.
        threads: of each rank; None takes its share of the processors.
    """
    if len(nodes) < 2:  # noqa: PLR2004
        return NodeShares((None,) * ranks, "one NUMA node")
    if ranks < 2 or ranks > cpus:  # noqa: PLR2004
        few = f"{count(ranks, 'rank')} on {count(cpus, 'processor')}: any may be needed"
        return NodeShares((None,) * ranks, few)
    total = sum(map(len, nodes))
    if cpus < total:
        others = f"{count(cpus, 'processor')} of {total} by a quota: others use them as well"
        return NodeShares((None,) * ranks, others)
    wanted = threads or cpus // ranks
    held = _holders(nodes, ranks, wanted)
    for node, number in zip(nodes, held, strict=True):
        if number * wanted > len(node):
            found = f"{number} times {count(wanted, 'thread')}"
            reason = f"{found} would not fit on NUMA node {format_cpu_list(node)}"
            return NodeShares((None,) * ranks, reason)
    places = [
        frozenset(node) for node, number in zip(nodes, held, strict=True) for _ in range(number)
    ]
    shown = ", ".join(
        f"{number} on {format_cpu_list(node)}" for node, number in zip(nodes, held, strict=True)
    )
    return NodeShares(tuple(places), f"{count(wanted, 'thread')} a rank: {shown}")


def _holders(nodes: Sequence[Collection[int]], ranks: int, threads: int) -> list[int]:
    """Return how many ranks each node gets: by its size, the remainder to the first."""
    if ranks <= _PAIR and ranks * threads <= len(nodes[0]):
        return [ranks] + [0] * (len(nodes) - 1)
    total = sum(map(len, nodes))
    edges = [-(-ranks * sum(map(len, nodes[: n + 1])) // total) for n in range(len(nodes))]
    return [edge - before for before, edge in zip([0, *edges], edges, strict=False)]


def _binding_word(argv: Sequence[str], major: int) -> str | None:
    """Return mpirun's own option that says where ranks are bound, or None."""
    for option in read_options(argv, major=major):
        value = option.values[0].lower() if option.values else ""
        bound = option.name in _OPTIONS or option.parameter[0] in _PARAMETERS
        if bound or (option.name in _MAPPED and ":pe=" in value):
            return str(option)
    return None
