"""``mpijob-runtime`` and ``python -m mpijob_runtime``."""

import sys

from mpijob_runtime.early import end_at_signals


def run() -> None:
    """Run the command line, signals taken care of before anything slow is imported."""
    end_at_signals()
    from mpijob_runtime.cli import main

    sys.exit(main())


if __name__ == "__main__":
    run()
