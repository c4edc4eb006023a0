import math

import pytest
from hand_made_results import Recipe, result_of

from mpijob_bench.attribution import attribute, pair_factors, points_per_log
from mpijob_bench.verdict import judge


def attributed(**recipe):
    """Return the attribution of a result without noise."""
    return attribute(result_of(Recipe(noise=0.0, **recipe))["launches"])


def points(found):
    """Return points lost by term."""
    return {term.name: 100 * term.points for term in found.terms}


def launch(kind, **modes):
    """Return a launch of pair 0."""
    nodes = len(modes["full"]["samples_per_second"])
    return {"number": 0, "kind": kind, "pair": 0, "nodes": nodes, "status": "ok", "modes": modes}


def mode(*rates, job=None):
    """Return a mode's rates."""
    return {"samples_per_second": list(rates), "job_samples_per_second": job}


def test_four_factors_by_hand():
    """Two nodes: 10 and 8 alone, 9.5 and 7.6 in the job, 15 with tiny buckets, 12 as it trains."""
    alone = launch("alone", full=mode(10, 8))
    together = launch("together", full=mode(6, 6, job=12), local=mode(9.5, 7.6), tiny=mode(job=15))
    found = pair_factors(0, alone, together, slowest=1)
    assert found.factors == pytest.approx(
        {
            "compute": 17.1 / 18,
            "balance": 2 * 7.6 / 17.1,
            "serialisation": 15 / (2 * 7.6),
            "transfer": 12 / 15,
        }
    )
    assert found.efficiency == 12 / 18


@pytest.mark.parametrize("seed", range(5))
def test_the_product_is_the_efficiency_that_the_gate_judges(seed):
    """Of each pair and over all, and the points add up to what is lost."""
    result = result_of(Recipe(seed=seed, noise=0.02))
    found = attribute(result["launches"])
    for pair in found.pairs:
        told = result["pairs"][pair.pair]
        efficiency = told["together"] / sum(told["alone"])
        assert math.prod(pair.factors.values()) == pytest.approx(efficiency, rel=1e-12)
    assert found.efficiency == pytest.approx(judge(result).interval.efficiency, rel=1e-12)
    assert sum(term.points for term in found.terms) == pytest.approx(1 - found.efficiency)


@pytest.mark.parametrize(
    ("term", "recipe", "factor"),
    [
        ("compute", {"compute": 0.9}, 0.9),
        ("balance", {"slowest": 0.9}, 0.9 / (7.9 / 8)),
        ("serialisation", {"serialisation": 0.9}, 0.9),
        ("transfer", {"transfer": 0.5}, 0.5),
    ],
)
def test_a_known_loss_is_in_the_right_term(term, recipe, factor):
    """All else is 1: the whole loss is that term's, by the amount that was put in."""
    none = {"compute": 1.0, "serialisation": 1.0, "transfer": 1.0}
    found = points(attributed(**(none | recipe)))
    assert found.pop(term) == pytest.approx(100 * (1 - factor))
    assert found == pytest.approx(dict.fromkeys(found, 0), abs=1e-9)


def test_noise_is_no_load_balance():
    """Eight nodes alike, each launch 2 % off: the lowest of eight would cost 2.8 points."""
    found = [
        points(attribute(result_of(Recipe(seed=seed, noise=0.02, pairs=3))["launches"]))["balance"]
        for seed in range(60)
    ]
    assert abs(sum(found) / len(found)) < 0.4


def test_a_slow_node_that_is_slow_alone_as_well_is_no_loss_of_compute():
    """However different the nodes are, they compute in the job as they do alone."""
    found = attributed(slowest=0.5, compute=1.0)
    assert points(found)["compute"] == pytest.approx(0, abs=1e-9)


def test_gains_and_losses_that_cancel_keep_their_sizes():
    """The sum of logs is nothing, and nothing is divided by it."""
    found = attributed(compute=1.25, serialisation=1.0, transfer=0.8)
    assert found.efficiency == pytest.approx(1)
    log = 100 * math.log(1.25)
    assert points(found)["compute"] == pytest.approx(-log)
    assert points(found)["transfer"] == pytest.approx(log)


@pytest.mark.parametrize("log", [-1e-10, 1e-10, 0.0])
def test_the_price_of_a_log_has_no_jump(log):
    """It is 1 in the limit."""
    assert points_per_log(log) == pytest.approx(1, abs=1e-8)


def test_intervals_hold_the_truth_nineteen_times_of_twenty_on_each_side():
    """One-sided 95 % bounds on a factor over four pairs, by 400 results."""
    below = above = 0
    for seed in range(400):
        noisy = result_of(Recipe(seed=seed, pairs=4, noise=0.02, nodes=2, curve=(), comm=False))
        term = attribute(noisy["launches"]).terms[3]
        below += term.high < 0.95
        above += term.low > 0.95
    assert 8 <= below <= 34
    assert 8 <= above <= 34


def test_a_program_of_the_users_own_has_no_terms():
    """It cannot be run without exchange: only E is known, and that is said."""
    result = result_of(Recipe())
    for one in result["launches"]:
        one["modes"] = {"full": one["modes"]["full"]}
    found = attribute(result["launches"])
    assert found.terms == ()
    assert "only E is known" in found.missing


def test_launches_that_failed_are_left_out():
    """A pair of which one launch failed has no factors; one that was done again has."""
    launches = result_of(Recipe(pairs=3, curve=()))["launches"]
    failed = launches[0] | {"status": "failed"}
    assert [pair.pair for pair in attribute([failed, *launches[1:]]).pairs] == [1, 2]
    again = [failed, *launches[1:], launches[0] | {"number": 9}]
    assert [pair.pair for pair in attribute(again).pairs] == [0, 1, 2]


def test_one_pair_has_no_interval():
    """Its spread is not known."""
    found = attributed(pairs=1)
    assert all(term.low == 0 and term.high == math.inf for term in found.terms)
