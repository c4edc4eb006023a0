import pytest
from fakes import FakePodman

from mpijob_local.base_image import LOCAL_BASE, apt_sources, default_base, find_base
from mpijob_local.build import find_context
from mpijob_local.output import Reporter, make_console
from mpijob_runtime.errors import UsageError

REPORTER = Reporter(make_console(coloured=False), quiet=True)


def test_default_base():
    """The base image is read from the Containerfile's own default."""
    assert (
        default_base("# x\nARG BASE_IMAGE=debian:12@sha256:ab\nFROM x\n") == "debian:12@sha256:ab"
    )
    assert default_base("FROM x\n") == ""


def test_base_that_is_there():
    """An image that is on the machine is taken as it is."""
    podman = FakePodman()

    assert find_base("debian:12", podman, reporter=REPORTER, environ={}) == "debian:12"
    assert podman.commands == [("image", "exists", "debian:12")]


def test_base_made_before():
    """A base made here before is taken without asking a registry."""

    class OnlyLocal(FakePodman):
        def run(self, *arguments, **options):
            self._answers[("image", "exists")] = int(arguments[-1] != LOCAL_BASE)
            return super().run(*arguments, **options)

    assert find_base("debian:12", OnlyLocal(), reporter=REPORTER, environ={}) == LOCAL_BASE


def test_base_that_can_be_pulled():
    """A base that a registry has is pulled."""
    podman = FakePodman(image_exists=1)

    assert find_base("debian:12", podman, reporter=REPORTER, environ={}) == "debian:12"
    assert podman.commands[-1][0] == "pull"


def test_sources_are_the_machines_mirrors():
    """The machine's own mirrors of bookworm are used, other suites are not."""
    targets = (
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/debian/ bookworm main\n"
        "http://mirror.example/security/ bookworm-security main\n"
        "https://third.example/apt cloud-bookworm main\n"
        "http://mirror.example/debian/ bookworm contrib\n"
    )

    assert apt_sources(targets) == (
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/security/ bookworm-security main",
    )


@pytest.mark.parametrize("targets", ["", "http://mirror.example/ubuntu noble main\n"])
def test_sources_of_other_machines(targets):
    """A machine without bookworm leaves the choice of a mirror to mmdebstrap."""
    assert apt_sources(targets) == ()


def test_context(tmp_path):
    """The Containerfile is found from below; without one the next step is said."""
    (tmp_path / "Containerfile").touch()
    (tmp_path / "a/b").mkdir(parents=True)

    assert find_context(tmp_path / "a/b") == tmp_path
    with pytest.raises(UsageError, match="--context"):
        find_context(tmp_path.parent / "nowhere")
