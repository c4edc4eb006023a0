"""Words for what is shown beside a verdict and does not decide it. Pure."""

from collections.abc import Iterator


def also_words(also: object) -> Iterator[str]:
    """Yield a sentence for each fact in a result's ``also``; whatever is odd is left out."""
    if not isinstance(also, dict):
        return
    of_one, rate, floor = (
        value if isinstance(value, int | float) else None
        for value in map(also.get, ("efficiency_of_one", "samples_per_second", "reference"))
    )
    if of_one is not None:
        yield f"against one rank by itself: {of_one:.1%}"
    if rate is not None and floor is not None:
        word = "reaches" if rate >= floor else "is below"
        yield f"{rate:,.0f} samples/s {word} the reference of {floor:,.0f}"
