"""The start gate: opens once every rank is in its place and the hosts' survey is over.

Layer: effects (clock); imports bind_to, rank_environ, survey, watch.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from mpijob_runtime.advice import advise
from mpijob_runtime.bind_to import Binding
from mpijob_runtime.console import Console
from mpijob_runtime.rank_environ import gate_words
from mpijob_runtime.survey import Survey
from mpijob_runtime.watch import HostWatch


class Gate:
    """Holds the ranks' programs until it is known where they are and what they need.

    Args:
        console: where to say what the survey finds.
        on_open: called when it opens.
        binding: who binds ranks.

    Attributes:
        survey: of the hosts.
        opened_at: when it opened, by the monotonic clock, or None.
    """

    def __init__(self, console: Console, *, on_open: Callable[[], None], binding: Binding) -> None:
        self.survey = Survey(console)
        self.opened_at: float | None = None
        self._console = console
        self._on_open = on_open
        self._binding = binding
        self._watches: list[HostWatch] = []
        self._places: Mapping[str, Sequence[int]] | None = None

    @property
    def network(self) -> Mapping[str, object] | None:
        """What ranks were told of the data network, as plain data."""
        found = self.survey.network
        told = self.opened_at is not None and self._places is not None
        return found.to_json() if found is not None and told else None

    def begin(self, watches: Sequence[HostWatch], *, members: Sequence[HostWatch]) -> None:
        """Begin the survey.

        Args:
            watches: the agents that are told when the gate opens.
            members: those of hosts on which ranks may run.
        """
        self._watches = list(watches)
        self.survey.begin(members)

    def note(self, host: str, event: Mapping[str, object]) -> None:
        """Take an agent's word for the survey."""
        self.survey.note(host, event)
        self._open_if_due()

    def act(self, now: float) -> None:
        """Keep the survey's deadlines."""
        self.survey.act(now)
        self._open_if_due()

    def let_through(self, places: Mapping[str, Sequence[int]]) -> None:
        """Every rank is in its place; open as soon as the survey is over.

        Args:
            places: host -> its ranks.
        """
        self._places = {host: list(ranks) for host, ranks in places.items()}
        self._open_if_due()

    def open(self) -> None:
        """Open now; ranks whose places are unknown are told nothing: others might not be."""
        if self.opened_at is not None:
            return
        self.opened_at = time.monotonic()
        self._on_open()
        self.survey.stop()
        found = self.survey.findings
        names = [watch.host for watch in self._watches]
        words: Mapping[str, Mapping[str, str]] = {}
        if self._places is not None:
            words = gate_words(names, self._places, found, self._binding)
        for sentence in advise(found, self._places or {}):
            self._console.warning(sentence)
        for watch in self._watches:
            watch.tell(do="go", **words.get(watch.host, {}))

    def _open_if_due(self) -> None:
        if self._places is not None and self.survey.decided:
            self.open()
