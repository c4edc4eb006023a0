"""``python -m mpijob_runtime``."""

from mpijob_runtime.cli import run

run()
