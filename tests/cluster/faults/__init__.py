"""Faults done to running jobs, and what must come of each.

``catalogue`` says what is done and what is expected; ``trial`` does one once; ``judge`` compares;
``__main__`` repeats and shows the table. ``make faults`` starts it.
"""
