"""The gate's statistics, by simulation: do its bounds hold, does it decide as often as it says?"""

import math

import numpy as np
import pytest

from mpijob_bench.power import EFFECTS, alone_first, estimate_power, simulate_logs
from mpijob_bench.verdict import confidence_of, judge, log_bounds

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


def two_looks(effect, truth, *, target, confidence, trials=TRIALS):
    """Return the bounds that count of 7 pairs, and of 14 where those cannot tell."""
    generator = np.random.default_rng([7, len(effect)])
    logs = simulate_logs(generator, trials=trials, pairs=14, efficiency=truth, effect=effect)
    _, low, high = log_bounds(logs[:, :7], confidence=confidence)
    _, low_of_all, high_of_all = log_bounds(logs, confidence=confidence)
    again = (low < math.log(target)) & (high >= math.log(target))
    return np.where(again, low_of_all, low), np.where(again, high_of_all, high)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("truth", [0.83, 0.85, 0.86, 0.88])
def test_bounds_hold_over_both_looks(effect, truth):
    """With an extension that was declared each bound still errs once in twenty at most."""
    confidence = confidence_of(7)
    low, high = two_looks(effect, truth, target=0.85, confidence=confidence)
    assert (low <= math.log(truth)).mean() >= 0.945
    assert (high >= math.log(truth)).mean() >= 0.945


def test_a_second_look_at_the_same_bounds_would_err_more_often():
    """The simulation can fail: more pairs if the first do not please, and 95 % each time."""
    low, _ = two_looks("lognormal", 0.85, target=0.85, confidence=0.95)
    assert (low > math.log(0.85)).mean() > 0.06


def result_of(efficiencies, *, pairs=None, extension=0):
    """Return a result whose pairs have these efficiencies."""
    declared = pairs or len(efficiencies)
    pairs = [
        {"order": order, "alone": [1.0] * 8, "together": 8 * float(each), "status": "ok"}
        for order, each in enumerate(efficiencies)
    ]
    return {
        "fidelity": "measured",
        "plan": {
            "target": 0.85,
            "nodes": 8,
            "pairs": declared,
            "extension": extension,
            "hash": "",
        },
        "pairs": pairs,
        "guards": [],
        "transport": {"declared": "tcp", "observed": "tcp"},
        "wrong_elements": 0,
    }


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("efficiency", "pairs"), [(0.83, 5), (0.85, 5), (0.86, 7), (0.87, 3), (0.87, 7), (0.90, 5)]
)
def test_the_power_table_is_right_within_three_points(efficiency, pairs, effect):
    """The gate, on other experiments, one by one, decides as often as the plan has said."""
    told = estimate_power(target=0.85, efficiency=efficiency, pairs=pairs, effect=effect)
    logs = simulate_logs(
        np.random.default_rng(99), trials=TRIALS, pairs=pairs, efficiency=efficiency, effect=effect
    )
    words = [judge(result_of(row)).word for row in np.exp(logs[:2_000])]
    assert abs(words.count("PASS") / 2_000 - told.passed) <= 0.03
    assert abs(words.count("FAIL") / 2_000 - told.failed) <= 0.03
    assert abs(words.count("INCONCLUSIVE") / 2_000 - told.inconclusive) <= 0.03


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("efficiency", [0.84, 0.86, 0.87])
def test_the_power_table_is_right_with_an_extension(efficiency, effect):
    """The gate looks at five pairs, and at ten where those are inconclusive."""
    told = estimate_power(
        target=0.85, efficiency=efficiency, pairs=5, extension=5, effect=effect, seed=4
    )
    logs = simulate_logs(
        np.random.default_rng(98), trials=2_000, pairs=10, efficiency=efficiency, effect=effect
    )
    words, extended = [], 0
    for row in np.exp(logs):
        word = judge(result_of(row[:5], extension=5)).word
        if word == "INCONCLUSIVE":
            extended += 1
            word = judge(result_of(row, pairs=5, extension=5)).word
        words.append(word)
    assert abs(words.count("PASS") / 2_000 - told.passed) <= 0.03
    assert abs(words.count("FAIL") / 2_000 - told.failed) <= 0.03
    assert abs(extended / 2_000 - told.extended) <= 0.03


def test_an_extension_decides_more_often():
    """Than the pairs without it; and its price is wider bounds at the first look."""
    plain = estimate_power(target=0.85, efficiency=0.865, pairs=7)
    extended = estimate_power(target=0.85, efficiency=0.865, pairs=7, extension=7)
    assert extended.passed > plain.passed
    assert 1 - extended.extended < plain.passed + plain.failed
    assert plain.extended == 0


def test_effects_have_the_same_spread_of_pairs():
    """So that one number, what pairs of launches differ by, says what a plan can tell."""
    for effect in EFFECTS:
        logs = simulate_logs(
            np.random.default_rng(3), trials=TRIALS, pairs=5, efficiency=0.87, effect=effect
        )
        assert logs.std() == pytest.approx(0.01 * math.sqrt(2), rel=0.03)


def test_more_pairs_tell_more():
    """The share of passes grows with the pairs; a target that is just met passes once in twenty."""
    shares = [estimate_power(target=0.85, efficiency=0.87, pairs=k).passed for k in (3, 5, 7, 10)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95
    assert estimate_power(target=0.85, efficiency=0.85, pairs=7).passed == pytest.approx(
        0.05, abs=0.01
    )
