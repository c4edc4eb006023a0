"""Wait for the end of containers without polling podman.

Each container has a monitor process (conmon) on this machine; its pidfd becomes readable when
it ends, which is after the container's last output is in the log file.
"""

import os
import selectors
import time

from mpijob_local.podman import Engine


class ContainerWatch:
    """Tells which of the watched containers have ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._selector = selectors.DefaultSelector()
        self._ended: list[str] = []

    def add(self, container: str) -> None:
        """Watch a container that was started."""
        done = self._engine.run("inspect", "--format={{.State.ConmonPid}}", container, accept=())
        monitor = int(done.stdout.strip() or 0)
        try:
            descriptor = os.pidfd_open(monitor) if monitor else -1
        except ProcessLookupError:
            descriptor = -1
        if descriptor < 0:
            self._ended.append(container)
        else:
            self._selector.register(descriptor, selectors.EVENT_READ, container)

    def wait(self, timeout_seconds: float) -> list[str]:
        """Return containers that ended, after the timeout at the latest."""
        ended, self._ended = self._ended, []
        if not self._selector.get_map():
            time.sleep(0 if ended else timeout_seconds)
            return ended
        for key, _ in self._selector.select(0 if ended else timeout_seconds):
            self._selector.unregister(key.fileobj)
            os.close(key.fd)
            ended.append(key.data)
        return ended

    def close(self) -> None:
        """Stop watching."""
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
