import pytest

from mpijob_runtime.lists import format_list


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, ""), (1, "h0"), (3, "h0, h1, h2"), (4, "h0, h1, h2 … and 1 more")],
)
def test_a_list_has_an_end(number, text):
    """What is left out is counted."""
    assert format_list([f"h{n}" for n in range(number)], most=3) == text


def test_items_may_be_lines():
    """The rest is told on the last."""
    assert format_list(["a", "b", "c"], most=2, between="\n  ") == "a\n  b … and 1 more"
