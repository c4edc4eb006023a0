"""Faults of files: keys, programs, /tmp, terminals, another image.

All of it happens before the pods begin, in their volumes or mounts.
"""

import json
import os
from pathlib import Path

from faults.live import LiveJob, LivePod
from faults.model import Aim, Strike
from mpijob_local.keys import make_key_pair


def refuse_key(job: LiveJob, aim: Aim) -> None:
    """Let a worker have the job's host key, but accept only another key's login."""
    other = make_key_pair()
    _replace(_keys(job.workers[aim.index]) / "authorized_keys", other.public)


def impostor(job: LiveJob, aim: Aim) -> None:
    """Let another sshd, with a key pair of its own, answer under a worker's name."""
    keys, pair = _keys(job.workers[aim.index]), make_key_pair()
    _replace(keys / "id_rsa", pair.private)
    _replace(keys / "id_rsa.pub", pair.public)
    _replace(keys / "authorized_keys", pair.public)


def remove_worker_key(job: LiveJob, aim: Aim) -> None:
    """Take a worker's private key away."""
    (_keys(job.workers[aim.index]) / "id_rsa").unlink()


def remove_launcher_key(job: LiveJob, aim: Aim) -> None:
    """Take the launcher's private key away."""
    (_keys(job.launcher) / "id_rsa").unlink()


def key_mode(mode: int) -> Strike:
    """Set the mode of the private key in all pods; its owner is root, pods run as another."""

    def strike(job: LiveJob, aim: Aim) -> None:
        for pod in job.pods:
            (_keys(pod) / "id_rsa").chmod(mode)

    return strike


def remove_program(job: LiveJob, aim: Aim) -> None:
    """Let one worker lack the program."""
    (job.workers[aim.index].place / "program").unlink()


def fill_tmp(job: LiveJob, aim: Aim) -> None:
    """Fill the small volume at /tmp of every pod."""
    for pod in job.pods:
        _fill(pod.inside("/tmp/filled"))


def no_terminals(job: LiveJob, aim: Aim) -> None:
    """Leave no pod a way to make a pseudo-terminal."""
    for pod in job.pods:
        pod.run_in(("--mount", "--pid"), "umount", "--lazy", "/dev/pts")


def other_image(job: LiveJob, aim: Aim) -> None:
    """Run one worker from the image with the other Open MPI."""
    pod = job.workers[aim.index]
    done = job.podman.run("inspect", "--format={{json .Config.CreateCommand}}", pod.container)
    argv = [_other(word) for word in json.loads(done.stdout)[1:]]
    job.podman.run("rm", "--force", "--time=0", pod.container)
    job.podman.run(*argv)
    job.refresh()


def _other(word: str) -> str:
    """Return the name of the other image for the name of one; other words as they are."""
    if not word.startswith("mpijob-runtime:"):
        return word
    one, two = "ompi4.1", "ompi5.0"
    return word.replace(one, two) if one in word else word.replace(two, one)


def _keys(pod: LivePod) -> Path:
    return pod.directory / "ssh-auth" / "..data"


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew, with the mode it had."""
    mode = path.stat().st_mode
    path.write_bytes(content)
    path.chmod(mode)


def _fill(path: Path) -> None:
    """Write zeros until the file system is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        return
    finally:
        os.close(descriptor)
