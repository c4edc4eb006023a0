"""A user's mpirun line, read for what it asks of us; mpirun itself gets it as it is.

Only its options are read: what belongs to the program is never taken for one of them. How many
values an option has is what the two generations' own parsers say (orterun(1) of 4.1; PRRTE's
schizo/ompi of 5.0).

Layer: pure; imports nothing of ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BARE = _names("""
    allow-run-as-root h help q quiet v verbose V version continuous disable-recovery enable-recovery
    display-allocation display-map display-devel-map do-not-launch report-bindings
    report-child-jobs-separately tag-output timestamp-output merge-stderr-to-stdout xml nolocal
    oversubscribe nooversubscribe pernode bynode byslot bycore bind-to-core bind-to-socket
    use-hwthread-cpus noprefix show-progress s preload-binary leave-session-attached debug-daemons
    debug-daemons-file debug get-stack-traces report-state-on-timeout
""")
"""Options without a value, in both generations."""

_VALUED = _names("""
    c n np N H host hostfile machinefile default-hostfile app x wd wdir path prefix map-by rank-by
    bind-to cpu-list cpu-set cpus-per-proc cpus-per-rank npernode npersocket ppr rankfile rf
    launch-agent max-restarts max-vm-size output-filename personality preload-files report-pid
    report-uri stdin timeout tune am xterm
""")
"""Options with one value, in both generations."""

_PAIRED = _names("mca gmca omca gomca prtemca pmixmca")
"""Options with a name and a value."""

_BARE_OF: Mapping[int, frozenset[str]] = {
    4: _names("""
        d debug-devel display-devel-allocation display-diffable-map display-topo do-not-resolve dvm
        enable-instant-on-support fwd-mpirun-port index-argv-by-rank novm output-proctable
        set-cwd-to-session-dir tv use-regexp
    """),
    5: _names("""
        p parseable parsable stop-on-exec stop-in-init stop-in-app display-comm
        display-comm-finalize do-not-aggregate-help soft
    """),
}
_VALUED_OF: Mapping[int, frozenset[str]] = {
    4: _names("cartofile cf debugger hnp ompi-server report-events xml-file"),
    5: _names("""
        amca output output-directory display display-topo runtime-options rtos stream-buffering pset
        dvm forward-signals spawn-timeout tmpdir with-ft initial-errhandler memory-alloc-kinds arch
        file
    """),
}


@dataclass(frozen=True, slots=True)
class MpirunOption:
    """One option of a line.

    Attributes:
        word: as it was written, for messages, without a value after ``=``.
        name: without its dashes.
        values: what follows it.
        joined: whether the first value stands after ``=``, which only 5.0 takes.
    """

    word: str
    name: str
    values: tuple[str, ...] = ()
    joined: bool = False

    @property
    def parameter(self) -> tuple[str, str]:
        """Name and value of the MCA parameter that it sets; empty if it sets none."""
        name, value = (*self.values, "", "")[:2] if self.name in _PAIRED else ("", "")
        return name, value

    def __str__(self) -> str:
        if self.joined:
            return " ".join((f"{self.word}={self.values[0]}", *self.values[1:]))
        return " ".join((self.word, *self.values))


def read_options(arguments: Sequence[str], *, major: int) -> list[MpirunOption]:
    """Return the options of each ``:``-separated part of a line, up to its program.

    What follows an option that this generation does not know is left out: nobody can tell its
    value from the program.

    Args:
        arguments: of mpirun.
        major: the generation of Open MPI.
    """
    return [option for part in _parts(arguments) for option in _options_of(part, major)]


def _parts(arguments: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in arguments:
        if word == ":":
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _options_of(words: Sequence[str], major: int) -> Iterator[MpirunOption]:
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        word = words[at]
        name, equals, value = word.lstrip("-").partition("=")
        number = _values_of(name, major)
        if number is None:
            return
        given = (value,) if equals else ()
        rest = words[at + 1 : at + 1 + number - len(given)]
        yield MpirunOption(word.partition("=")[0], name, (*given, *rest), bool(equals))
        at += 1 + len(rest)


def _values_of(name: str, major: int) -> int | None:
    """Return how many values an option has, or None if this generation has no such option."""
    if name in _PAIRED:
        return 2
    if name in _VALUED_OF[major] or name in _VALUED - _BARE_OF[major]:
        return 1
    return 0 if name in _BARE or name in _BARE_OF[major] else None
