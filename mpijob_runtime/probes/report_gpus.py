"""``python -m mpijob_runtime.probes.report_gpus``: the GPUs of this host as one line of JSON.

A process of its own, because a driver can hang or crash; gpu_child.py starts it and reads it.

Layer: probe; imports the GPUs' probe and fact_json.
"""

import json
import sys

from mpijob_runtime.fact_json import facts_to_json
from mpijob_runtime.probes.gpu import probe_gpus


def main() -> None:
    """Print the line."""
    sys.stdout.write(f"{json.dumps(facts_to_json(probe_gpus()), separators=(',', ':'))}\n")


if __name__ == "__main__":
    main()
