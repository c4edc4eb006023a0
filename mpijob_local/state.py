"""The directory of a job on this machine, and the lock that says that it runs."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mpijob_runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class JobState:
    """Files of one job: volumes, logs, and a lock that its run holds.

    Attributes:
        directory: everything lies here; 0700, because of the private key.
    """

    directory: Path

    @classmethod
    def of(cls, home: Path, *, namespace: str, job: str) -> "JobState":
        """Return the state of a job, whether or not there is any."""
        # A namespace is a DNS label, so the dot cannot be part of it.
        return cls(home / "jobs" / f"{namespace}.{job}")

    @property
    def volumes(self) -> Path:
        """Directory of the pods' volumes and files."""
        return self.directory / "volumes"

    @property
    def logs(self) -> Path:
        """Directory of the pods' logs."""
        return self.directory / "logs"

    @property
    def hooks(self) -> Path:
        """Directory of the hook that shapes links; there only if the job has any."""
        return self.directory / "hooks"

    @property
    def _lock_file(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.lock")

    @contextmanager
    def claim(self, job: str) -> Iterator[None]:
        """Hold the job's lock while the block runs.

        Raises:
            UsageError: another run holds it.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = self._lock()
        if descriptor is None:
            message = f"job {job} is already running (process {self.owner() or 'unknown'})"
            raise UsageError(message, remedy=f"mpijob-local down {job}, or give it another name")
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield
        finally:
            self._lock_file.unlink(missing_ok=True)
            os.close(descriptor)

    def owner(self) -> int | None:
        """Return the process that runs the job, or None if nobody does."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if _try_lock(descriptor):
                return None
            return int(os.read(descriptor, 20) or b"0") or None
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        """Remove the files of an earlier run and make the directory anew."""
        self.remove()
        self.directory.mkdir(parents=True, mode=0o700)
        self.volumes.mkdir()
        self.logs.mkdir()

    def remove(self) -> None:
        """Remove all files of the job; the lock stays with its holder."""
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def _lock(self) -> int | None:
        """Return a descriptor that holds the lock, or None if another process does."""
        while True:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
            if not _try_lock(descriptor):
                os.close(descriptor)
                return None
            # The holder before us removes the file: a lock on a removed file is worth nothing.
            if (
                self._lock_file.exists()
                and os.fstat(descriptor).st_ino == self._lock_file.stat().st_ino
            ):
                return descriptor
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
