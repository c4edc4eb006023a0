"""What was seen against what was expected.

Layer: pure; imports model.
"""

from collections.abc import Iterator, Mapping

from faults.model import Expected, Observed, Words


def judge(seen: Observed, expected: Expected, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return everything that is wrong, in words; nothing if all is as expected."""
    if seen.problem:
        return (seen.problem,)
    if seen.exit_code is None:
        return ("hung: the launcher did not end", *_left(seen))
    return (*_ending(seen, expected), *_times(seen, expected), *_words(seen, expected.says, names))


def judge_bare(seen: Observed, expected: Expected, names: Mapping[str, str]) -> tuple[str, ...]:
    """Judge plain mpirun, which has no report, no codes of ours and no limits to keep."""
    if seen.problem or seen.exit_code is None:
        return judge(seen, expected, names)
    should_succeed = 0 in expected.codes
    ended = []
    if (seen.exit_code == 0) != should_succeed:
        ended.append(f"exit code {seen.exit_code}")
    hosts_and_ranks = tuple(group for group in expected.says if "{" in group[0])
    return (*ended, *_words(seen, hosts_and_ranks, names), *_left(seen))


def fill(words: Words, names: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of expected words with hosts and ranks filled in."""
    return [[word.format_map(names) for word in group] for group in words]


def _ending(seen: Observed, expected: Expected) -> Iterator[str]:
    if seen.exit_code not in expected.codes:
        wanted = " or ".join(map(str, expected.codes))
        yield f"exit code {seen.exit_code}, wanted {wanted}"
    if expected.outcomes and seen.outcome not in expected.outcomes:
        yield f"outcome {seen.outcome or 'missing'}, wanted {' or '.join(expected.outcomes)}"
    yield from _left(seen)


def _times(seen: Observed, expected: Expected) -> Iterator[str]:
    limit = expected.noticed_within_seconds
    if limit is not None and (seen.noticed_seconds is None or seen.noticed_seconds > limit):
        when = "never" if seen.noticed_seconds is None else f"after {seen.noticed_seconds:.1f} s"
        yield f"noticed {when}, wanted {limit:g} s"
    if seen.ended_seconds is not None and seen.ended_seconds > expected.within_seconds:
        yield f"ended after {seen.ended_seconds:.1f} s, wanted {expected.within_seconds:g} s"
    if seen.clean_seconds is not None and seen.clean_seconds > expected.clean_seconds:
        yield f"clean after {seen.clean_seconds:.1f} s, wanted {expected.clean_seconds:g} s"


def _words(seen: Observed, says: Words, names: Mapping[str, str]) -> Iterator[str]:
    if seen.exit_code == 0:
        return
    for group in fill(says, names):
        if not any(word in seen.verdict for word in group):
            yield f"does not say {' or '.join(group)}"


def _left(seen: Observed) -> Iterator[str]:
    if seen.left:
        yield f"left: {', '.join(seen.left)}"
