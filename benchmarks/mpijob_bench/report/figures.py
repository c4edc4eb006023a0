"""All charts of a report, or the sentence that says why one is not there.

Layer: imports the charts, series, explanation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpijob_bench.allreduce import allreduce_of
from mpijob_bench.explanation import Explanation
from mpijob_bench.report import drift_chart, network_chart, scaling_charts, step_charts, waterfall
from mpijob_bench.report.canvas import Chart
from mpijob_bench.report.series import Drift, ModelPoint, Point, drift, model_points, points
from mpijob_bench.report.step_charts import Floats
from mpijob_bench.report.step_stream import Map, Steps

_FEWEST_MAPPED = 2


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, or why there is none.

    Attributes:
        chart: in two widths, or None.
        missing: a sentence; empty if the chart is there.
    """

    chart: Chart | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Charts by name, and the numbers that their tables show."""

    charts: Mapping[str, Figure]
    points: Sequence[Point]
    model: Sequence[ModelPoint]
    drift: Sequence[Drift]
    times: Mapping[int, Floats]


def figures(result: Mapping[str, Any], explanation: Explanation, steps: Steps | None) -> Figures:
    """Return everything that is drawn of a result.

    Args:
        result: that was checked (sections.py).
        explanation: of it.
        steps: of its steps.jsonl, or None if there is none.
    """
    stamp = "" if result["fidelity"] == "measured" else result["fidelity"]
    found = points(result)
    model = model_points(explanation.forecast.setup, found, result["plan"]["nodes"])
    drifted, times = drift(result), _times(result, steps)
    charts = {
        **_scaling(found, model, result, stamp),
        "waterfall": _waterfall(explanation, result, stamp),
        "network": _network(result, explanation, stamp),
        "distribution": _distribution(times, steps, stamp),
        **_maps(steps, stamp),
        "drift": _drift(drifted, stamp),
    }
    return Figures(charts, found, model, drifted, times)


def _scaling(
    found: Sequence[Point], model: Sequence[ModelPoint], result: Mapping[str, Any], stamp: str
) -> dict[str, Figure]:
    if not found:
        nothing = Figure(None, "No pair of launches ended well: there is no rate to show.")
        return {"throughput": nothing, "efficiency": nothing}
    target = float(result["plan"]["target"])
    return {
        "throughput": Figure(scaling_charts.throughput(found, model, stamp=stamp)),
        "efficiency": Figure(scaling_charts.efficiency(found, model, target=target, stamp=stamp)),
    }


def _waterfall(explanation: Explanation, result: Mapping[str, Any], stamp: str) -> Figure:
    found = explanation.attribution
    if not found.terms:
        return Figure(None, f"Where the points went is not known: {found.missing}.")
    target = float(result["plan"]["target"])
    return Figure(waterfall.waterfall(found, target=target, stamp=stamp), found.missing)


def _network(result: Mapping[str, Any], explanation: Explanation, stamp: str) -> Figure:
    comm = result.get("comm")
    if not comm or not any(row["bytes"] for row in comm["results"]):
        return Figure(None, "The network was not measured: mpijob-bench comm does it.")
    setup = explanation.forecast.setup
    buckets: list[float] = []
    if setup is not None and explanation.prediction is not None:
        share = setup.compression * setup.byte_scale
        buckets = [sent.bucket.bytes / share for sent in explanation.prediction.timeline]
    return Figure(network_chart.network(comm, allreduce_of(comm), buckets, stamp=stamp))


def _times(result: Mapping[str, Any], steps: Steps | None) -> dict[int, Floats]:
    """Return number of nodes -> step times of the job; 1 for nodes alone."""
    if steps is None:
        return {}
    kinds = {one["number"]: one for one in result.get("launches") or () if one["status"] == "ok"}
    found: dict[int, list[Floats]] = {}
    for number, seconds in steps.by_launch().items():
        if number in kinds:
            one = kinds[number]
            nodes = 1 if one["kind"] == "alone" else int(one["nodes"])
            found.setdefault(nodes, []).append(seconds)
    return {nodes: np.sort(np.concatenate(some)) for nodes, some in sorted(found.items())}


def _distribution(times: Mapping[int, Floats], steps: Steps | None, stamp: str) -> Figure:
    if steps is None:
        return Figure(
            None, "There is no steps.jsonl beside the result: single steps are not known."
        )
    if not times:
        return Figure(None, "steps.jsonl has no steps of launches that ended well.")
    return Figure(step_charts.distribution(times, stamp=stamp))


def _maps(steps: Steps | None, stamp: str) -> dict[str, Figure]:
    titles = {
        "local": "Step time of each rank without any exchange, against the median of all",
        "full": "Step time of each rank as it trains, against the median of all",
    }
    return {
        f"map-{mode}": _map(steps.maps[mode] if steps else None, title, f"map-{mode}", stamp)
        for mode, title in titles.items()
    }


def _map(found: Map | None, title: str, name: str, stamp: str) -> Figure:
    if found is None or len(found.rows) < _FEWEST_MAPPED:
        return Figure(None, "No steps of this mode are known.")
    return Figure(step_charts.heat_map(found, title, name, stamp=stamp))


def _drift(found: Sequence[Drift], stamp: str) -> Figure:
    if not found:
        return Figure(None, "The result does not list its launches.")
    return Figure(drift_chart.drift_chart(found, stamp=stamp))
