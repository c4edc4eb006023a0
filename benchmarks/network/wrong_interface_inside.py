"""Runs inside the launcher's pod: the same allreduce over each choice of a network.

Arguments: rounds, the program of the ranks. Each measurement is a job of its own, started by
``mpijob-runtime launch``; the order of the choices turns with each round.
"""

import os
import subprocess
import sys

LIBRARIES = ("gloo", "mpi")
CHOICES = ("eth0", "net1", "nothing set", "the runtime's choice")
# The ring, as Gloo has it: Open MPI's own choice moves more bytes.
RING = {
    "OMPI_MCA_coll_tuned_use_dynamic_rules": "1",
    "OMPI_MCA_coll_tuned_allreduce_algorithm": "4",
}
LAUNCH = ("mpijob-runtime", "launch", "--quiet", "--output", "plain", "--", "python", "-c")


def main() -> None:
    """Measure as often as the first argument says."""
    rounds, program = int(sys.argv[1]), sys.argv[2]
    for number in range(rounds):
        turn = number % len(CHOICES)
        for choice in (*CHOICES[turn:], *CHOICES[:turn]):
            for library in LIBRARIES:
                argv = (*LAUNCH, program, library, choice, str(number))
                subprocess.run(argv, check=True, env={**os.environ, **RING})


main()
