"""mpijob-bench in the images with torch."""

import json

import pytest
from engines import existing_image

pytestmark = pytest.mark.image

PAIRS = [{"order": i, "alone": [1.0] * 8, "together": 7.2, "status": "ok"} for i in range(3)]
RESULT = {
    "schema": "scalebench/1",
    "fidelity": "measured",
    "plan": {"target": 0.85, "nodes": 8, "pairs": 3, "hash": "x"},
    "pairs": PAIRS,
    "guards": [],
    "transport": {"declared": "tcp", "observed": "tcp"},
    "wrong_elements": 0,
}


@pytest.mark.parametrize("name", ["torch", "horovod"])
def test_a_random_user_judges_a_result(podman, name, tmp_path):
    """With a read-only root, no capability and no network the verdict of a result is PASS."""
    image = existing_image(podman, f"mpijob-runtime:{name}-ompi4.1")
    (tmp_path / "result.json").write_text(json.dumps(RESULT), encoding="utf-8")
    tmp_path.chmod(0o755)
    confined = ("--user=12345:0", "--cap-drop=ALL", "--read-only", "--network=none")
    mounted = (f"--volume={tmp_path}:/results:ro", "--entrypoint=")
    program = ("mpijob-bench", "gate", "/results/result.json", "--json")

    done = podman.run("run", "--rm", *confined, *mounted, image, *program)

    assert json.loads(done.stdout)["verdict"] == "PASS"


def test_what_it_needs_fits_together(podman):
    """Two locks make one environment: pip finds nothing missing and nothing too old."""
    image = existing_image(podman, "mpijob-runtime:torch-ompi4.1")

    done = podman.run("run", "--rm", "--network=none", "--entrypoint=", image, "pip", "check")

    assert "No broken requirements" in done.stdout
