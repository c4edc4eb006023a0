"""The manifests of examples/bench, read as mpijob-local reads them."""

from pathlib import Path

import pytest

from mpijob_local.manifest import load_manifest

BENCH = Path(__file__).parents[3] / "examples" / "bench"
NAMES = ("mpijob-cpu.yaml", "mpijob-gpu.yaml")


def load(name):
    """Return the job of a manifest, without what a single machine has not."""
    ignored = ("affinity", "*nvidia.com/gpu")
    return load_manifest(str(BENCH / name), ignore=ignored, claims={"bench-results"})


@pytest.mark.parametrize("name", NAMES)
def test_only_placement_and_gpus_are_beyond_this_machine(name):
    """Eight workers, the claim in the launcher alone, and nothing else to leave out."""
    loaded = load(name)

    left_out = {field.rpartition("spec.")[2].partition(".")[0] for field in loaded.ignored}
    assert left_out == {"affinity"} | ({"containers[0]"} if "gpu" in name else set())
    roles = loaded.job.spec.mpi_replica_specs
    (claim,) = roles.launcher.template.spec.volumes
    assert claim.persistent_volume_claim.claim_name == "bench-results"
    assert [it.empty_dir.medium for it in roles.worker.template.spec.volumes] == ["Memory"]
    assert loaded.job.workers == 8


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_fit_for_restricted_namespaces(name):
    """As the restricted Pod Security Standard and OpenShift's restricted-v2 ask."""
    roles = load(name).job.spec.mpi_replica_specs
    for pod in (roles.launcher.template.spec, roles.worker.template.spec):
        own = pod.containers[0].security_context
        assert pod.security_context.run_as_non_root
        assert pod.security_context.seccomp_profile.type == "RuntimeDefault"
        assert pod.security_context.run_as_user is None
        assert (own.capabilities.drop, own.allow_privilege_escalation) == (("ALL",), False)


def test_cpu_manifest_starts_where_it_has_a_plan():
    """Without flags of a plan the one in the claim counts, whose hash is kept on resuming."""
    container = load(
        "mpijob-cpu.yaml"
    ).job.spec.mpi_replica_specs.launcher.template.spec.containers[0]

    assert (*container.command, *container.args) == ("mpijob-bench", "run", "--out", "/results")
