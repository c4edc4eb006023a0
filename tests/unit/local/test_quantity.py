from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_local.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("2", "2"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("250m", "0.25"),
        ("100n", "1e-7"),
        ("1k", "1000"),
        ("64Mi", "67108864"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("2Ei", "2305843009213693952"),
        ("-1", "-1"),
    ],
)
def test_value(text, value):
    """A quantity has the value that Kubernetes gives it."""
    assert Decimal(value) == parse_quantity(text).value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 Gi", "1gi", "1x", "Mi", "1.2.3", "0x10", "NaN", "1KB"]
)
def test_refuses(text):
    """What is no quantity is refused with an example of one."""
    with pytest.raises(ValueError, match="512Mi"):
        parse_quantity(text)


def test_whole_rounds_up():
    """A part of a byte counts as a byte."""
    assert parse_quantity("1500m").whole == 2


def test_compares_by_value():
    """Two ways to write one amount are equal and in order."""
    assert parse_quantity("1Gi") == parse_quantity("1024Mi")
    assert parse_quantity("900m") < parse_quantity("1")


@given(st.text(max_size=20))
def test_never_anything_but_value_error(text):
    """Any text is either a quantity or a ValueError."""
    with suppress(ValueError):
        assert parse_quantity(text).text == text


@given(st.integers(0, 10**12), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi"]))
def test_whole_numbers_are_exact(number, suffix):
    """Whole numbers of a unit lose nothing."""
    unit = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[suffix]

    assert parse_quantity(f"{number}{suffix}").whole == number * unit
