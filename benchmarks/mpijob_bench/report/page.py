"""The page: numbers as words, and the template that puts them in their places.

Layer: imports jinja2, comm, figures, explanation, masked, words; reads the template.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np

from mpijob_bench import __version__
from mpijob_bench.also import also_words
from mpijob_bench.comm.summary import typical_seconds
from mpijob_bench.explanation import LEVERS, MEANINGS, TITLES, Explanation
from mpijob_bench.report import words
from mpijob_bench.report.evenness import evenness, without_exchange
from mpijob_bench.report.figures import Figures
from mpijob_bench.report.masked import masked, masked_environ
from mpijob_bench.report.network_chart import by_collective
from mpijob_bench.report.palette import HEAT_LEVELS, variables
from mpijob_bench.report.series import doublings
from mpijob_bench.report.step_charts import HEAT_EDGES
from mpijob_bench.report.step_stream import Steps
from mpijob_bench.verdict import Verdict

_CLASSES = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open", "INVALID": "invalid"}
_SENTENCES = {
    "PASS": "The job reaches its target.",
    "FAIL": "The job does not reach its target.",
    "INCONCLUSIVE": "These launches cannot tell.",
    "INVALID": "These numbers cannot be judged.",
}
_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_MOST_ROWS = 200
_MOST_CHARACTERS = 1_000  # of one value: a page of 2 MB has room for some hundred of them


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where things are on the verdict's scale, in per cent of its width."""

    low: float
    width: float
    middle: float
    target: float
    first: str
    last: str


def render(
    result: Mapping[str, Any], explanation: Explanation, found: Figures, steps: Steps | None
) -> str:
    """Return the whole page.

    Args:
        result: that was checked (sections.py).
        explanation: of it.
        found: its figures.
        steps: of its steps.jsonl, or None.
    """
    folder = resources.files("mpijob_bench.report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
    )
    environment.filters |= {
        "percent": words.percent,
        "points": words.points,
        "rate": words.rate,
        "size": words.size,
        "bandwidth": words.bandwidth,
        "seconds": words.seconds,
        "typical": typical_seconds,
        "shown": _shown,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    text = environment.get_template("page.html").render(
        style=(folder / "page.css").read_text("utf-8"),
        light=variables("light"),
        dark=variables("dark"),
        version=__version__,
        **_content(result, explanation, found, steps),
    )
    return re.sub(r"[ \t]*\n\s*", "\n", text)


def _content(
    result: Mapping[str, Any], explanation: Explanation, found: Figures, steps: Steps | None
) -> dict[str, Any]:
    verdict = explanation.verdict
    return {
        "result": result,
        "title": title(result),
        "verdict": verdict,
        "verdict_class": _CLASSES[verdict.word],
        "sentence": _SENTENCES[verdict.word],
        "gauge": gauge(verdict, float(result["plan"]["target"])),
        "explanation": explanation,
        "titles": TITLES,
        "meanings": MEANINGS,
        "levers": LEVERS,
        "charts": found.charts,
        "found": found,
        "model": {one.nodes: one for one in found.model},
        "doublings": doublings(found.points),
        "times": list(_times(found)),
        "evenness": evenness(result),
        "without_exchange": without_exchange(result),
        "collectives": by_collective(result["comm"]) if result.get("comm") else {},
        "steps": steps,
        "heat": _heat(),
        "launches": _launches(result),
        "network": emulated_network(result),
        "also": list(also_words(result.get("also"))),
        "plan": list(_flat(masked(_plan(result)))),
        "environment": masked_environ(result.get("environment") or {}),
    }


def title(result: Mapping[str, Any]) -> str:
    """Return what was run, ``resnet50 · DDP · 8 nodes``."""
    workload = masked(result.get("workload") or {})
    name = workload.get("name") or " ".join(workload.get("argv") or ()) or "Scaling benchmark"
    known = {} if workload.get("kind") == "command" else {"ddp": "DDP", "horovod": "Horovod"}
    framework = known.get(workload.get("framework"))
    parts = (name, framework, f"{result['plan']['nodes']} nodes")
    return " · ".join(_shown(part) for part in parts if part)


def emulated_network(result: Mapping[str, Any]) -> str:
    """Return what an emulation stands for, ``25 Gbit/s between nodes, 200 times slower``."""
    emulation = result.get("emulation") or {}
    rate, k = emulation.get("network_bits_per_second"), emulation.get("k")
    if not (isinstance(rate, int | float) and isinstance(k, int | float)):
        return "a shaped network"
    return f"{rate / 1e9:g} Gbit/s between nodes, links slower by k = {k:g}"


def gauge(verdict: Verdict, target: float) -> Gauge | None:
    """Return where the interval and the target are on a scale that has both."""
    found = verdict.interval
    if found is None:
        return None
    low, high = (found.low, found.high) if found.low > 0 else (found.efficiency,) * 2
    first = max(0.0, 0.05 * np.floor(20 * (min(low, target) - 0.02)))
    last = 0.05 * np.ceil(20 * (max(high, target, 0.95) + 0.005))
    span = 100 / (last - first)
    return Gauge(
        low=float((low - first) * span),
        width=float((high - low) * span),
        middle=float((found.efficiency - first) * span),
        target=float((target - first) * span),
        first=words.percent(float(first), 0),
        last=words.percent(float(last), 0),
    )


def _times(found: Figures) -> Iterator[dict[str, Any]]:
    for nodes, values in found.times.items():
        quantiles = [float(one) for one in np.quantile(values, _QUANTILES)]
        cv = float(values.std() / values.mean())
        yield {"nodes": nodes, "count": len(values), "quantiles": quantiles, "cv": cv}


def _heat() -> list[tuple[int, str]]:
    edges = [f"{100 * edge:.0f}" for edge in HEAT_EDGES]
    middle = [f"{low} to {high} %" for low, high in itertools.pairwise(edges)]
    names = [f"up to {edges[0]} % slower", *middle, f"over {edges[-1]} %"]
    return list(zip(range(HEAT_LEVELS), names, strict=True))


def _launches(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [masked(dict(one)) for one in (result.get("launches") or ())[:_MOST_ROWS]]


def _plan(result: Mapping[str, Any]) -> dict[str, Any]:
    names = ("plan", "workload", "steps", "emulation", "transport", "versions")
    return {name: result[name] for name in names if result.get(name)} | {
        "hosts": ", ".join((result.get("hosts") or ())[:_MOST_ROWS])
    }


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif value not in ("", None, [], {}):
        yield path, _shown(value)


def _shown(value: object) -> str:
    match value:
        case str():
            return value if len(value) <= _MOST_CHARACTERS else f"{value[:_MOST_CHARACTERS]}…"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case None:
            return "—"
        case list() if all(isinstance(item, str) for item in value):
            return _shown(" ".join(value))
        case _:
            return _shown(json.dumps(value))
