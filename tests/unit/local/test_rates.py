import pytest

from mpijob_local.rates import format_rate, network_rates, parse_rate
from mpijob_runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "bits", "shown"),
    [
        ("100mbit", 100_000_000, "100 Mbit/s"),
        ("1Gbit", 1_000_000_000, "1 Gbit/s"),
        ("2.5gbit", 2_500_000_000, "2.5 Gbit/s"),
        ("100kbit", 100_000, "100 Kbit/s"),
    ],
)
def test_rates_are_tcs(text, bits, shown):
    """A rate has tc's decimal units of bits, and is shown to people in the same."""
    assert parse_rate(text) == bits
    assert format_rate(bits) == shown


def test_unlimited_is_no_rate():
    """A network can be left as fast as the machine."""
    assert parse_rate("unlimited") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0mbit", "100", "100mbps", "100MiB", "-1mbit", "1e3mbit", "nanmbit", "1bit"),
        *("99kbit", "1001gbit", "9999999999mbit", " 100mbit", "\N{FULLWIDTH DIGIT ONE}mbit"),
    ],
)
def test_other_rates_are_refused(text):
    """What tc would read as bytes, or no link can have, is refused with what is wanted."""
    with pytest.raises(UsageError, match=r"--rate: found .*, wanted .*100mbit"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("networks", "texts", "expected"),
    [
        (1, (), (None,)),
        (1, ("1gbit",), (10**9,)),
        (2, (), (100_000_000, 500_000_000)),
        (3, (), (100_000_000, 500_000_000, 500_000_000)),
        (2, ("1gbit", "unlimited"), (10**9, None)),
    ],
)
def test_rates_of_networks(networks, texts, expected):
    """One network is unshaped unless asked for; of several the first is the slow one."""
    assert network_rates(networks, texts) == expected


@pytest.mark.parametrize(("networks", "number"), [(1, 2), (2, 1), (2, 3)])
def test_as_many_rates_as_networks(networks, number):
    """A rate too many or too few is refused: nobody could say which network is meant."""
    with pytest.raises(UsageError, match=f"found {number} rates? for {networks} network"):
        network_rates(networks, ["1gbit"] * number)
