"""The sshd of this machine, if it has one: an image's behind our shim, or Debian's."""

import shutil

import pytest

SSHD = shutil.which("sshd", path="/usr/lib/mpijob:/usr/sbin")
NO_SSHD = "openssh-server is not installed; run in the image too"

needs_sshd = pytest.mark.skipif(not SSHD, reason=NO_SSHD)
