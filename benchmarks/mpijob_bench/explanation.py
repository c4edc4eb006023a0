"""All that explain and report say beyond the verdict: attribution, prediction, what-ifs.

Layer: imports attribution, forecast, predict, what_if, verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mpijob_bench.attribution import Attribution, Factor, attribute
from mpijob_bench.forecast import Forecast, forecast
from mpijob_bench.predict import Prediction, predict
from mpijob_bench.verdict import Verdict, judge
from mpijob_bench.what_if import Outcome, outcomes, parse_change, usual_changes
from mpijob_runtime.errors import UsageError

TITLES: Mapping[Factor, str] = {
    "compute": "compute scaling",
    "balance": "load balance",
    "serialisation": "serialisation",
    "transfer": "transfer",
}
MEANINGS: Mapping[Factor, str] = {
    "compute": "slower in the job than alone, with nothing exchanged",
    "balance": "all wait for the node that is always the slowest",
    "serialisation": "late steps, latency, the cost of each operation",
    "transfer": "bytes that travel when compute is done",
}
LEVERS: Mapping[Factor, str] = {
    "compute": "binding and threads (docs/performance.md), power and clocks, what else runs there",
    "balance": "find the slow node (mpijob-bench preflight) and replace it",
    "serialisation": "fewer, larger buckets; accumulation; a quiet CPU for communication",
    "transfer": "bandwidth (docs/design.md: data network), 16-bit gradients, bucket size,"
    " accumulation",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What can be said of a result.

    Attributes:
        verdict: the gate's.
        attribution: points lost.
        forecast: what the prediction stands on.
        prediction: the model's, or None.
        by_line: the efficiency it predicts by alpha and B alone, without what was measured for
            sizes in between; or None.
        outcomes: of what-ifs.
    """

    verdict: Verdict
    attribution: Attribution
    forecast: Forecast
    prediction: Prediction | None
    by_line: float | None
    outcomes: tuple[Outcome, ...]

    @property
    def difference(self) -> float | None:
        """Predicted less measured efficiency."""
        if self.prediction is None or self.verdict.interval is None:
            return None
        return self.prediction.efficiency - self.verdict.interval.efficiency

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data; a bound that one pair does not tell is null."""
        return {
            **self.verdict.to_json(),
            "fidelity": self.verdict.fidelity,
            "attribution": [_term(asdict(term)) for term in self.attribution.terms],
            "missing": self.attribution.missing,
            "prediction": _prediction(self.prediction),
            "efficiency_by_line": self.by_line,
            "difference": self.difference,
            "basis": self.forecast.basis,
            "what_if": [
                {"name": one.name, "efficiency": one.prediction.efficiency, "delta": one.delta}
                for one in self.outcomes
            ],
        }


def explain(
    result: Mapping[str, Any], *, wishes: Sequence[str] = (), profile_file: str | None = None
) -> Explanation:
    """Return what can be said of a result that was checked (sections.py).

    Args:
        result: from `read_whole_result`.
        wishes: what-ifs, ``KEY=VALUE[,…]``; the usual ones if empty.
        profile_file: of the workload, instead of the one that is shipped.

    Raises:
        UsageError: if a wish is none, or nothing can be predicted and there are wishes.
        ResultError: if the profile cannot be read.
    """
    ground = forecast(result, profile_file=profile_file)
    if ground.setup is None:
        if wishes:
            raise UsageError(f"--what-if: {ground.basis}")
        return Explanation(judge(result), attribute(_launches(result)), ground, None, None, ())
    setup = ground.setup
    changes = tuple(parse_change(wish, setup) for wish in wishes) or usual_changes(setup)
    return Explanation(
        verdict=judge(result),
        attribution=attribute(_launches(result)),
        forecast=ground,
        prediction=predict(setup),
        by_line=predict(replace(setup, allreduce=setup.allreduce.line)).efficiency,
        outcomes=outcomes(setup, changes),
    )


def _launches(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result.get("launches") or ()


def _term(term: dict[str, Any]) -> dict[str, Any]:
    if term["low"] == 0:
        term |= dict.fromkeys(("low", "high", "points_low", "points_high"))
    return term


def _prediction(found: Prediction | None) -> dict[str, Any] | None:
    if found is None:
        return None
    buckets = [
        {
            "bytes": sent.bucket.bytes,
            "gradients": sent.bucket.gradients,
            "ready_seconds": sent.bucket.ready_seconds,
            "start_seconds": sent.start_seconds,
            "end_seconds": sent.end_seconds,
        }
        for sent in found.timeline
    ]
    return {
        "efficiency": found.efficiency,
        "alone_seconds": found.alone_seconds,
        "together_seconds": found.together_seconds,
        "exposed_seconds": found.exposed_seconds,
        "straggler_seconds": found.straggler_seconds,
        "buckets": buckets,
    }
