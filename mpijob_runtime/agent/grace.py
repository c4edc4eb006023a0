"""How a grace is shared out.

Layer: pure.
"""

_TERM_SHARE, _LONGEST_TERM_SECONDS = 4, 5.0


def term_seconds(grace_seconds: float) -> float:
    """Return how much of a grace is left for SIGTERM once SIGUSR1 has had its time."""
    return min(_LONGEST_TERM_SECONDS, grace_seconds / _TERM_SHARE)
