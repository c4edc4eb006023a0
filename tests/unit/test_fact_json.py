import json
from dataclasses import dataclass

import pytest

from mpijob_runtime.fact_json import FactsError, facts_from_json, facts_to_json
from mpijob_runtime.facts import GpuFacts, GpuHostFacts, GpuLink


def read(data):
    """Read facts of a host from plain data."""
    return facts_from_json(GpuHostFacts, data)


def test_facts_come_back_as_they_were():
    """Records in tuples in a record."""
    facts = GpuHostFacts("1", None, (GpuFacts(0, cpus=(1, 2)),), (GpuLink(0, 1, "NV4", 3),))
    assert read(json.loads(json.dumps(facts_to_json(facts)))) == facts


def test_another_version_is_understood():
    """A field that is missing has its default; one that is new is left out."""
    assert read({"gpus": [{"index": 3, "colour": "green"}]}).gpus == (GpuFacts(3),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "GpuHostFacts: found a list of 0, wanted an object"),
        ({"gpus": 3}, r"GpuHostFacts.gpus: found 3, wanted a list"),
        ({"gpus": [3]}, r"GpuHostFacts.gpus\[0\]: found 3, wanted an object"),
        ({"gpus": [{}]}, r"gpus\[0\].index: found nothing"),
        ({"gpus": [{"index": True}]}, "index: found True, wanted a whole number"),
        ({"gpus": [{"index": 1.5}]}, "index: found 1.5, wanted a whole number"),
        ({"gpus": [{"index": 1 << 64}]}, "beyond 64 bits"),
        ({"gpus": [{"index": None}]}, "index: found None"),
        ({"driver_version": {}}, "driver_version: found an object, wanted a text"),
        ({"driver_version": "\x1b[2J"}, "cannot be printed"),
        ({"driver_version": "x" * 501}, "too long"),
        ({"allowed_cpus": [0] * 10_001}, "found a list of 10001, wanted a list"),
        ({"driver_version": ["x" * 99]}, "found a list of 1"),
        ({"allowed_cpus": ["x" * 99]}, "found 'x{38}…, wanted a whole number"),
    ],
)
def test_what_does_not_fit_is_named(data, message):
    """Place, found and wanted; never a traceback of ours, never much of what came."""
    with pytest.raises(FactsError, match=message):
        read(data)


def test_only_records_travel():
    """A dictionary has no fields that the other side could check."""
    with pytest.raises(TypeError, match="dict"):
        facts_to_json({})


def test_truths_are_no_numbers():
    """And numbers are no truths."""

    @dataclass(frozen=True)
    class Two:
        yes: bool

    assert facts_from_json(Two, {"yes": True}) == Two(yes=True)
    with pytest.raises(FactsError, match="wanted true or false"):
        facts_from_json(Two, {"yes": 1})
