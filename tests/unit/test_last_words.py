import pytest

from mpijob_runtime.last_words import explain_last_words

TRACEBACK = """\
epoch 3
Traceback (most recent call last):
  File "/app/train.py", line 90, in <module>
    main()
  File "/app/train.py", line 42, in main
    loss.backward()
    ~~~~~~~~~~~~~^^
{}
"""

PYTHON = {
    "usual": ("ValueError: bad batch", "ValueError: bad batch"),
    "no message": ("KeyboardInterrupt", "KeyboardInterrupt"),
    "dotted": (
        "torch.distributed.DistBackendError: NCCL error",
        "torch.distributed.DistBackendError: NCCL error",
    ),
    "own name": ("mine.Broken: why", "mine.Broken: why"),
    "own name, no message": ("StopHere", "StopHere"),
    "two lines": ("RuntimeError: first\nand second", "RuntimeError: first"),
    "exit": ("SystemExit: 3", "SystemExit: 3"),
    "group": ("ExceptionGroup: many (2 sub-exceptions)", "ExceptionGroup: many"),
}


@pytest.mark.parametrize(("line", "expected"), PYTHON.values(), ids=PYTHON.keys())
def test_a_python_exception_and_its_place_are_found(line, expected):
    """The last line of the traceback is the cause, its innermost frame the evidence."""
    found = explain_last_words(TRACEBACK.format(line), "", 0)
    assert found.cause.startswith(expected)
    assert found.evidence == ("raised at /app/train.py, line 42, in main",)


def test_the_last_of_several_tracebacks_counts():
    """During handling another one was raised: that one ended the program."""
    text = TRACEBACK.format("KeyError: 'a'") + "\nDuring handling …:\n\n"
    found = explain_last_words(text + TRACEBACK.format("ValueError: b"), "", 0)
    assert found.cause == "ValueError: b"


def test_what_is_printed_after_a_traceback_is_not_the_exception():
    """Shutdown noise comes after the first line that is not indented."""
    text = TRACEBACK.format("ValueError: b") + "[W] destroy_process_group() was not called\n"
    assert explain_last_words(text, "", 0).cause == "ValueError: b"


def test_a_multi_line_message_of_pythons_own_form_is_cut():
    """A cause is a clause, not a page."""
    found = explain_last_words(TRACEBACK.format("ValueError: " + "x" * 5000), "", 0).cause
    assert len(found) == 300
    assert found.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all is well",
        "Traceback (most recent call last):\n",
        "Traceback (most recent call last):\nValueError: no frame, cut off above\n",
        'Traceback (most recent call last):\n  File "/x.py", line 1, in f\n    f()\n',
    ],
)
def test_without_a_whole_traceback_nothing_is_claimed(text):
    """Half a traceback may be anything."""
    found = explain_last_words(text, "", 0)
    assert (found.cause, found.evidence) == ("", ())


def test_a_frame_without_a_function_is_a_place_too():
    """A syntax error has none."""
    text = 'Traceback (most recent call last):\n  File "/x.py", line 3\n    a b\nSyntaxError: no\n'
    found = explain_last_words(text, "", 0)
    assert (found.cause, found.evidence) == ("SyntaxError: no", ("raised at /x.py, line 3",))


@pytest.mark.parametrize("level", ["WARN", "ERROR"])
def test_nccls_last_word_is_found(level):
    """NCCL says what it could not do; the last of its lines is nearest to the end."""
    text = f"w1:77:99 [0] NCCL {level} first\nw1:77:99 [0] NCCL {level} Call to connect failed\n"
    assert explain_last_words(text, "", 0).cause == f"NCCL {level} Call to connect failed"


def test_nccls_information_is_no_cause():
    """NCCL INFO is noise."""
    assert explain_last_words("w1:7:9 [0] NCCL INFO Bootstrap: using eth0", "", 0).cause == ""


ABORT = """\
--------------------------------------------------------------------------
MPI_ABORT was invoked on rank 3 in communicator MPI_COMM_WORLD
with errorcode -7.
"""


@pytest.mark.parametrize(("rank", "expected"), [(3, "MPI_Abort with code -7"), (2, "")])
def test_an_mpi_abort_is_found_in_mpiruns_words(rank, expected):
    """It is the cause of the rank that called it, and of no other."""
    assert explain_last_words("", ABORT, rank).cause == expected


def test_an_abort_and_its_exception_are_both_said():
    """mpi4py aborts after an uncaught exception."""
    found = explain_last_words(TRACEBACK.format("ValueError: b"), ABORT, 3)
    assert found.cause == "MPI_Abort with code -7; ValueError: b"
