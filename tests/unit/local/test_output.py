import io

import pytest

from mpijob_local.logs import LineAssembler, LogFollower, LogLine
from mpijob_local.output import LogPrinter, Reporter, make_console

TIME = b"2026-01-01T00:00:00.000000000+00:00"


def record(text, *, full=True, stream=b"stdout"):
    """Return one record of a log file."""
    return b" ".join((TIME, stream, b"F" if full else b"P", text)) + b"\n"


def texts(lines):
    """Return the texts of lines."""
    return [line.text for line in lines]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (record(b"a") + record(b"b c"), ["a", "b c"]),
        (record(b"a", full=False) + record(b"b"), ["ab"]),
        (record(b""), [""]),
        (record(b"done\r"), ["done"]),
        (record(b"\r 10%\r 20%\r100%"), ["100%"]),
        (record(b"\xff\xe2\x82\xac"), ["\ufffd\u20ac"]),
        (b"nonsense\n" + record(b"a"), ["a"]),
        (record(b"waiting", full=False), []),
    ],
)
def test_lines(data, expected):
    """Records become the lines that a terminal would show, whole."""
    assert expected == texts(LineAssembler().feed(data))


def test_lines_do_not_depend_on_how_the_file_is_read():
    """Cutting the file anywhere gives the same lines."""
    data = record(b"one", full=False) + record("two €".encode()) + record(b"three")
    for size in range(1, len(data)):
        assembler = LineAssembler()
        pieces = (data[i : i + size] for i in range(0, len(data), size))

        assert texts(line for piece in pieces for line in assembler.feed(piece)) == [
            "onetwo €",
            "three",
        ]


def test_streams_do_not_mix():
    """A part of a line on stdout waits for its end, not for a line on stderr."""
    assembler = LineAssembler()
    data = record(b"a", full=False) + record(b"E", stream=b"stderr") + record(b"b")

    assert [LogLine("stderr", "E"), LogLine("stdout", "ab")] == list(assembler.feed(data))


def test_unfinished_line_comes_at_the_end():
    """What a program leaves without a line's end is not lost."""
    assembler = LineAssembler()
    list(assembler.feed(record(b"no newline", full=False)))

    assert texts(assembler.flush()) == ["no newline"]


def test_endless_line_is_cut():
    """A line without end does not fill the memory."""
    lines = list(LineAssembler().feed(record(b"x" * (1 << 19), full=False) * 3))

    assert len(lines) == 1


def test_follower_waits_for_its_file(tmp_path):
    """A file that comes later is followed from its beginning."""
    follower = LogFollower()
    follower.add("pod", tmp_path / "log")
    assert list(follower.poll()) == []

    (tmp_path / "log").write_bytes(record(b"a") + TIME)
    assert [("pod", LogLine("stdout", "a"))] == list(follower.poll())

    with (tmp_path / "log").open("ab") as file:
        file.write(record(b"b").removeprefix(TIME))
    assert [("pod", LogLine("stdout", "b"))] == list(follower.finish())


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_prefix():
    """Each line stands behind its pod's name, in a column, on the pod's own stream."""
    out, err = io.StringIO(), io.StringIO()
    printer = LogPrinter(7, coloured=True, stdout=out, stderr=err)

    printer.write("pod", LogLine("stdout", "hello"))
    printer.write("longer", LogLine("stderr", "oops"))

    assert out.getvalue() == "pod     | hello\n"
    assert err.getvalue() == "longer  | oops\n"


def test_colours_only_on_terminals():
    """Names are coloured on a terminal, one colour a pod, and the text is left alone."""
    out = Terminal()
    printer = LogPrinter(1, coloured=True, stdout=out)
    for name in ("a", "b", "a"):
        printer.write(name, LogLine("stdout", "x"))

    first, second, third = out.getvalue().splitlines()
    assert first == third != second.replace("b", "a")
    assert first.endswith("\x1b[0mx")


def test_no_colours_when_not_wanted():
    """NO_COLOR holds on a terminal too."""
    out = Terminal()
    LogPrinter(1, coloured=False, stdout=out).write("a", LogLine("stdout", "x"))

    assert out.getvalue() == "a | x\n"


def test_bare():
    """A single pod's output can be had as it is."""
    out = io.StringIO()
    LogPrinter(1, coloured=True, bare=True, stdout=out).write("a", LogLine("stdout", "x"))

    assert out.getvalue() == "x\n"


def test_reporter_is_quiet_about_progress_but_not_about_problems(capsys):
    """Quiet leaves only warnings."""
    reporter = Reporter(make_console(coloured=False), quiet=True)
    reporter.step("network")
    reporter.conclude("done", good=True)
    reporter.warn("[markup] stays text")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().endswith("warning: [markup] stays text")
