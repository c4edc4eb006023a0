import pytest

from mpijob_local.expansion import expand, expand_environ


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
    ],
)
def test_expand(text, expected):
    """References are replaced as the kubelet does it; a shell's are left to the shell."""
    assert expected == expand(text, {"A": "1"})


def test_environ_sees_what_came_before():
    """A variable may refer to those before it, and the later of two wins."""
    pairs = [("A", "1"), ("B", "$(A)$(C)"), ("C", "3"), ("A", "2")]

    assert expand_environ(pairs) == {"A": "2", "B": "1$(C)", "C": "3"}
