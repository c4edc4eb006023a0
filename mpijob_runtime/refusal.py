"""Why a host does not accept a login yet; apart from the probe, whose library is slow to import.

Layer: pure; imports nothing of ours.
"""

from typing import Literal

Step = Literal["name", "tcp", "banner", "host key", "authentication", "session"]


class HostRefusal(Exception):  # noqa: N818 - a state of a host, not an error of ours
    """Why a host does not accept a login yet.

    Attributes:
        step: how far the probe came.
        reason: why it stopped there.
        lasting: whether waiting is unlikely to help: the host answers, and says no.
    """

    def __init__(self, step: Step, reason: str, *, lasting: bool = False) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
        self.lasting = lasting
