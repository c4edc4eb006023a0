"""Ids of starts of a job, and which of them live in this container.

An id is ``TIME-LAUNCHER-LETTERS``: when it began (UTC, with microseconds), a mark of this start of
this container, and random letters. Ids order by time, those of one container strictly in the order
of their starts; an attempt with an older id gives way to a newer one.

Layer: effects (files); imports errors.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from mpijob_runtime.errors import ConfigurationError

_MARK_LETTERS = 8
_TIME = "%Y%m%dT%H%M%S.%f"
_STEP = timedelta(microseconds=1)


class RunningAttempt:
    """This start of the job, known to others in this container while the file is open.

    The file is named by the id, holds the number, and is locked for as long as the job runs.

    Args:
        run_dir: the private directory.

    Attributes:
        id: its id.
        number: the lowest that no other job of this container has, from 0.

    Raises:
        ConfigurationError: if it cannot be noted there.
    """

    def __init__(self, run_dir: str) -> None:
        self._directory = f"{run_dir}/attempts"
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with self._alone():
                self._register()
        except OSError as error:
            message = f"{self._directory}: cannot note this start of the job: {error.strerror}"
            remedy = "free some space or set MPIJOB_RUN_DIR"
            raise ConfigurationError(message, remedy=remedy) from error

    def siblings(self) -> tuple[str, ...]:
        """Return the ids of the other jobs that run in this container now."""
        with self._alone():
            return tuple(self._living())

    def close(self) -> None:
        """The job is over."""
        with suppress(OSError):
            os.unlink(self._path)
        os.close(self._descriptor)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody see a file that is not locked and written yet."""
        together = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(together, fcntl.LOCK_EX)
            yield
        finally:
            os.close(together)

    def _register(self) -> None:
        living = self._living()
        began = [datetime.now(UTC), *(_time_of(found) + _STEP for found in living)]
        self.id = f"{max(began):{_TIME}}-{_mark()}-{os.urandom(4).hex()}"
        self.number = min(set(range(len(living) + 1)) - set(living.values()))
        self._path = f"{self._directory}/{self.id}"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            os.write(self._descriptor, str(self.number).encode())
        except OSError:
            self.close()
            raise

    def _living(self) -> dict[str, int]:
        """Return id -> number of each other attempt whose launcher holds its lock."""
        own = getattr(self, "id", None)
        found = {name: self._number(name) for name in os.listdir(self._directory) if name != own}
        return {name: number for name, number in found.items() if number is not None}

    def _number(self, name: str) -> int | None:
        """Return the number of an attempt; None, and forget it, if its launcher is gone."""
        path = f"{self._directory}/{name}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None  # it has just ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(descriptor, 16))
        else:
            with suppress(OSError):
                os.unlink(path)
            return None
        finally:
            os.close(descriptor)


def _time_of(attempt: str) -> datetime:
    return datetime.strptime(attempt.partition("-")[0], _TIME).replace(tzinfo=UTC)


def _mark() -> str:
    """Return a mark of this start of this container: a restarted one has another."""
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        started = file.read().rpartition(")")[2].split()[19]
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    text = f"{os.uname().nodename} {boot} {started}"
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_LETTERS]
