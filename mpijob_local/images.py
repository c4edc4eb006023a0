"""The images of a job: on this machine, and fit for the job's users."""

from collections.abc import Iterable, Mapping

from mpijob_local.containers import ImageConfig
from mpijob_local.pod import Pod
from mpijob_local.podman import Engine, read_json
from mpijob_runtime.errors import ConfigurationError

OWN_REPOSITORY = "mpijob-runtime"
EXAMPLE_REPOSITORY = "mpijob-example"
_OPEN_MPI_LABEL = "io.mpijob.open-mpi"


def read_images(engine: Engine, images: Iterable[str]) -> dict[str, ImageConfig]:
    """Return the configuration of each image; images are never pulled.

    Raises:
        ConfigurationError: an image is not on this machine.
    """
    return {image: _read_image(engine, image) for image in dict.fromkeys(images)}


def _read_image(engine: Engine, image: str) -> ImageConfig:
    if engine.run("image", "exists", image, accept=()).exit_code:
        message = f"image {image} is not on this machine, and images are never pulled"
        raise ConfigurationError(message, remedy=_how_to_get(image))
    config = read_json(engine, "image", "inspect", image)[0]["Config"]
    environ = dict(pair.split("=", 1) for pair in config.get("Env", ()))
    return ImageConfig(
        user=config.get("User", ""),
        home=environ.get("HOME", ""),
        working_dir=config.get("WorkingDir", "") or "/",
        open_mpi=(config.get("Labels") or {}).get(_OPEN_MPI_LABEL, ""),
    )


def _how_to_get(image: str) -> str:
    repository, _, tag = image.removeprefix("localhost/").partition(":")
    if repository == OWN_REPOSITORY:
        target, _, version = tag.partition("-ompi")
        return f"mpijob-local build --target {target or 'runtime'} --open-mpi {version or '4.1'}"
    return f"podman build -t {image} . or podman pull {image}; or another image with --image"


def check_implementation(implementation: str, images: Mapping[str, ImageConfig]) -> None:
    """Refuse an image with Open MPI for a job that the operator lays out for another MPI.

    Args:
        implementation: the job's ``mpiImplementation``.
        images: by name; what MPI an image has that is not ours is not known.

    Raises:
        ConfigurationError: the launcher would find the hosts of an MPI that it has not.
    """
    if implementation == "OpenMPI":
        return
    for name, image in images.items():
        if image.open_mpi:
            message = (
                f"spec.mpiImplementation: found {implementation}, wanted OpenMPI: image {name} has"
                f" Open MPI {image.open_mpi}"
            )
            remedy = (
                "write mpiImplementation: OpenMPI or leave it out, or use an image with"
                f" {implementation}"
            )
            raise ConfigurationError(message, remedy=remedy)


def check_non_root(pod: Pod, image_user: str) -> None:
    """Refuse what the kubelet refuses under ``runAsNonRoot``, in its words.

    Raises:
        ConfigurationError: the container would run as root, or nobody can tell.
    """
    if not pod.security.non_root:
        return
    container = f'(pod: "{pod.name}", container: {pod.container.name})'
    user = image_user.partition(":")[0] if pod.security.user is None else str(pod.security.user)
    remedy = "set securityContext.runAsUser to a number other than 0"
    if user.isdigit() and int(user) == 0 and pod.security.user is not None:
        message = f"container's runAsUser breaks non-root policy {container}"
        raise ConfigurationError(message, remedy=remedy)
    if not user or user == "0":
        message = f"container has runAsNonRoot and image will run as root {container}"
        raise ConfigurationError(message, remedy=remedy)
    if not user.isdigit():
        message = (
            f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify"
            f" user is non-root {container}"
        )
        raise ConfigurationError(message, remedy=remedy)
