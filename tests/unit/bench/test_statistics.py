"""The gate's statistics, by simulation: do its bounds hold, does it decide as often as it says?"""

import math

import numpy as np
import pytest

from mpijob_bench.power import EFFECTS, alone_first, estimate_power, simulate_logs
from mpijob_bench.verdict import efficiency_interval, log_bounds

TRIALS = 20_000


@pytest.mark.parametrize("pairs", [3, 5, 7, 10])
@pytest.mark.parametrize("effect", EFFECTS)
def test_each_bound_covers_what_it_says(effect, pairs):
    """The true efficiency is beyond a one-sided 95 % bound about once in twenty."""
    logs = simulate_logs(
        np.random.default_rng([pairs, len(effect)]),
        trials=TRIALS,
        pairs=pairs,
        efficiency=0.87,
        effect=effect,
    )
    _, low, high = log_bounds(logs)
    truth = math.log(0.87)
    assert 0.94 <= (low <= truth).mean() <= 0.97
    assert 0.94 <= (high >= truth).mean() <= 0.97


def test_launches_are_in_mirrored_blocks():
    """ABBA BAAB, and a linear drift cancels in each block of four launches."""
    order = alone_first(4)
    assert order == (True, False, False, True)
    drift = [2 * pair + (1 if first else 0) for pair, first in enumerate(order)]
    alone = [2 * pair + (0 if first else 1) for pair, first in enumerate(order)]
    assert sum(drift[:2]) == sum(alone[:2])


def test_pooled_steps_would_not_cover():
    """The simulation can fail: a normal bound of five launches is too narrow."""
    logs = simulate_logs(np.random.default_rng(1), trials=TRIALS, pairs=5, efficiency=0.87)
    half = 1.645 * logs.std(axis=-1, ddof=1) / math.sqrt(5)
    assert (logs.mean(axis=-1) - half <= math.log(0.87)).mean() < 0.94


@pytest.mark.parametrize(
    ("efficiency", "pairs"), [(0.83, 5), (0.85, 5), (0.86, 7), (0.87, 3), (0.87, 7), (0.90, 5)]
)
def test_the_power_table_is_right_within_three_points(efficiency, pairs):
    """Other experiments, judged one by one, give the same shares."""
    told = estimate_power(target=0.85, efficiency=efficiency, pairs=pairs)
    logs = simulate_logs(
        np.random.default_rng(99), trials=2_000, pairs=pairs, efficiency=efficiency
    )
    found = [efficiency_interval(list(np.exp(row))) for row in logs]
    assert abs(sum(i.low >= 0.85 for i in found) / 2_000 - told.passed) <= 0.03
    assert abs(sum(i.high < 0.85 for i in found) / 2_000 - told.failed) <= 0.03


def test_more_pairs_tell_more():
    """The share of passes grows with the pairs; a target that is just met passes once in twenty."""
    shares = [estimate_power(target=0.85, efficiency=0.87, pairs=k).passed for k in (3, 5, 7, 10)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95
    assert estimate_power(target=0.85, efficiency=0.85, pairs=7).passed == pytest.approx(
        0.05, abs=0.01
    )
