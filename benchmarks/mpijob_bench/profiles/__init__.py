"""Gradient-ready profiles: when in a backward pass each gradient is there, measured or modelled."""

from mpijob_bench.profiles.profile import Gradient, Profile, read_profile, shipped

__all__ = ["Gradient", "Profile", "read_profile", "shipped"]
