"""The line of requests that wait for a processor: first come, first served, and told why."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial

from aiplat.domain.answers import Queued
from aiplat.domain.errors import AiplatError
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.placing import Placing

Safely = Callable[[Callable[[Forwarding], None], Forwarding], None]


class Line:
    """Requests in the order in which they came. Its bound is kept by who lets them join.

    Arguments:
        placing: places them.
        safely: does a step with a request, so that its fault is that request's alone.
    """

    def __init__(self, placing: Placing, safely: Safely) -> None:
        self._placing = placing
        self._safely = safely
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

    def holds_back(self, model: str) -> bool:
        """Whether others wait already for what a new request for `model` needs."""
        return any(w.submission.model in ("", model) or not model for w in self._told)

    def move_up(self) -> None:
        """Place all that can be, in order; a busy model holds back no other. Then tell the rest.

        They are told here and not when they join: a sink hears nothing before `submit` returned.
        """
        full: set[tuple[str, str, bool]] = set()
        for forwarding in self:
            self._safely(partial(self._try, full), forwarding)
        for place, forwarding in enumerate(self):
            self._safely(partial(self._tell, place), forwarding)

    def _try(self, full: set[tuple[str, str, bool]], forwarding: Forwarding) -> None:
        if forwarding not in self._told:
            return  # it ended since
        submission = forwarding.submission
        alike = (submission.model, submission.privacy, forwarding.is_own)
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
