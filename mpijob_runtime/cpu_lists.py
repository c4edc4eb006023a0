"""Lists of processors as the kernel writes them: ``0-23,48``.

Layer: pure; imports nothing of ours.
"""

from collections.abc import Iterable

MOST_CPUS = 8192
"""As many as a Linux kernel can be built for (CONFIG_NR_CPUS on x86-64)."""


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the processors of a list, in order.

    Raises:
        ValueError: if it is no list, or names a processor beyond 8191.
    """
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        words = (first, last if dash else first)
        if not all(word.isascii() and word.isdigit() and len(word) <= 4 for word in words):  # noqa: PLR2004
            raise ValueError(f"not a list of processors: {text[:40]!r}")
        if int(words[1]) >= MOST_CPUS:
            raise ValueError(f"a processor beyond {MOST_CPUS - 1}: {text[:40]!r}")
        found.update(range(int(words[0]), int(words[1]) + 1))
    return tuple(sorted(found))


def format_cpu_list(cpus: Iterable[int]) -> str:
    """Return processors as the kernel writes them."""
    spans: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if spans and cpu == spans[-1][1] + 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
