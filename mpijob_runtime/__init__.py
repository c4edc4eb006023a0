"""mpijob-runtime: start, watch and explain MPI jobs on Kubernetes."""

__version__ = "0.1.0"
