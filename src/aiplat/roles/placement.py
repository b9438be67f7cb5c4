"""The choice of a processor: pure. Least expected wait, by what is announced and in flight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer

TYPICAL_ANSWER_TOKENS = 256
UNKNOWN_SPEED = 10.0
"""Tokens a second assumed of a processor that has not measured its own yet."""


class Candidate(NamedTuple):
    """A live processor that offers the model. `in_flight` is what this gateway placed there.

    `measured` are the tokens a second of one answer as this gateway saw them lately; 0 before
    the first. What a processor announces of itself counts only until then.
    """

    peer: PeerId
    offer: ModelOffer
    in_flight: int
    latency: float = 0.0
    measured: float = 0.0

    @property
    def speed(self) -> float:
        """Tokens a second that one answer gets."""
        return self.measured or self.offer.tokens_per_second or UNKNOWN_SPEED

    @property
    def load(self) -> int:
        """Requests it has: what it announced may be older than what we placed since."""
        return max(self.offer.running + self.offer.waiting, self.in_flight)

    @property
    def has_room(self) -> bool:
        """Whether to place now: its slots, and a few to follow at once when one becomes free."""
        slots = self.offer.slots
        return self.offer.takes_requests and self.load < slots + max(1, slots // 4)

    @property
    def load_seconds(self) -> float:
        """Until a model that is not there yet will be."""
        return 0.0 if self.offer.state == "ready" else self.offer.load_ms / 1000


def expected_wait(candidate: Candidate) -> float:
    """Seconds until a request placed now would start there: Little's law on its queue.

    A model that is not loaded yet is loaded first; until then its queue is nobody's.
    """
    if candidate.offer.slots == 0:
        return candidate.latency + candidate.load_seconds
    ahead = candidate.load - candidate.offer.slots + 1
    answer = TYPICAL_ANSWER_TOKENS / candidate.speed
    queue = max(0, ahead) * answer / max(1, candidate.offer.slots)
    return candidate.latency + candidate.load_seconds + queue


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those with room, the best first: the least expected wait; among equals the least loaded.

    Where the model is loaded already goes before where it is cold.
    """
    return sorted((c for c in candidates if c.has_room), key=_order)


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """The best of those with room; None when there is none."""
    return next(iter(ranked(candidates)), None)


def _order(candidate: Candidate) -> tuple[bool, float, float, float, str]:
    slots = max(1, candidate.offer.slots)
    # Rounded: a few milliseconds of latency must not pile everything on one processor.
    return (
        candidate.offer.cold,
        round(expected_wait(candidate), 1),
        candidate.load / slots,
        -candidate.speed,
        candidate.peer,
    )
