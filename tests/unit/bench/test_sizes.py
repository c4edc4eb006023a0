import pytest

from mpijob_bench.sizes import format_bytes, format_rate, format_time, parse_bytes
from mpijob_runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("64KiB", 65536), ("25MB", 25_000_000), ("1 GiB", 1 << 30), ("2mib", 2 << 20)],
)
def test_sizes_are_read(text, size):
    """Binary and decimal units are different things."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5MiB", "MiB", "1TB", "1e6", "1" * 20])
def test_what_is_no_size_is_refused(text):
    """Before anything is measured."""
    with pytest.raises(UsageError, match="wanted bytes above 0"):
        parse_bytes(text)


@pytest.mark.parametrize("size", [1, 1000, 1024, 256 << 20, 3 << 30])
def test_a_formatted_size_is_read_as_the_same(size):
    """Inverses."""
    assert parse_bytes(format_bytes(size)) == size


def test_rates_and_times_have_fitting_units():
    """Decimal for rates, as links are sold."""
    assert format_rate(24.3e6) == "24.30 MB/s"
    assert format_rate(480e9) == "480.0 GB/s"
    assert format_rate(82_200) == "82.2 kB/s"
    assert [format_time(s) for s in (1.25, 0.0126, 31e-6)] == ["1.25 s", "12.6 ms", "31 us"]
