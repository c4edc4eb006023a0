"""``python -m mpijob_local``."""

from mpijob_local.cli import main

main()
