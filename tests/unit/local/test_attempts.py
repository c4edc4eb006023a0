import pytest

from mpijob_local.attempts import RetryPolicy


@pytest.mark.parametrize(
    ("limit", "in_place", "attempts"),
    [(0, False, 1), (2, False, 3), (6, False, 7), (0, True, 1), (1, True, 1), (6, True, 6)],
)
def test_attempts(limit, in_place, attempts):
    """New pods may exceed the limit once, restarts may only reach it."""
    assert attempts == RetryPolicy(limit, in_place).attempts


@pytest.mark.parametrize(
    ("in_place", "pauses"),
    [(False, [10, 20, 40, 80, 160, 320, 360, 360]), (True, [0, 10, 20, 40, 80, 160, 300, 300])],
)
def test_pauses(in_place, pauses):
    """Pauses double up to the caps of the Job controller and of the kubelet."""
    policy = RetryPolicy(6, in_place)

    assert pauses == [policy.pause_seconds(failures) for failures in range(1, 9)]


def test_many_failures():
    """The pause stays at its cap, however often the program fails."""
    assert RetryPolicy(10**6, in_place=True).pause_seconds(10**5) == 300


def test_scaled():
    """All pauses scale with the first one."""
    assert RetryPolicy(6, in_place=False, base_seconds=0.5).pause_seconds(2) == 1
