"""The line of requests that wait for a processor: those who ask take turns, and are told why.

Whoever asks has as many answers under way here as the others who wait, as far as they ask for as
many: nobody's hundred requests hold back another's one. A processor is as fair with those that it
has (`engine.fairness`), but a gateway sends it only a few more than it runs at once.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from aiplat.domain.answers import Queued, Submission
from aiplat.domain.errors import AiplatError
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.placing import Placing

Safely = Callable[[Callable[[Forwarding], None], Forwarding], None]


class Line:
    """Requests that wait. Its bound is kept by who lets them join.

    Arguments:
        placing: places them.
        safely: does a step with a request, so that its fault is that request's alone.
        under_way: all requests of the gateway; those that are placed count for who asked.
    """

    def __init__(
        self, placing: Placing, safely: Safely, under_way: Callable[[], Iterable[Forwarding]]
    ) -> None:
        self._placing = placing
        self._safely = safely
        self._under_way = under_way
        self._told: OrderedDict[Forwarding, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[Forwarding]:
        return iter(list(self._told))

    def join(self, forwarding: Forwarding, *, first: bool = False) -> None:
        """Wait at the end, or before all others: who was tried has waited its turn already."""
        self._told[forwarding] = ""
        if first:
            self._told.move_to_end(forwarding, last=False)

    def leave(self, forwarding: Forwarding) -> None:
        """Wait no more."""
        self._told.pop(forwarding, None)

    def holds_back(self, submission: Submission) -> bool:
        """Whether others wait already for what a new request needs."""
        model, needs = submission.model, submission.needs
        return any(
            (w.submission.model in ("", model) or not model) and w.submission.needs == needs
            for w in self._told
        )

    def move_up(self) -> None:
        """Place all that can be, in turn; a busy model holds back no other. Then tell the rest.

        They are told here and not when they join: a sink hears nothing before `submit` returned.
        """
        full: set[tuple[str, str, str, bool]] = set()
        for forwarding in self._in_turn():
            self._safely(partial(self._try, full), forwarding)
        for place, forwarding in enumerate(self._in_turn()):
            self._safely(partial(self._tell, place), forwarding)

    def to_displace(self, payer: str) -> Forwarding | None:
        """Who makes room in a full line for a newcomer of `payer`; None when nobody should.

        The last of whoever has most in it, if those are at least two more than the newcomer's: the
        shares in a full line become even, and nobody fills it alone. Who was tried already stays.
        """
        waiting: dict[str, list[Forwarding]] = {}
        for forwarding in self._told:
            waiting.setdefault(forwarding.payer, []).append(forwarding)
        most = max(waiting.values(), key=len, default=[])
        if len(most) < len(waiting.get(payer, ())) + 2 or most[-1].tried:
            return None
        return most[-1]

    def _in_turn(self) -> list[Forwarding]:
        """Those who wait, as they come to turn if nobody else comes and all are placed.

        First who was tried. Of the others who has the fewest under way, and then who came first.
        """
        has = Counter(one.payer for one in self._under_way() if one.is_placed)
        turns: list[tuple[int, int, Forwarding]] = []
        for place, forwarding in enumerate(self._told):
            turns.append((0 if forwarding.tried else 1 + has[forwarding.payer], place, forwarding))
            has[forwarding.payer] += not forwarding.tried
        return [forwarding for _, _, forwarding in sorted(turns, key=lambda turn: turn[:2])]

    def _try(self, full: set[tuple[str, str, str, bool]], forwarding: Forwarding) -> None:
        if forwarding not in self._told:
            return  # it ended since
        submission = forwarding.submission
        alike = (submission.model, submission.needs, submission.privacy, forwarding.is_own)
        kept = forwarding.kept
        if alike in full and not forwarding.tried and kept is not None and kept.tries:
            return  # one like it found no room a moment ago
        try:
            if self._placing.place(forwarding):
                self.leave(forwarding)
            elif not forwarding.tried:
                full.add(alike)
        except AiplatError as error:
            forwarding.fail(error)

    def _tell(self, place: int, forwarding: Forwarding) -> None:
        """Say why it waits, again when that changes, and from time to time."""
        model, pool = forwarding.submission.model, self._placing.pool(forwarding)
        why = pool.why_wait(model)
        if forwarding not in self._told:
            return  # it ended since
        if self._told[forwarding] != why or forwarding.is_long_untold:
            self._told[forwarding] = why
            forwarding.waits(Queued(place, round(pool.expected_wait(model) * 1000), why))
