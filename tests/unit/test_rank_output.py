import json
import os
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.output import RankOutput


@pytest.fixture
def written(tmp_path):
    """Return a function that makes an output to two files and one that reads them."""
    descriptors = tuple(
        os.open(tmp_path / name, os.O_RDWR | os.O_CREAT | os.O_APPEND) for name in ("out", "err")
    )

    def make(form="prefix", *, log_dir=None):
        log_dir = log_dir and str(log_dir)
        return RankOutput(form, log_dir, descriptors=descriptors, warn=make.warnings.append)

    make.warnings = []
    make.out = (tmp_path / "out").read_bytes
    make.err = (tmp_path / "err").read_bytes
    yield make
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\n", b"[3 w1] one\n"),
        (b"one\ntwo\n", b"[3 w1] one\n[3 w1] two\n"),
        (b"one\n\ntwo\n", b"[3 w1] one\n[3 w1] \n[3 w1] two\n"),
        (b"\n", b"[3 w1] \n"),
        (b"10 %\r20 %\r", b"[3 w1] 10 %\r[3 w1] 20 %\r"),
        (b"one\r\ntwo\r\n", b"[3 w1] one\r\n[3 w1] two\r\n"),
        (b"10 %\rdone\nnext\n", b"[3 w1] 10 %\r[3 w1] done\n[3 w1] next\n"),
        (b"\xff\xfe\n", b"[3 w1] \xff\xfe\n"),
    ],
)
def test_each_line_has_its_rank_and_host(data, expected, written):
    r"""``[RANK host]`` before each line, after ``\r`` and ``\r\n`` as well; bytes stay bytes."""
    written().write(3, "w1.job.svc", 1, data)
    assert written.out() == expected


def test_stderr_goes_to_stderr(written):
    """The streams stay apart."""
    output = written()
    output.write(0, "w0", 1, b"a\n")
    output.write(0, "w0", 2, b"b\n")
    assert (written.out(), written.err()) == (b"[0 w0] a\n", b"[0 w0] b\n")


@given(st.lists(st.tuples(st.integers(0, 3), st.text("ab\r\n", max_size=8)), max_size=20))
def test_plain_output_is_the_ranks_own_bytes(pieces):
    """Whole pieces without anything added pass unchanged."""
    reading, writing = os.pipe()
    output = RankOutput("plain", None, descriptors=(writing, writing))
    expected = b""
    for rank, text in pieces:
        data = text.encode() + b"\n"
        output.write(rank, "w0", 1, data)
        expected += data
    output.close()
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read() == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("prefix", b"[0 w0] half\n[1 w1] whole\n"),
        ("plain", b"half\nwhole\n"),
    ],
)
def test_an_unfinished_line_is_ended_before_another_ranks(form, expected, written):
    """A prompt without its newline does not run into the next rank's line."""
    output = written(form)
    output.write(0, "w0", 1, b"half")
    output.write(1, "w1", 1, b"whole\n")
    output.close()
    assert written.out() == expected


def test_a_long_line_that_comes_in_pieces_is_one_line(written):
    """The agent keeps 64 KiB of a line at most: no prefix gets into its middle."""
    output = written()
    for piece in (b"one", b" li", b"ne\nand the next\n"):
        output.write(0, "w0", 1, piece)
    assert written.out() == b"[0 w0] one line\n[0 w0] and the next\n"


def test_a_long_line_that_another_rank_cut_is_told_apart(written):
    """What comes after the cut has its own prefix again."""
    output = written()
    output.write(0, "w0", 1, b"one")
    output.write(1, "w1", 1, b"whole\n")
    output.write(0, "w0", 1, b" line\n")
    assert written.out() == b"[0 w0] one\n[1 w1] whole\n[0 w0]  line\n"


def test_streams_of_one_rank_do_not_share_a_line(written, tmp_path):
    """With stderr on the same terminal a rank's own two streams are apart, too."""
    descriptor = os.open(tmp_path / "both", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    output = RankOutput("prefix", None, descriptors=(descriptor, descriptor))
    output.write(0, "w0", 1, b"half")
    output.write(0, "w0", 2, b"oops\n")
    assert (tmp_path / "both").read_bytes() == b"[0 w0] half\n[0 w0] oops\n"
    os.close(descriptor)


@pytest.mark.parametrize(("form", "expected"), [("prefix", b"[0 w0] x\n"), ("plain", b"x")])
def test_the_end_of_an_unfinished_line(form, expected, written):
    """What follows has a line of its own; plain output stays byte for byte."""
    output = written(form)
    output.write(0, "w0", 1, b"x")
    output.close()
    assert written.out() == expected


def test_json_is_one_object_a_line(written):
    """Rank, host, stream, time and text, whatever the bytes."""
    written("json").write(3, "w1.job.svc", 1, b'say "a"\n\xff\xc3\xa9\rb\n')
    found = [json.loads(line) for line in written.out().splitlines()]
    assert [record["text"] for record in found] == ['say "a"', "\\xffé\rb"]
    assert {(r["rank"], r["host"], r["stream"]) for r in found} == {(3, "w1.job.svc", "stdout")}
    assert all(isinstance(record["time"], float) for record in found)


def test_lines_of_many_ranks_are_never_mixed(written):
    """Threads of many hosts write at one time; every line is whole and none is lost."""
    output = written()
    texts = {rank: b"%d " % rank * 2000 + b"\n" for rank in range(8)}

    def write(rank):
        for _ in range(20):
            output.write(rank, f"w{rank}", 1, texts[rank] * 3)

    threads = [threading.Thread(target=write, args=(rank,)) for rank in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = written.out().splitlines(keepends=True)
    assert len(lines) == 8 * 20 * 3
    expected = {b"[%d w%d] " % (rank, rank) + text for rank, text in texts.items()}
    assert set(lines) == expected


def test_a_pipe_that_is_read_slowly_gets_everything():
    """A non-blocking stdout that is full is waited for."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = RankOutput("plain", None, descriptors=(writing, writing))
    data = b"x" * 999 + b"\n"
    found = bytearray()

    def read():
        while piece := os.read(reading, 4096):
            found.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    output.write(0, "w0", 1, data * 500)
    os.close(writing)
    thread.join()
    os.close(reading)
    assert found == data * 500


def test_a_stdout_that_nobody_reads_does_not_end_the_job(tmp_path):
    """``launch … | head``: the rest is dropped, the other stream and the files go on."""
    reading, writing = os.pipe()
    os.close(reading)
    error = os.open(tmp_path / "err", os.O_RDWR | os.O_CREAT)
    output = RankOutput("prefix", str(tmp_path / "logs"), descriptors=(writing, error))
    for _ in range(2):
        output.write(0, "w0", 1, b"half")
        output.write(0, "w0", 2, b"b\n")
    output.close()
    os.close(writing)
    os.close(error)
    assert (tmp_path / "err").read_bytes() == b"[0 w0] b\n" * 2
    assert (tmp_path / "logs" / "rank-0.log").read_bytes() == b"halfb\n" * 2


def test_log_files_hold_each_ranks_own_bytes(written, tmp_path):
    """One file a rank, both streams, no prefix; numbers as wide as the largest."""
    output = written(log_dir=tmp_path / "deep" / "logs")
    output.expect(101)
    output.write(3, "w1", 1, b"a\n")
    output.write(3, "w1", 2, b"b\n")
    output.write(100, "w9", 1, b"c\n")
    output.close()
    logs = tmp_path / "deep" / "logs"
    assert {path.name: path.read_bytes() for path in logs.iterdir()} == {
        "rank-003.log": b"a\nb\n",
        "rank-100.log": b"c\n",
    }


def test_a_full_stdout_is_said_once_and_counted(tmp_path):
    """``mpirun … > /full/disk``: the job goes on, the other stream too."""
    full, warnings = os.open("/dev/full", os.O_WRONLY), []
    error = os.open(tmp_path / "err", os.O_WRONLY | os.O_CREAT)
    output = RankOutput("plain", None, descriptors=(full, error), warn=warnings.append)
    for _ in range(3):
        output.write(0, "w0", 1, b"a\nb\n")
    output.write(0, "w0", 2, b"c\n")
    output.close()
    os.close(full)
    os.close(error)
    assert (tmp_path / "err").read_bytes() == b"c\n"
    assert warnings == [
        "stdout: cannot write the ranks' output: No space left on device; the job goes on",
        "stdout: missing are 6 lines (12 bytes) of the ranks' output",
    ]


def test_a_log_directory_that_cannot_be_made_is_said_before_the_start(tmp_path):
    """An OSError, not a job without logs."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        RankOutput("prefix", str(tmp_path / "file" / "logs"))


def test_a_log_directory_that_goes_away_does_not_end_the_job(written, tmp_path):
    """A full or lost disk costs the logs alone."""
    output = written(log_dir=tmp_path / "logs")
    (tmp_path / "logs").rmdir()
    output.write(0, "w0", 1, b"a\n")
    output.close()
    assert written.out() == b"[0 w0] a\n"
    said, counted = written.warnings
    assert "rank-0.log: cannot write: No such file or directory" in said
    assert counted == f"{tmp_path}/logs: missing are 1 line (2 bytes) of rank 0"


def test_the_tail_is_the_last_and_bounded(written):
    """A rank that writes for days costs a few KiB, and its last words are there."""
    output = written("plain")
    for number in range(3000):
        output.write(0, "w0", 2, b"line %d of many more\n" % number)
    output.write(0, "w0", 1, b"said\n")
    tail = output.tail(0)
    assert tail.endswith("line 2999 of many more\n")
    assert "said\n" in tail
    assert 8192 <= len(tail) < 3 * 8192
    assert output.tail(1) == "\n"


def test_the_tail_of_one_huge_piece_is_bounded(written):
    """A single line of a megabyte, too."""
    output = written("plain")
    output.write(0, "w0", 1, b"x" * (1 << 20))
    assert len(output.tail(0)) < 3 * 8192


def test_output_is_a_sign_of_life(written):
    """The stall watch learns when something was written last, and how much."""
    output = written()
    before = output.last_seconds
    output.write(0, "w0", 1, b"abc\n")
    assert output.last_seconds > before
    assert output.total_bytes == 4
