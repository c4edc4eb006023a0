"""Collectives: what is measured of them, summed up, fitted and written."""
