"""``python -m mpijob_runtime.agent``: the agent of the launcher's own host."""

from mpijob_runtime.agent.begin import main

main()
