"""What steps of a plan may take before anybody has timed one, for progress with time left.

Layer: reads profiles; imports allreduce, forecast, guards, plan, predict.
"""

from dataclasses import asdict

from mpijob_bench.allreduce import Allreduce
from mpijob_bench.forecast import make_setup
from mpijob_bench.guards import PAYLOAD_SHARE
from mpijob_bench.plan import Plan
from mpijob_bench.predict import predict
from mpijob_bench.profiles.profile import read_profile, shipped

_STEP_SECONDS = 0.2  # of a model that nobody has timed yet


def expected_step_seconds(plan: Plan) -> float:
    """Return how long a step of a node alone may take: by the profile, if there is one."""
    if plan.workload.kind != "profile" or plan.emulation is None:
        return _STEP_SECONDS
    profile = read_profile(shipped(plan.workload.name))
    passes = plan.workload.options.accumulation
    return profile.accumulated_seconds(passes) * plan.emulation.time_scale


def expected_efficiency(plan: Plan) -> float:
    """Return what efficiency to plan time for: what the emulated links allow, else the target."""
    if plan.workload.kind != "profile" or plan.emulation is None:
        return plan.target
    bytes_per_second = plan.emulation.link_bits_per_second * PAYLOAD_SHARE / 8
    setup = make_setup(
        read_profile(shipped(plan.workload.name)),
        Allreduce(plan.nodes, alpha_seconds=0.0, bytes_per_second=bytes_per_second),
        asdict(plan.workload),
        asdict(plan.emulation),
        time_scale=plan.emulation.time_scale,
    )
    return predict(setup).efficiency
