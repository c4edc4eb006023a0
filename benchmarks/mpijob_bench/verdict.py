"""Does the job reach its target? The verdict, from pairs of launches.

Of each pair, E = samples per second together / sum of those alone; the unit of replication is
the launch, because steps of one launch are alike (Hunold and Carpen-Amarie, IEEE TPDS 27(12),
2016). The interval is Student's t on log E: for launches with a coefficient of variation of some
per cent the logarithm is all but normal, and the bounds hold from three pairs on, where
percentile bootstraps are too narrow (simulated in tests/unit/bench/test_statistics.py).

Layer: pure; imports numpy, scipy for the t distribution, and plan.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mpijob_bench.plan import FEWEST_PAIRS

Word = Literal["PASS", "FAIL", "INVALID", "INCONCLUSIVE"]

CONFIDENCE = 0.95
"""Of each bound by itself: the efficiency is below ``low``, or above ``high``, once in twenty."""

_LOOKS = 2
"""At the pairs of a plan with an extension: after the first of them, and after all."""

MOST_EFFICIENCY = 1.02
"""More than all is a baseline that was too slow (horovod/horovod#1144)."""

_ROUNDING = 1e-12
"""Relative; exp(mean(log E)) of equal pairs is not to the last bit what each of them is."""

_SHOWN_CHARACTERS = 80
_MOST_PLAIN = 100.0  # efficiencies above are absurd, and would have hundreds of digits

EXIT_CODES: Mapping[Word, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3, "INVALID": 4}


@dataclass(frozen=True, slots=True)
class Interval:
    """An efficiency with its one-sided 95 % bounds; of both looks, where a plan has two.

    Attributes:
        efficiency: the geometric mean over pairs.
        low: bound from below; 0 if one pair tells nothing of the spread.
        high: bound from above; infinite likewise.
    """

    efficiency: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there are bounds at all."""
        return self.low > 0 and math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a result.

    Attributes:
        word: the verdict.
        clause: what decided it, a sentence.
        interval: of the efficiency, or None if no pair has one.
        fidelity: of the numbers: ``measured``, ``emulated`` or ``predicted``.
    """

    word: Word
    clause: str
    interval: Interval | None
    fidelity: str = "measured"

    @property
    def name(self) -> str:
        """The verdict as it is printed: what was not measured says so."""
        return self.word if self.fidelity == "measured" else f"{self.fidelity.upper()}-{self.word}"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return EXIT_CODES[self.word]

    def to_json(self) -> dict[str, object]:
        """Return it as plain data; a bound that is not known is null."""
        found = self.interval
        return {
            "verdict": self.name,
            "efficiency": None if found is None else found.efficiency,
            "low": found.low if found and found.known else None,
            "high": found.high if found and found.known else None,
            "clause": self.clause,
        }


def pair_efficiency(pair: Mapping[str, Any]) -> float:
    """Return together / sum of alone."""
    return float(pair["together"]) / math.fsum(pair["alone"])


def confidence_of(extension: int) -> float:
    """Return the confidence of a bound at one look at the pairs of a plan.

    Who looks twice errs twice. With an extension each look so errs half as often, and both
    together once in twenty (Bonferroni).

    Args:
        extension: further pairs that the plan has declared; 0 for none.
    """
    return 1 - (1 - CONFIDENCE) / _LOOKS if extension else CONFIDENCE


def efficiency_interval(pairs: Sequence[Mapping[str, Any]], *, extension: int = 0) -> Interval:
    """Return the geometric mean of pairs' efficiencies and its bounds.

    Args:
        pairs: of a result, which ended well; at least one.
        extension: further pairs that the plan has declared.
    """
    logs = np.log(np.array([pair_efficiency(pair) for pair in pairs]))
    mean, low, high = log_bounds(logs, confidence=confidence_of(extension))
    return Interval(*(exp_or_infinite(float(log)) for log in (mean, low, high)))


def exp_or_infinite(log: float) -> float:
    """Return e to a power, infinite where that is beyond any float."""
    try:
        return math.exp(log)
    except OverflowError:
        return math.inf


def log_bounds(
    logs: NDArray[np.float64], *, confidence: float = CONFIDENCE
) -> tuple[Any, Any, Any]:
    """Return mean, lower and upper bound of log efficiencies, by Student's t.

    Args:
        logs: of shape (..., pairs); all but the last axis are separate experiments.
        confidence: of each bound.
    """
    count = logs.shape[-1]
    mean = logs.mean(axis=-1)
    if count == 1:
        return mean, -math.inf + 0 * mean, math.inf + 0 * mean
    half = stats.t.ppf(confidence, count - 1) * logs.std(axis=-1, ddof=1) / math.sqrt(count)
    return mean, mean - half, mean + half


def judge(result: Mapping[str, Any]) -> Verdict:
    """Return the verdict on a result that was checked (result.py).

    What condemns the job whatever its speed comes first (wrong elements, failed launches, another
    transport), then what makes the numbers worthless, then the numbers.
    """
    good = [pair for pair in result["pairs"] if pair["status"] == "ok"]
    extension = result["plan"].get("extension", 0)
    interval = efficiency_interval(good, extension=extension) if good else None
    fidelity = result["fidelity"]
    condemned = next(_condemned(result), None)
    if condemned:
        return Verdict("FAIL", condemned, interval, fidelity)
    worthless = next(_worthless(result, interval), None)
    if worthless or interval is None:
        return Verdict("INVALID", worthless or "no pair", interval, fidelity)
    word, clause = decide(interval, float(result["plan"]["target"]))
    return Verdict(word, clause, interval, fidelity)


def shown(value: object) -> str:
    """Return a value of a file as a word in a sentence: short, and nothing a terminal obeys."""
    text = f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
    clean = "".join(each if each.isprintable() else "?" for each in text)
    return clean if len(clean) <= _SHOWN_CHARACTERS else f"{clean[: _SHOWN_CHARACTERS - 1]}…"


def plain(efficiency: float, form: str = ".1%") -> str:
    """Return an efficiency in a form, if it is not beyond all that could be one."""
    return format(efficiency, form if efficiency < _MOST_PLAIN else ".4g")


def decide(interval: Interval, target: float) -> tuple[Word, str]:
    """Return the verdict of the numbers alone: PASS, FAIL or INCONCLUSIVE, and why."""
    least = target * (1 - _ROUNDING)
    low, high = (plain(bound, ".4f") for bound in (interval.low, interval.high))
    if interval.low >= least:
        return "PASS", f"low {low} is at least the target {target:g}"
    if interval.high < least:
        return "FAIL", f"high {high} is below the target {target:g}"
    bounds = f"{low} and {high}"
    return "INCONCLUSIVE", f"the target {target:g} is between {bounds}: more pairs would tell"


def _condemned(result: Mapping[str, Any]) -> Iterator[str]:
    wrong = result["wrong_elements"]
    if wrong:
        yield f"wrong elements in collectives: found {wrong}, wanted 0"
    failed = [pair["order"] for pair in result["pairs"] if pair["status"] == "failed"]
    if failed:
        yield f"failed pairs: {len(failed)} of {len(result['pairs'])}, first number {failed[0]}"
    declared, observed = result["transport"]["declared"], result["transport"]["observed"]
    if declared != observed:
        why = "" if observed is not None else "; nothing proves what was used"
        yield f"transport: observed {shown(observed)}, declared {shown(declared)}{why}"


def _worthless(result: Mapping[str, Any], interval: Interval | None) -> Iterator[str]:
    for guard in result["guards"]:
        if not guard["ok"]:
            found, limit = (shown(guard.get(key)) for key in ("value", "limit"))
            yield f"guard {shown(guard['name'])}: found {found}, limit {limit}"
    count = len(result["pairs"])
    declared, extension = result["plan"]["pairs"], result["plan"].get("extension", 0)
    if extension and count not in (declared, declared + extension):
        looks = f"{declared}, or {declared + extension} with the extension"
        yield f"pairs: found {count}, wanted {looks}; to look in between is to choose"
    if count < FEWEST_PAIRS:
        yield f"pairs: found {count}, wanted at least {FEWEST_PAIRS}"
    if interval is not None and interval.efficiency > MOST_EFFICIENCY * (1 + _ROUNDING):
        yield (
            f"efficiency {interval.efficiency:.6g} is above {MOST_EFFICIENCY}: the nodes alone"
            " were too slow to compare with"
        )
