"""Who has had how much, so that the one with the least is next. Pure.

The virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI
2024): each user (here a fairness tag) has a counter, raised by the tokens that are read and
written for it. Who comes back from idleness is lifted to the least of those that are active, so
that nobody saves up a claim by staying away.
"""

from __future__ import annotations

from collections import Counter

READ = 1.0
"""What a token of a prompt counts."""
WRITTEN = 2.0
"""What a token of an answer counts: the weights of the paper."""
_MOST_TAGS = 4096


class Fairness:
    """The counters of all tags that matter.

    Those of idle tags are kept up to a bound, the latest longest; one that is below the active
    ones is forgotten at once, for coming back it would be lifted to them anyway.
    """

    def __init__(self) -> None:
        self._counters: dict[str, float] = {}
        self._active: Counter[str] = Counter()
        self._floor = 0.0

    def began(self, tag: str) -> None:
        """A request of `tag` came."""
        if not self._active[tag]:
            self._counters[tag] = max(self._counters.pop(tag, 0.0), self._least())
        self._active[tag] += 1

    def ended(self, tag: str) -> None:
        """A request of `tag` is over."""
        self._active[tag] -= 1
        if self._active[tag]:
            return
        del self._active[tag]
        self._floor = self._counters.pop(tag)
        if self._floor > self._least():
            self._counters[tag] = self._floor  # as the latest of the idle
            if len(self._counters) - len(self._active) > _MOST_TAGS:
                del self._counters[next(tag for tag in self._counters if tag not in self._active)]

    def charge(self, tag: str, tokens: float) -> None:
        """Count what was done for `tag`, in weighted tokens."""
        self._counters[tag] += tokens

    def had(self, tag: str) -> float:
        """What `tag`, which is active, has had, in weighted tokens."""
        return self._counters[tag]

    def _least(self) -> float:
        counters = (self._counters[tag] for tag, count in self._active.items() if count)
        return min(counters, default=self._floor)
