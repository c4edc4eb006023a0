"""The matrix's own rules: what a cell must end in, and how an end is judged."""

import pytest
from marks import write_between_marks
from operator_matrix.cells import (
    FS_GROUP,
    HOME_PATH,
    ROOT_PATH,
    USERS,
    WORKERS,
    Cell,
    User,
    cells,
    judge,
)
from operator_matrix.table import MARKS, format_markdown

ROOT, MPIUSER, RANDOM = USERS
GOOD = "rank 0 of 2 on m-worker-0\nrank 1 of 2 on m-worker-1\npi is approximately 3.1415\n"
REMEDY = "  next: set fsGroup in the pods' securityContext"


def cell(operator="mpi-operator", user=ROOT, ssh_path=ROOT_PATH, fs_group=None):
    """Return a cell; only what a test is about is given."""
    return Cell(operator, "4.1", user, ssh_path, fs_group)


# the rows of docs/operators.md's key modes, and who can read
@pytest.mark.parametrize(
    ("made", "mode", "code"),
    [
        (cell(), 0o600, 0),
        (cell(user=MPIUSER), 0o600, 78),
        (cell(user=RANDOM), 0o600, 78),
        (cell(user=MPIUSER, fs_group=FS_GROUP), 0o640, 0),
        (cell(user=RANDOM, fs_group=FS_GROUP), 0o640, 0),
        (cell(user=MPIUSER, ssh_path=HOME_PATH), 0o644, 0),
        (cell("trainer"), 0o640, 0),
        (cell("trainer", MPIUSER, HOME_PATH), 0o640, 78),
        (cell("trainer", MPIUSER, ROOT_PATH, FS_GROUP), 0o640, 0),
        (cell("trainer", RANDOM), 0o640, 0),
        (cell("trainer", User("random:random", 12345, 12345)), 0o640, 78),
    ],
)
def test_what_is_expected_follows_from_the_keys_mode(made, mode, code):
    """Group 0 reads what belongs to root's group; fsGroup makes the key the pod's group's."""
    assert oct(made.key_mode) == oct(mode)
    assert made.expected_code == code


def test_every_combination_is_there_once():
    """Two operators, three users, two paths, with and without fsGroup, two Open MPIs."""
    every = list(cells())
    assert len(every) == len({it.id for it in every}) == 2 * 3 * 2 * 2 * 2
    assert {it.expected_code for it in every} == {0, 78}


@pytest.mark.parametrize(
    ("made", "code", "text", "words"),
    [
        (cell(), 0, GOOD, ""),
        (cell(), 0, GOOD.replace("worker-1", "worker-0"), "not printed: rank 1 of 2"),
        (cell(), 0, GOOD.replace("pi is", "it is"), "not printed: pi is"),
        (cell(), 78, REMEDY, "exit code 78, wanted 0"),
        (cell(), 124, "", "exit code 124, wanted 0"),
        (cell(user=MPIUSER), 78, REMEDY, ""),
        (cell(user=MPIUSER), 78, "  next: try again", "78 without the remedy"),
        (cell(user=MPIUSER), 78, "", "78 without the remedy"),
        (cell(user=MPIUSER), 0, GOOD, "exit code 0, wanted 78"),
        (cell("trainer"), 0, GOOD, "not printed: rank 0 of 2 on m-node-0-0"),
    ],
)
def test_an_end_is_right_only_with_its_evidence(made, code, text, words):
    """A success without a rank on each worker, or a 78 without its remedy, is wrong."""
    assert judge(made, "m", code, text).wrong.startswith(words)
    assert bool(judge(made, "m", code, text).wrong) == bool(words)


def test_the_table_is_put_between_its_marks(tmp_path):
    """The rest of the file stays, and a second writing changes nothing."""
    path = tmp_path / "operators.md"
    path.write_text("before\n{}\nold\n{}\nafter\n".format(*MARKS))
    verdicts = [judge(cell(), "m", 0, GOOD), judge(cell(user=MPIUSER), "m", 78, REMEDY)]

    write_between_marks(path, format_markdown(verdicts), MARKS)
    once = path.read_text()
    write_between_marks(path, format_markdown(verdicts), MARKS)

    assert path.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    assert "| mpi-operator | root | /root/.ssh | none | 0600 root:root | passes |" in once
    assert "- set fsGroup in the pods' securityContext\n" in once
    assert WORKERS == 2


def test_a_file_without_the_marks_is_not_touched(tmp_path):
    """A wrong file is named, and the marks that it lacks."""
    path = tmp_path / "other.md"
    path.write_text("text\n")
    with pytest.raises(ValueError, match=r"other\.md: found no place for the table"):
        write_between_marks(path, "table", MARKS)
    assert path.read_text() == "text\n"
