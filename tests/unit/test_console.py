import io
import json

import pytest

from mpijob_runtime.console import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Claim it."""
        return True


class Broken(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text):
        """Fail as a closed pipe does."""
        raise BrokenPipeError


def said(level="info", message="hello", stream=None, **options):
    """Return what a console writes."""
    stream = stream or io.StringIO()
    getattr(Console(stream=stream, **options), level)(message, rank=3)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("info", "mpijob: hello\n"),
        ("warning", "mpijob: warning: hello\n"),
        ("error", "mpijob: error: hello\n"),
    ],
)
def test_text_has_a_prefix_and_its_level_if_something_is_wrong(level, expected):
    """Our lines can be told from the ranks' lines."""
    assert expected == said(level)


def test_every_line_of_a_message_has_the_prefix():
    """A message of several lines stays recognisable among the ranks' output."""
    assert said(message="a\nb") == "mpijob: a\nmpijob: b\n"


def test_an_empty_message_is_an_empty_line():
    """Nothing to say is still one line."""
    assert said(message="") == "mpijob: \n"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("least", ["debug", "info", "warning", "error"])
def test_levels_below_the_least_are_not_shown(level, least):
    """-q and -v move the least level that is shown."""
    order = ["debug", "info", "warning", "error"]
    assert bool(said(level, least=least)) == (order.index(level) >= order.index(least))


def test_json_is_one_object_a_line_with_its_fields():
    """Programs get time, level, message and fields; a message's newlines stay inside."""
    (line,) = said("warning", "a\nü", log_format="json").splitlines()
    data = json.loads(line)
    assert data.pop("time") > 1e9
    assert data == {"level": "warning", "message": "a\nü", "rank": 3}


def test_json_can_say_anything():
    """A field that JSON does not know is said as text."""
    stream = io.StringIO()
    Console(stream=stream, log_format="json").info("x", path=ValueError("y"))
    assert json.loads(stream.getvalue())["path"] == "y"


@pytest.mark.parametrize(
    ("stream", "colour", "expected"),
    [
        (Terminal, None, True),
        (Terminal, False, False),
        (io.StringIO, None, False),
        (io.StringIO, True, True),
    ],
)
def test_colour_is_for_terminals_unless_told(stream, colour, expected):
    """A pipe gets no escape sequences, and NO_COLOR is obeyed."""
    assert expected == ("\033[" in said(stream=stream(), colour=colour))


def test_json_is_never_coloured():
    """Escape sequences would break the objects."""
    assert "\033[" not in said(stream=Terminal(), log_format="json")


def test_a_broken_stream_does_not_end_the_job():
    """A log that nobody reads any more is not an error."""
    stream = Broken()
    Console(stream=stream).error("hello")
    assert stream.getvalue() == ""


def test_a_closed_stream_does_not_end_the_job():
    """A closed stream is as good as a broken one."""
    stream = io.StringIO()
    console = Console(stream=stream)
    stream.close()
    console.error("hello")
    assert stream.closed
