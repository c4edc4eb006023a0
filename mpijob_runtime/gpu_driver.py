"""Whether there is an NVIDIA driver to ask, and the child process that asks it.

Almost no imports: every agent uses it. What the child prints is a line of JSON that an agent can
pass on as it is; the launcher reads it with ``facts_from_json(GpuHostFacts, …)``.

Layer: probe; imports nothing of ours.
"""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SCRIPT = f"""
import sys
sys.path[:0] = {[_ROOT]!r}
from mpijob_runtime.probes.report_gpus import main
main()
"""

ARGV = (sys.executable, "-E", "-P", "-c", _SCRIPT)
"""The child. It can hang or crash with the driver: give it a deadline, and do not wait for its end.
"""

_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version")


def has_driver() -> bool:
    """Return whether there is anything to ask; without it no child needs to start."""
    return any(os.path.exists(path) for path in _FILES)
