"""The rules by which rows of tests/field are judged, and the table that is made of them."""

import pytest
from field.__main__ import format_markdown
from field.catalogue import ROWS
from field.rows import Row, judge

ROW = Row(
    *("row", "does it", "somebody", "true"),
    says=("^one$",),
    never=("two",),
    ends={"5.0": 64},
    next_step="^next$",
    remark="refused",
)


@pytest.mark.parametrize(
    ("open_mpi", "code", "output", "wrong"),
    [
        ("4.1", 0, "one\n", ""),
        ("5.0", 64, "next\n", ""),
        ("5.0", 64, "one\n", "lacks '^next$'"),
        ("5.0", 0, "one\n", "exit code 0, wanted 64"),
        ("4.1", 0, "one two", "lacks '^one$'; has 'two'"),
        ("4.1", None, "one\n", "did not run"),
    ],
)
def test_a_row_is_right_only_with_its_code_and_its_words(open_mpi, code, output, wrong):
    """A row that printed nothing, or did not run, is wrong."""
    assert judge(ROW, open_mpi, code, output).wrong == wrong


def test_rows_have_names_of_their_own():
    """Marks in the output are made of them."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)


def test_the_table_says_what_came_of_each_generation():
    """One line a row; a version that was not tried is told as such."""
    table = format_markdown([judge(ROW, "4.1", 0, "one"), judge(ROW, "5.0", 64, "next")])
    assert "| does it | somebody | right | 64: refused |" in table
    assert "not tried" in format_markdown([judge(ROW, "4.1", 0, "one")])
