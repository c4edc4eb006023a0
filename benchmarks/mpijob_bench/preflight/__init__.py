"""Whether hosts are fit for a benchmark, found out before it."""
