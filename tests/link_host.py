"""One host's end of the survey: links and the loop that an agent has, in a thread."""

import os
import select
import threading

from mpijob_runtime.agent.links import Links


class Host:
    """Links and the loop that an agent has."""

    def __init__(self):
        self.events = []
        self.poll, self.handlers = select.poll(), {}
        self.links = Links(self.poll, self.handlers, self._tell)
        self._changed = threading.Condition()
        self._todo = []
        self._reading, self._writing = os.pipe()
        self.poll.register(self._reading, select.POLLIN)
        self.handlers[self._reading] = self._wake
        self._thread = threading.Thread(target=self._work)
        self._over = False

    def start(self):
        """Let the loop run."""
        self._thread.start()
        return self

    def do(self, act):
        """Do something in the loop."""
        self._todo.append(act)
        os.write(self._writing, b"x")

    def event(self, state, seconds=10):
        """Wait for an event of a question and return it."""
        with self._changed:

            def found():
                return [event for event in self.events if event["state"] == state]

            assert self._changed.wait_for(found, timeout=seconds), (state, self.events)
            return found()[0]

    def close(self):
        """Close the links, and then the loop."""
        self.do(self.links.close)
        self._over = True
        os.write(self._writing, b"x")
        self._thread.join(10)
        left = set(self.handlers) - {self._reading}
        os.close(self._reading)
        os.close(self._writing)
        assert not left

    def _tell(self, event, **fields):
        assert event == "link"
        with self._changed:
            self.events.append(fields)
            self._changed.notify_all()

    def _wake(self):
        os.read(self._reading, 1)
        if self._todo:
            self._todo.pop(0)()

    def _work(self):
        while not self._over or self._todo:
            for descriptor, _ in self.poll.poll(100):
                if descriptor in self.handlers:
                    self.handlers[descriptor]()
