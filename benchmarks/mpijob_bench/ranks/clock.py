"""How far two ranks' clocks are apart, by messages to and fro as in NTP (RFC 5905, section 8)."""

import time

import torch
import torch.distributed as dist

_PINGS = 20


def measure_offset(server: int, client: int, *, device: torch.device) -> tuple[float, float] | None:
    """Return how much the client's wall clock is ahead of the server's, in seconds.

    Called by both ranks.

    Returns:
        On the client the offset and the round trip of the quickest ping, which bounds the error
        of the offset to half of it; None on the server.
    """
    if dist.get_rank() == server:
        for _ in range(_PINGS):
            _answer(client, device)
        return None
    return min((_ask(server, device) for _ in range(_PINGS)), key=lambda found: found[1])


def _ask(server: int, device: torch.device) -> tuple[float, float]:
    word = torch.zeros(2, dtype=torch.float64, device=device)
    sent = time.time()
    dist.send(word, server)
    dist.recv(word, server)
    received, answered = word.tolist()
    back = time.time()
    offset = ((sent - received) + (back - answered)) / 2
    return offset, (back - sent) - (answered - received)


def _answer(client: int, device: torch.device) -> None:
    word = torch.zeros(2, dtype=torch.float64, device=device)
    dist.recv(word, client)
    received = time.time()
    dist.send(torch.tensor([received, time.time()], dtype=torch.float64, device=device), client)
