import pytest

from mpijob_runtime.differences import find_differences, format_differences


@pytest.fixture
def starts(make_record):
    """Return a function from each rank's variables to its starts."""

    def build(*environs, versions=()):
        told = list(versions) or [{}] * len(environs)
        return [
            make_record("start", rank, environ=environ, versions=told[rank])
            for rank, environ in enumerate(environs)
        ]

    return build


def test_what_is_alike_is_no_difference(starts):
    """Nothing to say, and no table."""
    found = find_differences(starts({"PATH": "/bin"}, {"PATH": "/bin"}))
    assert found == {}
    assert format_differences(found) == ""
    assert find_differences([]) == {}


def test_values_and_their_ranks_are_found(starts):
    """A variable that is missing on a rank is a value of its own."""
    found = find_differences(starts({"A": "1", "B": "x"}, {"A": "2", "B": "x"}, {"A": "1"}))
    assert found == {"A": {"1": [0, 2], "2": [1]}, "B": {"x": [0, 1], "(not set)": [2]}}


def test_the_order_in_which_ranks_come_does_not_matter(starts):
    """Ranks are listed by number."""
    records = starts({"A": "1"}, {"A": "2"}, {"A": "1"})
    assert find_differences(records[::-1]) == find_differences(records)


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "PATH", "PYTHONPATH"])
def test_empty_and_repeated_parts_of_a_path_are_no_difference(name, starts):
    """Mpirun puts its prefix before a path that has it, or that is empty; the order counts."""
    alike = ({name: "/a:/b"}, {name: "/a:/b:"}, {name: ":/a::/b"}, {name: "/a:/b:/a"})
    assert find_differences(starts(*alike)) == {}
    assert find_differences(starts({name: ""}, {name: ":"}, {})) == {}
    found = find_differences(starts({name: "/a:/b"}, {name: "/b::/a:/b"}))
    assert found == {name: {"/a:/b": [0], "/b:/a": [1]}}


def test_other_variables_are_compared_to_the_letter(starts):
    """An empty NCCL_SOCKET_IFNAME is not a missing one."""
    assert find_differences(starts({"NCCL_DEBUG": ""}, {}))
    assert find_differences(starts({"UCX_TLS": "a:"}, {"UCX_TLS": "a"}))


def test_versions_are_compared(starts):
    """Another torch on one host is named as a version."""
    records = starts({}, {}, versions=[{"torch": "2.9"}, {"torch": "2.8"}])
    assert find_differences(records) == {"version of torch": {"2.9": [0], "2.8": [1]}}


def test_the_table_has_most_ranks_first(starts):
    """Who is different is below what is usual."""
    records = starts({"NCCL_DEBUG": "WARN"}, *({"NCCL_DEBUG": "INFO"} for _ in range(3)))
    expected = """\
ranks differ in what they should have alike:
  NCCL_DEBUG           ranks 1-3      INFO
                       rank 0         WARN"""
    assert format_differences(find_differences(records)) == expected


def test_many_values_are_counted(starts):
    """A variable with a value for each rank does not fill the screen."""
    found = format_differences(find_differences(starts(*({"A": str(n)} for n in range(100)))))
    assert len(found.splitlines()) == 6
    assert found.endswith("… and 96 more values")


@pytest.mark.parametrize(
    ("value", "shown"), [("x" * 500, "x" * 59 + "…"), ("", "(empty)"), ("a\nb", "a\\nb")]
)
def test_a_value_is_one_short_line(value, shown, starts):
    """Cut, with newlines shown, and an empty one said to be empty."""
    lines = format_differences(find_differences(starts({"A": value}, {"A": "1"}))).splitlines()
    assert lines[1].endswith(f" {shown}")


def test_secrets_are_not_shown(starts):
    """That they differ is said, not what they are."""
    environs = ({"NCCL_TOKEN": "hunter1"}, {"NCCL_TOKEN": "hunter2"})
    found = format_differences(find_differences(starts(*environs)))
    assert "NCCL_TOKEN" in found
    assert "hunter" not in found
