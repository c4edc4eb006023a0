"""Probes: each asks the world once and returns facts; none decides.

``probe_facts`` lives in probes/container.py, so that importing one probe does not import all.
"""
