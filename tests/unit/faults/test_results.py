from dataclasses import replace

from faults.model import Result
from faults.page import format_page
from faults.results import ResultsFile, summarize
from faults.show import table

RESULT = Result(
    fault="link-down",
    open_mpi="4.1",
    bare=False,
    run=0,
    hit=1,
    moment_seconds=0.5,
    exit_code=75,
    outcome="failed",
    verdict="host lost",
    noticed_seconds=9.0,
    ended_seconds=10.0,
    clean_seconds=1.0,
    wrong=(),
    load=0.5,
)
HUNG = replace(RESULT, run=1, exit_code=None, ended_seconds=None, wrong=("hung: no end",))


def test_results_come_back_as_they_were(tmp_path):
    """A broken run goes on with what is in the file; a line cut short is made anew."""
    file = ResultsFile(tmp_path / "deeper" / "results.jsonl")
    assert file.read() == []
    file.add(RESULT)
    file.add(HUNG)
    with (tmp_path / "deeper" / "results.jsonl").open("a") as broken:
        broken.write('{"fault": "link')

    assert file.read() == [RESULT, HUNG]


def test_a_trial_made_again_replaces_the_first(tmp_path):
    """The key of a trial is its fault, Open MPI, mode and number."""
    file = ResultsFile(tmp_path / "results.jsonl")
    file.add(HUNG)
    file.add(replace(RESULT, run=1))

    assert file.read() == [replace(RESULT, run=1)]


def test_a_summary_counts_and_shows_median_and_worst():
    """A hung trial has no time and no code."""
    slow = replace(RESULT, run=2, ended_seconds=12.0)
    found = summarize([RESULT, HUNG, slow], "link-down", "4.1", bare=False)

    assert found.wrong == 1
    assert found.codes == "75, hung"
    assert found.seconds("ended_seconds") == "11.0 / 12.0"
    assert summarize([RESULT], "link-down", "4.1", bare=False).seconds("ended_seconds") == "10.0"
    assert summarize([HUNG], "link-down", "4.1", bare=False).seconds("ended_seconds") == "-"
    assert not summarize([RESULT], "link-down", "4.1", bare=True).results


def test_a_job_that_hangs_or_wrongly_succeeds_names_nobody():
    """Only a job that was right to succeed need not name anybody."""

    def named(*results):
        return summarize(results, "link-down", "4.1", bare=False).named

    zero = replace(RESULT, exit_code=0)
    assert named(RESULT, HUNG, zero) == "1 of 2"
    assert named(zero) == "-"
    assert named(replace(zero, wrong=("exit code 0",))) == "0 of 1"
    assert named(replace(RESULT, wrong=("does not say worker-1",))) == "0 of 1"


def test_the_page_has_a_row_for_each_fault_that_was_done_and_says_what_was_wrong():
    """Wrong trials are counted first and listed last."""
    page = format_page([RESULT, HUNG, replace(RESULT, bare=True, exit_code=205)])

    assert "**1 wrong in 2 trials.**" in page
    assert "| in the run | 4.1 | 2 | **1** | 75, hung | 1 of 2 | 9.0 / 9.0 | 10.0 |" in page
    assert "| in the run | 4.1 | 1 | 0 | 205 |" in page
    assert "- `link-down` with 4.1: hung: no end (1)" in page
    assert "What was wrong" not in format_page([RESULT])


def test_the_table_has_the_same_rows():
    """Ours and plain mpirun's are rows of their own."""
    assert table([RESULT, HUNG, replace(RESULT, bare=True)]).row_count == 2
