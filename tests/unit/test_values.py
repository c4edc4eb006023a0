import pytest

from mpijob_runtime.values import parse_seconds, parse_switch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("0", 0.0),
        ("7.5", 7.5),
        ("1e3", 1000.0),
        (" 90 ", 90.0),
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("2d", 172800.0),
        ("30d", 2592000.0),
    ],
)
def test_a_time_is_seconds_or_has_units(text, expected):
    """A plain number is seconds; units are Kubernetes' and Go's, and days."""
    assert parse_seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "m", "10min", "10 m", "1h 30m", "-1", "-1m", "+1m", "PT10M", "1w", "10M", "10m5"),
        *("nan", "inf", "31d", "1e99", "9" * 5000 + "s", "\u0661\u0660m", "1..5h", "5x10m"),
    ],
)
def test_what_is_no_time_is_none(text):
    """Nothing is guessed, and nothing is longer than a month."""
    assert parse_seconds(text) is None


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_has_the_words_of_the_field(on):
    """1, true, yes, on and their opposites, in any case."""
    words = ("1", "true", "yes", "on") if on else ("0", "false", "no", "off")
    assert {parse_switch(form(word)) for word in words for form in (str, str.upper, str.title)} == {
        on
    }


@pytest.mark.parametrize("text", ["", "2", "y", "enabled", "none", "on off"])
def test_what_is_no_switch_is_none(text):
    """A word that says neither is not taken for either."""
    assert parse_switch(text) is None
