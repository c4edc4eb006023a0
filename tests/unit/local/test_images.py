import json

import pytest
from fakes import FakePodman
from manifests import WORKER_POD, job

from mpijob_local.containers import ImageConfig
from mpijob_local.images import check_implementation, check_non_root, read_images
from mpijob_local.layout import lay_out
from mpijob_runtime.errors import ConfigurationError


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        ("mpijob-runtime:torch-ompi5.0", "mpijob-local build --target torch --open-mpi 5.0"),
        ("localhost/mpijob-runtime:devel-ompi4.1", "--target devel --open-mpi 4.1"),
        ("example/x:1", "podman build -t example/x:1"),
    ],
)
def test_missing_image(image, remedy):
    """A missing image is named with the command that makes it."""
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        read_images(FakePodman(image_exists=1), [image])

    assert image in str(caught.value)


def test_config():
    """User, home and directory are read from the image."""
    config = {"User": "1000:0", "Env": ["PATH=/bin", "HOME=/home/m"], "WorkingDir": "/w"}
    config["Labels"] = {"io.mpijob.open-mpi": "5.0.11"}
    podman = FakePodman(image_inspect=json.dumps([{"Config": config}]))

    image = read_images(podman, ["x"])["x"]

    assert image == ImageConfig("1000:0", "/home/m", "/w", "5.0.11")


@pytest.mark.parametrize("implementation", ["MPICH", "Intel"])
def test_a_job_for_another_mpi(implementation):
    """An image with Open MPI is refused; what another one has is not known."""
    ours, other = ImageConfig(open_mpi="4.1.4"), ImageConfig()
    message = f"found {implementation}, wanted OpenMPI: image ours has Open MPI 4.1.4\n  next: "

    with pytest.raises(ConfigurationError, match=message):
        check_implementation(implementation, {"other": other, "ours": ours})

    check_implementation(implementation, {"other": other})
    check_implementation("OpenMPI", {"ours": ours})


@pytest.mark.parametrize(
    ("context", "image_user", "message"),
    [
        ({"runAsNonRoot": True}, "", "image will run as root"),
        ({"runAsNonRoot": True}, "0", "image will run as root"),
        ({"runAsNonRoot": True}, "mpiuser", "non-numeric user"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "1000", "breaks non-root policy"),
        ({"runAsNonRoot": True}, "1000:0", None),
        ({"runAsNonRoot": True, "runAsUser": 5}, "", None),
        ({}, "", None),
    ],
)
def test_non_root(context, image_user, message):
    """RunAsNonRoot is enforced in the kubelet's words."""
    pod = lay_out(job((f"{WORKER_POD}.securityContext", context))).workers[0]
    if message is None:
        check_non_root(pod, image_user)
    else:
        with pytest.raises(ConfigurationError, match=message):
            check_non_root(pod, image_user)
