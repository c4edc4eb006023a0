import pytest

from mpijob_runtime.errors import UsageError
from mpijob_runtime.mpirun_output import Tags, plan_output
from mpijob_runtime.settings import Settings


def plan(line, major, **environ):
    """Return what becomes of the output of a user's mpirun line."""
    settings = Settings.from_environ(environ, output="plain")
    return plan_output(settings, line.split(), major=major)


@pytest.mark.parametrize(
    ("line", "major", "environ", "rank", "time"),
    [
        ("--tag-output a", 4, {}, True, False),
        ("--tag-output a", 5, {}, True, False),
        ("-timestamp-output -n 1 a", 4, {}, False, True),
        ("--output tag,timestamp a", 5, {}, True, True),
        ("--output TAG --output timestamp a", 5, {}, True, True),
        ("--mca orte_tag_output 1 a", 4, {}, True, False),
        ("a", 4, {"OMPI_MCA_orte_timestamp_output": "true"}, False, True),
    ],
)
def test_tags_and_times_are_ours_to_write(line, major, environ, rank, time):
    """Mpirun would tag nothing: the ranks' output does not go through it."""
    found = plan(line, major, **environ)
    assert (found.form, found.tags) == ("plain", Tags(major, rank=rank, time=time))


@pytest.mark.parametrize(
    ("line", "major", "environ"),
    [
        ("--output-filename /tmp/o a", 4, {}),
        ("-output-filename /tmp/o --tag-output a", 5, {}),
        ("--output tag,file=/tmp/o a", 5, {}),
        ("--output dir=/tmp/o:nocopy a", 5, {}),
        ("--output-directory /tmp/o a", 5, {}),
        ("--output tag-detailed a", 5, {}),
        ("--merge-stderr-to-stdout a", 4, {}),
        ("--xml a", 5, {}),
        ("a", 4, {"OMPI_MCA_orte_output_filename": "/tmp/o"}),
        ("-gmca orte_output_filename /tmp/o a", 4, {}),
    ],
)
def test_everything_else_leaves_the_output_to_mpirun(line, major, environ):
    """Files, XML and the like are mpirun's own work, and it does it."""
    found = plan(line, major, **environ)
    assert (found.form, found.tags) == ("mpirun", None)
    assert found.why


@pytest.mark.parametrize(
    ("line", "major", "environ"),
    [
        ("-n 2 python a.py --output-filename x --tag-output", 4, {}),
        ("a", 5, {"OMPI_MCA_orte_tag_output": "1"}),
        ("a", 4, {"OMPI_MCA_orte_tag_output": "0"}),
        ("-x A a", 5, {}),
        ("--mca orte_output_filename /tmp/o a", 5, {}),
    ],
)
def test_who_asks_for_nothing_gets_plain_lines(line, major, environ):
    """A program's words, and parameters that this Open MPI does not have, ask for nothing."""
    found = plan(line, major, **environ)
    assert (found.form, found.tags, found.why) == ("plain", None, "")


@pytest.mark.parametrize(
    ("line", "environ", "words"),
    [
        ("--output-filename /o a", {"MPIJOB_OUTPUT": "json"}, "--output json (MPIJOB_OUTPUT)"),
        ("--output-filename /o a", {"MPIJOB_LOG_DIR": "/l"}, "--log-dir /l (MPIJOB_LOG_DIR)"),
        ("a", {"MPIJOB_LOG_DIR": "/l", "MPIJOB_OUTPUT": "mpirun"}, "--output mpirun"),
    ],
)
def test_files_of_both_are_refused(line, environ, words):
    """Only one of the two has the output: files of 0 bytes would be left by the other."""
    with pytest.raises(UsageError) as caught:
        plan(line, 4, **environ)
    assert words in str(caught.value)
    assert "wanted one of them" in str(caught.value)


def test_a_form_that_was_asked_for_wins_over_tags_and_that_is_said():
    """JSON has rank and time in fields of their own."""
    found = plan("--tag-output a", 4, MPIJOB_OUTPUT="json")
    assert (found.form, found.tags, found.unheeded) == ("json", None, "--tag-output")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (Tags(4, rank=True), b"[1,3]<stderr>:"),
        (Tags(4, time=True), b"Sat Nov 28 14:57:38 2026<stderr>:"),
        (Tags(4, rank=True, time=True), b"Sat Nov 28 14:57:38 2026[1,3]<stderr>:"),
        (Tags(5, rank=True), b"[1,3]<stderr>: "),
        (Tags(5, time=True), b"[Sat Nov 28 14:57:38 2026]<stderr>: "),
        (Tags(5, rank=True, time=True), b"[Sat Nov 28 14:57:38 2026][1,3]<stderr>: "),
    ],
)
def test_a_tag_is_what_open_mpi_itself_writes(tags, expected):
    """As 4.1.4 and 5.0.11 wrote them."""
    assert tags.before(3, 2, "Sat Nov 28 14:57:38 2026") == expected
