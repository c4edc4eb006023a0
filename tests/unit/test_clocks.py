import pytest

from mpijob_runtime.clocks import ClockOffset, describe_clocks, measure_offset


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([105.0, 105.5], ClockOffset(4.5, 5.0)),
        ([95, 95.5], ClockOffset(-5.5, -5.0)),
        ([105.0, 100.0], ClockOffset(-1.0, 5.0)),
        ([100.0, 110.0], None),
        ([105.0], None),
        ([105.0, True], None),
        ([float("nan"), 105.0], None),
        ([-1.0, 105.0], None),
        (["105", "106"], None),
        (None, None),
    ],
)
def test_an_offset_has_two_bounds(said, expected):
    """Asked at 100, answered at 101; what cannot be is not believed."""
    assert measure_offset(said, 100.0, 101.0) == expected


def exact(seconds):
    """Return an offset that is known to a tenth of a second."""
    return ClockOffset(seconds - 0.1, seconds + 0.1)


@pytest.mark.parametrize(
    "offsets",
    [
        {},
        {"w0": exact(500)},
        {"w0": exact(0), "w1": exact(1.1)},
        {"w0": exact(0), "w1": ClockOffset(-9, 9)},
        {f"w{n}": exact(77 + n / 10) for n in range(8)},
    ],
)
def test_what_may_be_no_difference_is_not_said(offsets):
    """Up to a second, or not for certain; that all differ from the launcher harms nobody."""
    assert describe_clocks(offsets) == ""


def test_the_usual_clock_is_the_measure():
    """Whoever is off is named, ahead or behind, with how sure that is."""
    offsets = {f"w{n}.job": exact(50) for n in range(5)} | {
        "a.job": exact(48),
        "z.job": exact(3661),
    }
    first, remedy = describe_clocks(offsets).splitlines()
    assert first == "clocks differ from w2's: a by -2.0 s (± 0.2 s), z by +3611.0 s (± 0.2 s)"
    assert remedy.startswith("  next: ")


def test_a_thousand_clocks_are_one_line():
    """The rest is counted."""
    offsets = {f"w{n}": exact(n * 10) for n in range(1001)}
    assert describe_clocks(offsets).splitlines()[0].endswith(" … and 996 more")
