"""``python -m mpijob_bench``."""

from mpijob_bench.cli import run

if __name__ == "__main__":
    run()
