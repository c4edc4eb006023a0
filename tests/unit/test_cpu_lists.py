import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpijob_runtime.cpu_lists import format_cpu_list, parse_cpu_list


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("", ()), ("0", (0,)), ("0-2,7\n", (0, 1, 2, 7)), ("3,1-1", (1, 3)), ("8191", (8191,))],
)
def test_lists_of_the_kernel_are_read(text, cpus):
    """Ranges and single ones, in order."""
    assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1,,2", "0-99999999999", "8192", "1-2-3", "²"])
def test_anything_else_is_refused(text):
    """No list, or more processors than Linux can have."""
    with pytest.raises(ValueError, match="processor"):
        parse_cpu_list(text)


@settings(deadline=None)
@given(st.sets(st.integers(0, 8191), max_size=50))
def test_writing_and_reading_are_inverses(cpus):
    """What is written is read again."""
    assert parse_cpu_list(format_cpu_list(cpus)) == tuple(sorted(cpus))
