"""Records: what the wrapper around each rank wrote when its program started and ended.

Layer: pure data; imports nothing of ours.
"""

import json
from dataclasses import dataclass
from typing import Literal

_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class RankRecord:
    """One event of one rank.

    Attributes:
        event: ``start`` or ``exit``.
        rank: its number in the job.
        world_size: how many ranks the job has.
        host: name of the host, as the host itself gives it.
        boot_id: changes with every boot of the node: equal ids mean one physical node.
        time_seconds: seconds since the epoch by the host's clock.
        exit_code: of an exit that no signal caused.
        signal: number of the signal that ended it.
        oom_kills: how many processes of its cgroup were killed for memory while it ran.
    """

    event: Literal["start", "exit"]
    rank: int
    world_size: int
    host: str
    boot_id: str
    time_seconds: float
    exit_code: int | None = None
    signal: int | None = None
    oom_kills: int = 0

    @property
    def failed(self) -> bool:
        """Whether this is the end of a rank that did not succeed."""
        return self.event == "exit" and (self.signal is not None or self.exit_code != 0)

    @property
    def shell_code(self) -> int:
        """The exit code as a shell gives it."""
        return 128 + self.signal if self.signal is not None else self.exit_code or 0


def parse_record(line: str) -> RankRecord | None:
    """Return the record of a line, or None if it is not one."""
    if len(line) > _LONGEST_LINE:
        return None
    try:
        data = json.loads(line)
        return RankRecord(
            event={"start": "start", "exit": "exit"}[data["event"]],  # type: ignore[arg-type]
            rank=int(data["rank"]),
            world_size=int(data["world_size"]),
            host=str(data["host"]),
            boot_id=str(data["boot_id"]),
            time_seconds=float(data["time"]),
            exit_code=_number(data.get("exit_code")),
            signal=_number(data.get("signal")),
            oom_kills=int(data.get("oom_kills") or 0),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _number(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError
