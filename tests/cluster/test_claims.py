"""Jobs whose pods share the directory of a claim, with the image mpijob-runtime:runtime-ompi4.1."""

import secrets

import pytest
from engines import existing_image
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

IMAGE = "mpijob-runtime:runtime-ompi4.1"
WORKER = "hostname > /data/$(hostname); until test -e /data/launcher; do sleep 0.1; done; sleep 300"
LAUNCHER = """
until test $(ls /data/*-worker-* | wc -l) = 2; do sleep 0.1; done 2>/dev/null
cat /data/*-worker-*
hostname > /data/launcher
"""


def job(image, *, security):
    """Return a job in which the launcher waits for a file of each worker."""
    return Job(
        f"c{secrets.token_hex(3)}",
        image,
        ("bash", "-c", LAUNCHER),
        claims=(("data", "/data"),),
        worker_command=("bash", "-c", WORKER),
        container_security=security,
    )


@pytest.mark.parametrize(
    "security", [{}, {"runAsUser": 12345, "runAsGroup": 0}], ids=["image's user", "random UID"]
)
def test_pods_share_a_claim_that_stays(podman, tmp_path, security):
    """The launcher reads what two workers write into a directory that was made; it stays."""
    shared = tmp_path / "made" / "here"
    sharing = job(existing_image(podman, IMAGE), security=security)

    done = run_job(sharing, tmp_path, f"--claim=data={shared}", "--timeout=60")

    assert done.exit_code == 0, done.text
    names = [f"{sharing.name}-worker-{index}" for index in (0, 1)]
    assert [name in done.stdout for name in names] == [True, True], done.text
    assert sorted(it.name for it in shared.iterdir()) == sorted(["launcher", *names])
    assert (shared / names[0]).stat().st_uid == security.get("runAsUser", 1000)


def test_a_claim_without_a_directory_is_refused(tmp_path):
    """Without --claim nothing starts, and the option is named."""
    done = run_job(job(IMAGE, security={}), tmp_path)

    assert done.exit_code == 65
    assert "--claim data=DIR" in done.stderr
