"""End the DDP example at random steps and start it again: ``preemption_inside.py`` in a container.

.venv/bin/mpijob-local build --target torch && .venv/bin/mpijob-local build examples/ddp
.venv/bin/python benchmarks/training/preemption.py --rounds 20
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the rounds and return 1 if one was not good."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--image", default="mpijob-example:ddp-ompi4.1")
    arguments, inside = parser.parse_known_args()
    argv = (
        *(sys.executable, "-m", "mpijob_local", "podman", "run", "--rm", "--network=none"),
        *(f"--volume={ROOT}:/src:ro", "--workdir=/src", "--entrypoint=", arguments.image),
        *("python", "benchmarks/training/preemption_inside.py"),
        *("--rounds", str(arguments.rounds), *inside),
    )
    return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
