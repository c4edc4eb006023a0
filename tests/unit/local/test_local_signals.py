"""Ctrl-C and SIGTERM, from the first to the interpreter's exit."""

import subprocess
import sys

import pytest

_PROGRAM = """
import os, signal, sys
from mpijob_local.signals import Interrupted, interruptible

number = int(sys.argv[1])

class AtExit:
    def __del__(self):  # the interpreter clears this module after its own exit handlers
        os.kill(os.getpid(), number)

late = AtExit()
try:
    with interruptible():
        os.kill(os.getpid(), number)
except Interrupted as stop:
    os.kill(os.getpid(), number)
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize("number", [2, 15])
def test_later_signals_do_not_change_the_exit_code(number):
    """A second signal after the block, and a third at the interpreter's exit, are ignored."""
    done = subprocess.run(
        (sys.executable, "-c", _PROGRAM, str(number)), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (128 + number, "")
