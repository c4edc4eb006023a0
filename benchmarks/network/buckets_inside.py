"""Runs in each host of ``buckets.py``: sends to one host and receives from another.

The argument is TCP's congestion control. Each line on stdin is an order, ``{"to": address,
"seconds": s}`` or ``{"to": address, "message": bytes}``; the answer to it is a line on stdout.
"""

import json
import resource
import socket
import sys
import threading
import time

PORT = 7000
PIECE = bytes(1 << 18)
SKIPPED_BYTES = 2_000_000  # the token bucket is full at first
STAMP_BYTES = 32
PAUSE_SECONDS = 0.3  # any bucket is full again after this


def main() -> None:
    """Do what is ordered until there is nothing more."""
    print(flush=True)
    listener: socket.socket | None = None
    for line in sys.stdin:
        listener = listener or socket.create_server(("", PORT))
        order = json.loads(line)
        outgoing = connect(order["to"])
        incoming, _ = listener.accept()
        with outgoing, incoming:
            if "seconds" in order:
                found = stream(outgoing, incoming, order["seconds"])
            else:
                found = message(outgoing, incoming, order["message"])
        print(json.dumps(found), flush=True)


def connect(address: str) -> socket.socket:
    """Return a connection; the other host may not listen yet."""
    for _ in range(200):
        try:
            connection = socket.create_connection((address, PORT), timeout=60)
        except OSError:
            time.sleep(0.02)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, sys.argv[1].encode())
        return connection
    sys.exit(f"{address} does not answer")


def stream(outgoing: socket.socket, incoming: socket.socket, seconds: float) -> dict[str, float]:
    """Send for some time and return the rate of what came, its beginning left out."""
    before = cpu_seconds()
    sender = threading.Thread(target=send_for, args=(outgoing, seconds))
    sender.start()
    received = skipped = 0
    began = time.perf_counter()
    while count := len(incoming.recv(1 << 18)):
        received += count
        if received <= SKIPPED_BYTES:
            skipped, began = received, time.perf_counter()
    rate = (received - skipped) / (time.perf_counter() - began)
    sender.join()
    cpu = cpu_seconds() - before
    return {"bytes_per_second": rate, "bytes": received, "cpu_seconds": cpu}


def send_for(connection: socket.socket, seconds: float) -> None:
    """Send for some time."""
    due = time.monotonic() + seconds
    while time.monotonic() < due:
        connection.sendall(PIECE)
    connection.shutdown(socket.SHUT_WR)


def message(outgoing: socket.socket, incoming: socket.socket, size: int) -> dict[str, float]:
    """Open the connection's window, pause, send a message, and return how long it took to come.

    All hosts are on one machine and so have one clock; the sender's time comes with the message.
    """
    exchange(outgoing, incoming, 4 * size)
    time.sleep(PAUSE_SECONDS)
    began = exchange(outgoing, incoming, size)
    return {"seconds": time.monotonic() - began}


def exchange(outgoing: socket.socket, incoming: socket.socket, size: int) -> float:
    """Send and receive a message and return when its sender began."""
    rest = bytes(size - STAMP_BYTES)
    stamp = f"{time.monotonic():<{STAMP_BYTES}.9f}".encode()
    sender = threading.Thread(target=lambda: [outgoing.sendall(it) for it in (stamp, rest)])
    sender.start()
    head, received = b"", 0
    while received < size:
        piece = incoming.recv(min(1 << 18, size - received))
        if not piece:
            sys.exit("the other host has gone")
        if len(head) < STAMP_BYTES:
            head += piece[: STAMP_BYTES - len(head)]
        received += len(piece)
    sender.join()
    return float(head)


def cpu_seconds() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


main()
