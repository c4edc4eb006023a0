import pytest

from mpijob_runtime.mpirun_line import read_options


@pytest.mark.parametrize(
    ("line", "major", "expected"),
    [
        ("-np 2 --bind-to none python train.py --output x", 5, ["-np 2", "--bind-to none"]),
        ("--tag-output echo --output-filename x", 4, ["--tag-output"]),
        ("-mca pml ob1 -x A=b -n 1 a", 4, ["-mca pml ob1", "-x A=b", "-n 1"]),
        ("-n 1 a : -n 1 --tag-output b", 5, ["-n 1", "-n 1", "--tag-output"]),
        ("--output=tag --np=2 a", 5, ["--output=tag", "--np=2"]),
        ("--output tag a", 4, []),
        ("--display-topo a", 4, ["--display-topo"]),
        ("--display-topo all a", 5, ["--display-topo all"]),
        ("-n 2 -- a --tag-output", 5, ["-n 2"]),
        ("-n", 4, ["-n"]),
        ("", 5, []),
    ],
)
def test_options_are_read_up_to_the_program(line, major, expected):
    """A program's own words, and what follows an unknown option, are no options of mpirun."""
    assert [str(option) for option in read_options(line.split(), major=major)] == expected


def test_a_value_after_an_equals_sign_is_the_options_value():
    """As 5.0 takes it; 4.1 does not, which its spelling is told by."""
    (option,) = read_options(["--output=file=/tmp/o"], major=5)
    assert (option.name, option.values, option.joined) == ("output", ("file=/tmp/o",), True)
