"""Random changes of inputs, repeatable by seed: what is left where atheris is not installed."""

import random
import time

ODD = (b"\0", b"\n", b"\r", b"=", b":", b",", b"9" * 60, b"-1", b"1e999", b"nan", b"\xff")


def inputs(seeds, *, seed, seconds):
    """Yield the seeds, then changed ones until the time is over."""
    yield from (b"", *seeds)
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            _change(data, chance, seeds)
        yield bytes(data)


def _change(data, chance, seeds):
    at = chance.randint(0, len(data))
    match chance.randrange(5):
        case 0:
            del data[at : at + chance.randint(1, 8)]
        case 1:
            data[at:at] = chance.choice(ODD)
        case 2:
            data[at : at + 1] = bytes([chance.randrange(256)])
        case 3:
            other = chance.choice(seeds)
            cut = chance.randint(0, len(other))
            data[at:at] = other[cut : cut + chance.randint(1, 40)]
        case _:
            data[at : at + chance.randint(1, 4)] = chance.choice(ODD)
