"""Records: what the hosts' agents tell of the starts and ends of ranks.

Layer: pure data; imports nothing of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Event = Literal["start", "exit", "vanished"]
_EVENTS: dict[object, Event] = {"start": "start", "exit": "exit", "vanished": "vanished"}


@dataclass(frozen=True, slots=True)
class RankRecord:
    """One event of one rank.

    Attributes:
        event: ``start``, ``exit``, or ``vanished``: its wrapper ended without a word.
        rank: its number in the job.
        host: the name under which the launcher reaches its host.
        time_seconds: seconds since the epoch by the host's clock.
        world_size: how many ranks the job has, in a start.
        job: MPI's name for the group of ranks that were started together.
        found: whether the program is there.
        exit_code: of an exit that no signal caused.
        signal: number of the signal that ended it.
        oom_kills: how many processes of its cgroup were killed for memory while it ran.
        environ: chosen variables that the rank has.
        versions: of Python and packages on its PATH.
        directory: in which its program starts.
        zone: its time zone's present distance from UTC, ``+0100``.
    """

    event: Event
    rank: int
    host: str
    time_seconds: float
    world_size: int = 0
    job: str = ""
    found: bool = True
    exit_code: int | None = None
    signal: int | None = None
    oom_kills: int = 0
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    directory: str = ""
    zone: str = ""

    @property
    def ended(self) -> bool:
        """Whether the rank's program has ended."""
        return self.event != "start"

    @property
    def failed(self) -> bool:
        """Whether this is the end of a rank that did not succeed."""
        return self.ended and (self.signal is not None or self.exit_code != 0)

    @property
    def shell_code(self) -> int:
        """The exit code as a shell gives it."""
        if self.event == "vanished":
            return 128 + 9
        return 128 + self.signal if self.signal is not None else self.exit_code or 0


def parse_record(event: Mapping[str, object], host: str) -> RankRecord | None:
    """Return the record of an agent's event, or None if it is not one of a rank."""
    try:
        return RankRecord(
            event=_EVENTS[event.get("event")],
            rank=int(_number(event["rank"])),
            host=host,
            time_seconds=float(_number(event["time"])),
            world_size=int(_number(event.get("world_size", 0))),
            job=str(event.get("job", "")),
            found=bool(event.get("found", 1)),
            exit_code=_optional(event.get("exit_code")),
            signal=_optional(event.get("signal")),
            oom_kills=int(_number(event.get("oom_kills", 0))),
            environ=_texts(event.get("env")),
            versions=_texts(event.get("versions")),
            directory=str(event.get("directory", "")),
            zone=str(event.get("zone", "")),
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _number(value: object) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise TypeError


def _optional(value: object) -> int | None:
    return None if value is None else int(_number(value))


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
