"""A rank's word to the launcher: a line of JSON on stdout (launches.py takes it)."""

import json
import sys

from mpijob_bench.launches import MARK


def tell(what: str, **facts: object) -> None:
    """Print one object; whole, and at once."""
    line = json.dumps({MARK: what, **facts}, allow_nan=False, separators=(",", ":"))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
