"""Who binds ranks, and to which NUMA node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.bind_to import choose_binding, share_nodes

OPERATORS = {"OMPI_MCA_hwloc_base_binding_policy": ""}


@pytest.mark.parametrize(
    "argv",
    [
        ("--bind-to", "core", "-n", "2", "prog"),
        ("-n", "2", "-bind-to", "none", "prog"),
        ("--bind-to-core", "prog"),
        ("--mca", "hwloc_base_binding_policy", "core", "prog"),
        ("--prtemca", "hwloc_default_binding_policy", "numa", "prog"),
        ("--map-by", "slot:PE=4", "prog"),
        ("--map-by=ppr:2:node:pe=4", "prog"),
        ("--rankfile", "file", "prog"),
        ("--cpu-set", "0,1", "prog"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("asked", ["auto", "core"])
@pytest.mark.parametrize("major", [4, 5])
def test_the_users_mpirun_line_wins(argv, asked, major):
    """Whatever the flag or variable says: mpirun binds, and the gate leaves it."""
    binding = choose_binding(asked, {}, (), argv, major=major)
    assert not binding.at_gate
    assert binding.policy == "none"  # the line overrides the variable
    assert "by mpirun, as its own" in binding.why


@pytest.mark.parametrize(
    ("asked", "environ", "operators", "at_gate", "policy", "why"),
    [
        ("auto", {}, (), True, "none", "at the gate"),
        ("none", {}, (), False, "none", "nobody"),
        ("core", {}, (), False, "core", "--bind-to core"),
        ("auto", OPERATORS, (), False, "none", "was set by the user"),
        ("auto", OPERATORS, OPERATORS, True, "none", "at the gate"),
    ],
    ids=["auto", "none", "core", "the user's variable", "the operator's variable"],
)
def test_who_binds(asked, environ, operators, at_gate, policy, why):
    """The flag, else the user's own variable, else the gate; never two of them."""
    binding = choose_binding(asked, environ, operators, ("--map-by", "slot", "prog"), major=4)
    assert (binding.at_gate, binding.policy) == (at_gate, policy)
    assert why in binding.why


@pytest.mark.parametrize(
    ("text", "threads"), [("4", 4), ("4,2", 4), ("0", 1), ("x", None), ("", None), ("99999", None)]
)
def test_threads_are_the_users_if_they_are_a_number(text, threads):
    """OpenMP takes a list for nested regions; the first number counts."""
    binding = choose_binding("auto", {"OMP_NUM_THREADS": text}, (), (), major=5)
    assert binding.threads == threads


LOW, HIGH = tuple(range(8)), tuple(range(8, 16))
NODES = (LOW, HIGH)


@pytest.mark.parametrize(
    ("nodes", "cpus", "ranks", "threads", "held", "words"),
    [
        ((), 16, 8, None, None, "one NUMA node"),
        (NODES, 16, 1, None, None, "any may be needed"),
        (NODES, 16, 17, None, None, "17 ranks on 16 processors: any may be needed"),
        (NODES, 16, 16, None, [8, 8], "1 thread a rank: 8 on 0-7, 8 on 8-15"),
        (NODES, 16, 2, None, [1, 1], "8 threads a rank"),
        (NODES, 16, 2, 1, [2, 0], "1 thread a rank: 2 on 0-7, 0 on 8-15"),
        (NODES, 16, 2, 5, [1, 1], "5 threads a rank"),
        (NODES, 16, 3, None, None, "2 times 5 threads would not fit on NUMA node 0-7"),
        (NODES, 16, 3, 4, [2, 1], "4 threads a rank: 2 on 0-7, 1 on 8-15"),
        (NODES, 4, 4, None, None, "4 processors of 16 by a quota: others use them as well"),
        (NODES, 2, 4, None, None, "4 ranks on 2 processors"),
        ((LOW, HIGH[:2]), 10, 5, None, [4, 1], "2 threads a rank: 4 on 0-7, 1 on 8-9"),
    ],
)
def test_ranks_are_bound_where_their_threads_have_room(nodes, cpus, ranks, threads, held, words):
    """Neighbours together; unbound where a node would not hold them."""
    shares = share_nodes(nodes, cpus, ranks, threads)
    assert words in shares.reason
    if held is None:
        assert shares.cpus == (None,) * ranks
    else:
        expected = [frozenset(node) for node, n in zip(nodes, held, strict=True) for _ in range(n)]
        assert list(shares.cpus) == expected


@given(
    st.lists(st.integers(1, 64), max_size=8),
    st.integers(1, 512),
    st.integers(0, 300),
    st.none() | st.integers(1, 64),
)
def test_no_rank_is_starved_or_left_out(sizes, quota, ranks, threads):
    """Each bound rank's threads fit beside those of all ranks on its node."""
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    nodes = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    cpus = min(quota, max(1, sum(sizes)))
    shares = share_nodes(nodes, cpus, ranks, threads).cpus
    assert len(shares) == ranks
    for node in set(shares) - {None}:
        share = threads or cpus // ranks
        assert shares.count(node) * share <= len(node)
