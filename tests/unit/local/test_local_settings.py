from pathlib import Path

import pytest

from mpijob_local.settings import LocalSettings


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"MPIJOB_LOCAL_HOME": "/m", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/m"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/mpijob-local"),
        ({"HOME": "/h"}, "/h/.local/state/mpijob-local"),
        ({}, "/.local/state/mpijob-local"),
    ],
)
def test_home(environ, home):
    """The state directory is ours, else XDG's, else XDG's default."""
    assert Path(home) == LocalSettings.from_environ(environ).home


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours(environ, coloured):
    """NO_COLOR and dumb terminals turn colours off."""
    assert coloured is LocalSettings.from_environ(environ).coloured
