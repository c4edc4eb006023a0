"""Ids of starts of a job, and which of them live in this container.

An id is ``SECONDS-LAUNCHER-LETTERS``: when it began, a mark of this start of this container, and
random letters. Ids order by time; an attempt with an older id gives way to a newer one.

Layer: effects (files); imports nothing of ours.
"""

import fcntl
import hashlib
import os
import time
from contextlib import suppress

_MARK_LETTERS = 8


class RunningAttempt:
    """This start of the job, known to others in this container while the file is open.

    Args:
        run_dir: the private directory.

    Attributes:
        id: its id.
        siblings: ids of other jobs that run in this container now.
    """

    def __init__(self, run_dir: str) -> None:
        self._directory = f"{run_dir}/attempts"
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        self.id = f"{int(time.time())}-{_mark()}-{os.urandom(4).hex()}"
        self._path = f"{self._directory}/{self.id}"
        together = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(together, fcntl.LOCK_EX)  # nobody sees a file that is not locked yet
        self.siblings = tuple(name for name in os.listdir(self._directory) if self._lives(name))
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.close(together)

    def close(self) -> None:
        """The job is over."""
        with suppress(OSError):
            os.unlink(self._path)
        os.close(self._descriptor)

    def _lives(self, name: str) -> bool:
        """Tell whether an attempt's launcher holds its lock; forget it otherwise."""
        path = f"{self._directory}/{name}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            with suppress(OSError):
                os.unlink(path)
            return False
        finally:
            os.close(descriptor)


def _mark() -> str:
    """Return a mark of this start of this container: a restarted one has another."""
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        started = file.read().rpartition(")")[2].split()[19]
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    text = f"{os.uname().nodename} {boot} {started}"
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_LETTERS]
