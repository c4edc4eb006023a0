"""Runs on every rank: plain TCP between workers, on each network and in each pattern.

Arguments: rounds, seconds of each transfer. Rank 0 prints one JSON object for each transfer and
receiver: {"pattern", "interface", "round", "mbit_per_second"}.
"""

import fcntl
import json
import os
import socket
import struct
import sys
import threading
import time

import torch.distributed as dist

PORT = 7000
PIECE = bytes(1 << 18)
SKIPPED_BYTES = 2_000_000  # the token bucket is full at first
PATTERNS = ("one flow", "both ways", "ring of all")


def main() -> None:
    """Measure as often as the arguments say."""
    rounds, seconds = int(sys.argv[1]), float(sys.argv[2])
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    listener = socket.create_server(("", PORT))
    peers = gather(interfaces())
    for number in range(rounds):
        for interface in sorted(peers[0]):
            for pattern in PATTERNS:
                to, source = partners(pattern, rank, size)
                address = None if to is None else peers[to][interface]
                found = transfer(listener, address, receives=source is not None, seconds=seconds)
                for rate in filter(None, gather(found)):
                    emit(rank, pattern, interface, number, rate)
    dist.destroy_process_group()


def partners(pattern: str, rank: int, size: int) -> tuple[int | None, int | None]:
    """Return whom a rank sends to and whom it hears from."""
    if pattern == "ring of all":
        return (rank + 1) % size, (rank - 1) % size
    if rank > 1:
        return None, None
    if pattern == "both ways":
        return 1 - rank, 1 - rank
    return (1, None) if rank == 0 else (None, 0)


def transfer(
    listener: socket.socket, address: str | None, *, receives: bool, seconds: float
) -> float | None:
    """Send for some time, receive at the same time, and return the Mbit/s received."""
    dist.barrier()
    sender = threading.Thread(target=send, args=(address, seconds)) if address else None
    if sender:
        sender.start()
    rate = receive(listener) if receives else None
    if sender:
        sender.join()
    return rate


def send(address: str, seconds: float) -> None:
    """Send for some time."""
    with socket.create_connection((address, PORT), timeout=60) as connection:
        due = time.monotonic() + seconds
        while time.monotonic() < due:
            connection.sendall(PIECE)


def receive(listener: socket.socket) -> float:
    """Return the Mbit/s of payload of one transfer without its beginning."""
    connection, _ = listener.accept()
    skipped = received = 0
    began = time.perf_counter()
    with connection:
        while count := len(connection.recv(1 << 18)):
            received += count
            if received <= SKIPPED_BYTES:
                skipped, began = received, time.perf_counter()
    return (received - skipped) * 8e-6 / (time.perf_counter() - began)


def interfaces() -> dict[str, str]:
    """Return the addresses by interface (SIOCGIFADDR, netdevice(7))."""
    found = {}
    with socket.socket() as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            found[name] = socket.inet_ntoa(fcntl.ioctl(probe, 0x8915, request)[20:24])
    return {name: address for name, address in found.items() if name != "lo"}


def gather(value: object) -> list:
    """Return every rank's value."""
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def emit(rank: int, pattern: str, interface: str, number: int, rate: float) -> None:
    """Print one measurement."""
    if rank == 0:
        sample = {"pattern": pattern, "interface": interface, "round": number}
        print(json.dumps({**sample, "mbit_per_second": rate}), flush=True)


os.environ.setdefault("GLOO_SOCKET_IFNAME", "eth0")
main()
