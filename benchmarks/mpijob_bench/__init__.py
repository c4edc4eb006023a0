"""mpijob-bench: scaling efficiency of training jobs."""

__version__ = "0.1.0"
