"""All pairs of some hosts, in rounds in which each host is in one pair at most.

Layer: pure.
"""

Pair = tuple[int, int]


def rounds_of_pairs(count: int) -> list[list[Pair]]:
    """Return a 1-factorisation of the complete graph: each pair once, in as few rounds as can be.

    By the circle method (E. Lucas, Récréations mathématiques, 1883): one stays, the others turn.
    With an odd number one rests in each round.

    Args:
        count: how many hosts, numbered from 0.

    Returns:
        ``count - 1`` rounds of ``count / 2`` pairs, or ``count`` rounds if it is odd; the lower
        number of a pair comes first.
    """
    even = count + count % 2
    others = list(range(1, even))
    rounds = []
    for _ in range(even - 1 if count > 1 else 0):
        circle = [0, *others]
        pairs = zip(circle[: even // 2], reversed(circle[even // 2 :]), strict=True)
        rounds.append(sorted((min(a, b), max(a, b)) for a, b in pairs if max(a, b) < count))
        others = [others[-1], *others[:-1]]
    return rounds
