"""How an agent begins: who asks, is this host free, and its first word.

Layer: effects (processes, files).
"""

from __future__ import annotations

import os
import resource
import time

from mpijob_runtime import carried, frames, processes
from mpijob_runtime.agent.fence import fence
from mpijob_runtime.agent.serve import FLUSH_SECONDS, Agent
from mpijob_runtime.agent.sessions import keep_session_directories
from mpijob_runtime.agent.streams import Outgoing
from mpijob_runtime.machine import describe_machine
from mpijob_runtime.run_dir import choose_run_dir, takes_files


def main() -> None:
    """Serve the launcher at the other end of stdin and stdout."""
    processes.name_this_process(carried.AGENT_NAME)
    outgoing = Outgoing(1)
    hello = frames.parse_command(_read_line(0))
    heard_at = time.time()
    attempt, grace = hello["attempt"], float(hello["grace_seconds"])
    run_dir = choose_run_dir(os.environ.get(carried.RUN_DIR))
    machine = {**describe_machine(), **_describe_places(hello.get("directory", ""))}
    _allow_descriptors()  # only now: the ranks' limits are not ours
    temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - POSIX's default
    keep_session_directories((temporary, "/dev/shm"))  # noqa: S108 - where /tmp is of no use
    answer: dict[str, object] = {
        "event": "hello",
        "host": os.uname().nodename,
        "boot_id": processes.read_text("/proc/sys/kernel/random/boot_id"),
        "tmp": takes_files(temporary),
        "daemons": [name for name in ("orted", "prted") if _is_here(name)],
        "machine": machine,
    }
    agent = Agent(attempt, run_dir, grace_seconds=grace, outgoing=outgoing, environ=os.environ)
    refused = _reason_to_refuse(run_dir, attempt, hello, answer) or _listen(agent, run_dir)
    if refused is None:
        if hello.get("member") and machine["gpu_driver"]:
            agent.tell_gpus()
        if hello.get("links"):
            answer["links"] = agent.links.listen(_addresses(machine))
    else:
        answer["refused"] = refused
    answer["clock"] = [heard_at, time.time()]
    outgoing.put(frames.GREETING + frames.format_event(answer))
    outgoing.flush(within_seconds=FLUSH_SECONDS)
    if refused is None:
        agent.run()


def _reason_to_refuse(
    run_dir: str, attempt: str, hello: dict[str, str], answer: dict[str, object]
) -> str | None:
    if hello.get("probing"):
        answer["ended"] = 0
        return None
    if os.path.exists(f"{run_dir}/{carried.ENDING}"):
        return "this pod is about to end (SIGTERM)"
    keep = hello.get("keep", "").split(",")
    grace = float(hello["grace_seconds"])
    answer["ended"], newer = fence(attempt, keep, run_dir=run_dir, within_seconds=grace)
    return f"a newer attempt, {newer}, is at work here" if newer else None


def _listen(agent: Agent, run_dir: str) -> str | None:
    """Let ranks come; return why they cannot."""
    try:
        os.makedirs(run_dir, mode=0o700, exist_ok=True)
        agent.listen()
    except OSError as error:
        return f"{run_dir}: cannot make the socket for ranks: {error.strerror}"
    return None


def _allow_descriptors() -> None:
    """Raise the limit of open files: each rank takes three here."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _describe_places(directory: str) -> dict[str, str]:
    """Return the launcher's working directory if ranks cannot start in it, and where else.

    Both Open MPIs start a rank in its home if they cannot change to mpirun's own directory, and
    say nothing (measured with 4.1.4 and 5.0.11).
    """
    usable = os.path.isdir(directory) and os.access(directory, os.X_OK)
    home = os.path.realpath(os.environ.get("HOME") or "/")
    return {"missing_directory": "" if usable else directory, "home": home}


def _addresses(machine: dict[str, object]) -> list[str]:
    """Return the addresses of this host's interfaces, without their prefix lengths."""
    interfaces = machine["interfaces"]
    assert isinstance(interfaces, list)  # noqa: S101 - made by describe_machine
    return [text.partition("/")[0] for item in interfaces for text in item["addresses"]]


def _read_line(descriptor: int) -> bytes:
    """Return one line, byte by byte: what follows belongs to the loop."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    return line


def _is_here(name: str) -> bool:
    """Tell whether mpirun finds that daemon: the images' by its prefix, others on PATH."""
    places = (f"{carried.OPEN_MPI}/bin", *os.environ.get("PATH", os.defpath).split(":"))
    return any(os.access(f"{place}/{name}", os.X_OK) for place in places if place)
