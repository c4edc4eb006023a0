"""Runs inside the launcher's pod: the same allreduce over each choice of a network.

Arguments: rounds, libraries, networks (both with commas between), the program of the ranks, which
is ``allreduce.py``. Each measurement is a job of its own, started by
``mpijob-runtime launch``; the order of the networks turns with each round.
"""

import os
import subprocess
import sys

# The ring, as Gloo has it: Open MPI's own choice moves more bytes.
RING = {
    "OMPI_MCA_coll_tuned_use_dynamic_rules": "1",
    "OMPI_MCA_coll_tuned_allreduce_algorithm": "4",
}
LAUNCH = ("mpijob-runtime", "launch", "--quiet", "--output", "plain", "--", "python", "-c")


def main() -> None:
    """Measure as often as the first argument says."""
    rounds, program = int(sys.argv[1]), sys.argv[4]
    libraries, choices = (argument.split(",") for argument in sys.argv[2:4])
    for number in range(rounds):
        turn = number % len(choices)
        for choice in (*choices[turn:], *choices[:turn]):
            for library in libraries:
                argv = (*LAUNCH, program, library, choice, str(number))
                subprocess.run(argv, check=True, env={**os.environ, **RING})


main()
