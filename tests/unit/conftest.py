"""Builders of plain data, and processes of ours, for the unit tests."""

import _socket
import os
import select
import signal
import subprocess
import sys
import time

import pytest
from ranks import RANK_3

from mpijob_runtime import frames
from mpijob_runtime.agent.wrapper import Wrapper
from mpijob_runtime.facts import Facts, KeyFacts, MpiFacts, SystemFacts, UserFacts
from mpijob_runtime.frame_reader import FrameReader, parse_object
from mpijob_runtime.records import RankRecord
from mpijob_runtime.settings import Flags, Settings

SYSTEM = {
    "hostname": "pi-launcher",
    "cpus": 2,
    "memory_limit_bytes": None,
    "capabilities": frozenset(),
    "no_new_privileges": True,
    "ptrace_scope": 0,
    "writable_tmp": True,
}
USER = {"uid": 1000, "gid": 1000, "name": "mpiuser", "home": "/home/mpiuser", "shell": "/bin/sh"}


@pytest.fixture
def make_facts():
    """Return a builder of facts; keywords replace single facts of the system or the user."""

    def build(
        *,
        version="4.1.4",
        wrapper="/usr/local/lib/mpijob/rank",
        rsh="/usr/local/lib/mpijob/rsh",
        **changes,
    ):
        system = SYSTEM | {k: v for k, v in changes.items() if k in SYSTEM}
        user = USER | {k: v for k, v in changes.items() if k in USER}
        unknown = changes.keys() - system.keys() - user.keys()
        assert not unknown
        return Facts(
            system=SystemFacts(**system),
            user=UserFacts(**user),
            key=KeyFacts("/home/mpiuser/.ssh/id_rsa", "/home/mpiuser/.ssh", 0, 0o644, True),  # noqa: FBT003
            mpi=MpiFacts("Open MPI", version, "/usr/bin/mpirun") if version else None,
            rank_wrapper=wrapper,
            rsh=rsh,
        )

    return build


@pytest.fixture
def make_settings():
    """Return a builder of settings from an environment and flags."""

    def build(environ=None, *, hostfile_exists=False, **flags):
        return Settings.from_environ(
            environ or {}, flags=Flags(**flags), hostfile_exists=hostfile_exists
        )

    return build


@pytest.fixture
def make_record():
    """Return a builder of rank records of a job with four ranks."""

    def build(event, rank, *, at=0.0, **more):
        host = more.pop("host", f"w{rank}")
        return RankRecord(
            event=event,
            rank=rank,
            world_size=more.pop("world_size", 4),
            host=host,
            time_seconds=1000.0 + at,
            **more,
        )

    return build


class Rank:
    """A wrapper around a program, in a process group of its own as daemons make them."""

    def __init__(self, environ, *argv, code=None, **options):
        self.run_dir = environ["MPIJOB_RUN_DIR"]
        start = ("-c", code) if code else ("-m", "mpijob_runtime.rank")
        self.process = subprocess.Popen(
            [sys.executable, *start, *argv],
            env=environ,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def line(self):
        """Return the next line of the program's output."""
        return self.process.stdout.readline().strip()

    def end(self, stdin=None):
        """Wait for the end; return the code as subprocess has it, and stderr."""
        self.output, errors = self.process.communicate(stdin, timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def start_rank(bare_environ):
    """Return a function that starts a program as rank 3; what is left is killed at the end."""
    started = []

    def start(*argv, environ=None, **options):
        rank = Rank(bare_environ | RANK_3 | (environ or {}), *argv, **options)
        started.append(rank)
        return rank

    yield start
    for rank in started:
        if rank.process.poll() is None:
            os.killpg(rank.process.pid, signal.SIGKILL)
        rank.process.communicate(timeout=5)


class Gate:
    """A host's agent as ranks see it, in the hands of a test."""

    def __init__(self, run_dir):
        os.makedirs(run_dir, mode=0o700, exist_ok=True)
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        directory = os.open(run_dir, os.O_PATH)
        self._listener.bind(f"/proc/self/fd/{directory}/agent-1-a")
        os.close(directory)
        self._listener.listen(8)
        self._opened = []

    def accept(self):
        """Return the next wrapper that comes."""
        self._listener.settimeout(10)
        wrapper = Wrapper(_socket.socket(fileno=self._listener._accept()[0]))
        self._opened.append(wrapper)
        return wrapper

    def close(self):
        """Be gone."""
        self._listener.close()
        for wrapper in self._opened:
            wrapper.close()


@pytest.fixture
def make_gate():
    """Return a function that makes an agent in a run directory; it is gone at the end."""
    made = []

    def make(run_dir):
        made.append(Gate(run_dir))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


@pytest.fixture
def gate(make_gate, bare_environ):
    """Return an agent for start_rank's ranks."""
    return make_gate(bare_environ["MPIJOB_RUN_DIR"])


@pytest.fixture
def hear():
    """Return a function that waits for a wrapper's next message: event, fields, descriptors."""

    def wait(wrapper, seconds=10):
        waiting = select.poll()
        waiting.register(wrapper.descriptor, select.POLLIN)
        assert waiting.poll(seconds * 1000), "the wrapper says nothing"
        message, descriptors = wrapper.receive()
        return (*(message or (None, None)), descriptors)

    return wait


class AgentProcess:
    """The real agent, in a process of its own, spoken to over pipes as ssh has it."""

    def __init__(self, environ, attempt, *, grace_seconds, **hello):
        self.attempt = attempt
        self.run_dir = environ["MPIJOB_RUN_DIR"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mpijob_runtime.agent"],
            env=environ | {"OMPI_MPIJOB_ATTEMPT": attempt},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._reader = FrameReader()
        self._frames = []
        self.output = {}
        self.events = []
        self.tell(attempt=attempt, grace_seconds=grace_seconds, **hello)

    def tell(self, **command):
        """Tell the agent something."""
        self.process.stdin.write(frames.format_command(command))

    def event(self, wanted, seconds=10.0, **fields):
        """Return the next event of a kind and with these fields; output that comes is kept."""
        deadline = time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(self.process.stdout, select.POLLIN)
        while True:
            while self._frames:
                rank, stream, data = self._frames.pop(0)
                if rank >= 0:
                    self.output[rank, stream] = self.output.get((rank, stream), b"") + data
                    continue
                event = parse_object(data)
                self.events.append(event)
                if event["event"] == wanted and fields.items() <= event.items():
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {wanted}; came: {self.events}"
            assert waiting.poll(left * 1000), f"no {wanted}; came: {self.events}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the agent is gone, without {wanted}; came: {self.events}"
            self._frames += self._reader.feed(data)

    def close(self):
        """Be gone, as a launcher that is killed."""
        self.process.stdin.close()


@pytest.fixture
def start_agent(bare_environ):
    """Return a function that starts an agent; it is killed at the end if it is still there."""
    started = []

    def start(attempt="1-a", *, grace_seconds=5.0, **hello):
        agent = AgentProcess(bare_environ, attempt, grace_seconds=grace_seconds, **hello)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        agent.process.kill()
        agent.process.wait()
        agent.process.stdin.close()
        agent.process.stdout.close()
