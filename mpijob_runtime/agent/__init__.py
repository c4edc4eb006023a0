"""A host's agent: what the launcher runs on each host, over ssh, while its job runs.

It ends what older attempts have left, lets ranks through the start gate, passes on what they
write and how they end, signals them, and ends everything of its attempt once its launcher is gone
or has finished. It listens on a socket in the private run directory and, until the gate opens,
on a port of each network, for the survey of networks (links.py).

Standard library only, and little of it, because every host of every job starts one.
"""
