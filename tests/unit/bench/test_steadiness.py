"""How even steps were: spread, spikes, correlation, and whether warm-up was over."""

import random

import pytest

from mpijob_bench.steadiness import (
    WINDOW,
    count_spikes,
    is_drifting,
    neighbour_correlation,
    summarise_seconds,
)


def noisy(count, *, mean=0.1, cv=0.01, seed=1):
    """Return steps of some spread."""
    chance = random.Random(seed)
    return [mean * (1 + cv * chance.gauss(0, 1)) for _ in range(count)]


def test_spread_is_in_the_units_of_the_values():
    """Median, percentiles by rank, coefficient of variation, MAD as a standard deviation."""
    found = summarise_seconds([1.0, 2.0, 3.0, 4.0])
    assert (found["p50"], found["p90"], found["max"]) == (2.5, 4.0, 4.0)
    assert found["mad"] == pytest.approx(1.4826)
    assert found["cv"] == pytest.approx(1.2909944 / 2.5)
    assert summarise_seconds([]) == {}


def test_spikes_of_all_ranks_are_told_from_those_of_some():
    """By the fastest rank of the same step."""
    slowest, fastest = noisy(100), noisy(100, seed=2, mean=0.098)
    slowest[10], fastest[10] = 0.2, 0.19
    slowest[20] = slowest[30] = 0.15
    found = count_spikes(slowest, fastest)
    assert (found["all_ranks"], found["some_ranks"]) == (1, 2)
    assert 0.11 < found["limit_seconds"] < 0.12


def test_a_slow_rank_hides_no_stall_of_all():
    """The others are held against themselves: a third longer stands out, though still shorter."""
    slowest, fastest = noisy(100, mean=0.14), noisy(100, seed=2)
    slowest[10], fastest[10] = 0.18, 0.13
    assert count_spikes(slowest, fastest)["all_ranks"] == 1


def test_noise_has_no_spikes():
    """However small or wide it is: the limit is by its own spread, and a tenth at least."""
    for cv in (0.0, 0.001, 0.05):
        steps = noisy(1000, cv=cv)
        found = count_spikes(steps, steps)
        assert found["all_ranks"] + found["some_ranks"] == 0
    assert count_spikes([], []) == {}


def test_steps_that_are_slow_in_spells_correlate():
    """And independent ones, equal ones and few ones do not."""
    spells = [0.1 + 0.02 * (step // 10 % 2) for step in range(100)]
    assert neighbour_correlation(spells) > 0.75
    assert abs(neighbour_correlation(noisy(400))) < 0.15
    assert neighbour_correlation([0.1, 0.2] * 20) < -0.9
    assert all(neighbour_correlation([0.1] * count) is None for count in range(8, 200))
    assert neighbour_correlation(noisy(4)) is None


def test_steps_that_get_shorter_drift():
    """Or longer, by more than half a per cent in ten steps; what came before is forgotten."""
    shorter = [0.1 * 0.99**step for step in range(2 * WINDOW)]
    assert is_drifting(shorter)
    assert is_drifting(shorter[::-1])
    assert is_drifting([9.0] * 5 + [0.1] * 2 * WINDOW) is False
    assert is_drifting([0.1] * WINDOW + [0.1004] * WINDOW) is False
    assert is_drifting([0.1] * WINDOW + [0.1006] * WINDOW)


def test_noise_is_no_drift():
    """Of steady steps, however uneven, hardly any look as if they drifted."""
    for cv in (0.002, 0.01, 0.05):
        runs = [is_drifting(noisy(2 * WINDOW, cv=cv, seed=seed)) for seed in range(400)]
        assert sum(runs) < 20


def test_of_few_steps_nobody_can_tell():
    """Two windows are needed."""
    assert is_drifting([0.1] * (2 * WINDOW - 1)) is None
