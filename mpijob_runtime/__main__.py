"""``mpijob-runtime`` and ``python -m mpijob_runtime``."""

import os
import sys

from mpijob_runtime import early


def run() -> None:
    """Run the command line, signals taken care of before anything slow is imported."""
    early.run("mpijob_runtime.cli", "main", early.command_outlets(sys.argv[1:], os.environ))


if __name__ == "__main__":
    run()
