"""Processors, and what a gateway reckons with when it looks at several of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiplat.domain.answers import AnswerSink, Asking, Inference, Privacy, Submission
from aiplat.domain.ids import PeerId
from aiplat.domain.models import Ability, ModelOffer
from aiplat.roles.breaker import Breaker
from aiplat.roles.placement import Candidate, expected_wait

_BEST_FIRST = ("ready", "loading", "cold", "failed")


def rank(offer: ModelOffer) -> int:
    """How near an offer is to an answer: the least is the best."""
    return _BEST_FIRST.index("cold" if offer.cold else offer.state)


MAX_NAMED = 3
"""Processors, or reasons of theirs, that a text names."""


class OwnProcessor(Protocol):
    """The processor of the gateway's own node: it is told who asks."""

    def submit(
        self, submission: Submission, sink: AnswerSink, asker: PeerId | None = None
    ) -> Asking:
        """Begin to answer; `asker` is None for the node's own faces."""


@dataclass
class Processor:
    """A processor that can be placed on: behind a channel, or in the same node.

    `latency` gives the round trip in seconds; `in_flight` counts by model what was placed here.
    `measured` are tokens a second of one answer, by model, as this gateway saw them: a mean in
    which each answer counts for a fifth; what the processor says of itself stays in `offers`.
    `is_here` says that it is in the gateway's own node, `is_member` that its certificate of the
    gateway's network was checked. `drains` is its own word, `held_back` that of a person here,
    `paused` why its owner lets it take nothing of others, in words. `own` is the same as
    `inference` in the gateway's own node. `life` is its node's incarnation.
    """

    peer: PeerId
    inference: Inference
    latency: Callable[[], float]
    offers: dict[str, ModelOffer] = field(default_factory=dict)
    revision: int = 0
    drains: bool = False
    held_back: bool = False
    in_flight: Counter[str] = field(default_factory=Counter)
    measured: dict[str, float] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    is_here: bool = False
    is_member: bool = False
    life: int = 0
    paused: str = ""
    own: OwnProcessor | None = None

    @property
    def draining(self) -> bool:
        """Whether nothing new is placed on it, but what its owner asks in the same node."""
        return self.drains or self.held_back or bool(self.paused)

    def takes(self, *, own: bool) -> bool:
        """Whether it takes requests of the gateway's own faces (`own`), or of others."""
        if own and self.own is not None:
            return not (self.drains or self.held_back)
        return not self.draining

    def submit(self, submission: Submission, sink: AnswerSink, asker: PeerId | None) -> Asking:
        """Hand it a request of that peer; None for the gateway's own faces."""
        if self.own is not None:
            return self.own.submit(submission, sink, asker)
        return self.inference.submit(submission, sink)

    def may_read(self, privacy: Privacy) -> bool:
        """Whether a request of that class may be shown to it. A hard rule: nothing widens it."""
        if privacy == "machine":
            return self.is_here
        return privacy == "any" or self.is_here or self.is_member

    def released(self, model: str) -> None:
        """A request that was placed here ended. A later life of the same peer counts its own."""
        self.in_flight[model] -= 1

    def saw(self, model: str, tokens_per_second: float) -> None:
        """An answer came at that speed."""
        old = self.measured.get(model)
        self.measured[model] = (
            tokens_per_second if old is None else old + (tokens_per_second - old) / 5
        )

    def rests(self, model: str, now: float) -> bool:
        """Whether it failed at a model lately and is not to have more of it yet."""
        breaker = self.breakers.get(model)
        return breaker is not None and not breaker.allows(now)

    def rests_for(self, model: str, now: float) -> float:
        """Seconds of its rest that are left."""
        breaker = self.breakers.get(model)
        return 0.0 if breaker is None else breaker.rests_for(now)


class Pool:
    """Live processors. `model` may be empty everywhere: it stands for any.

    Arguments:
        processors: by peer; it may change meanwhile.
        now: the clock, in seconds.
        own: whether it is for a request of the gateway's own faces.
        privacy: the class of that request: offers that would send it farther do not count.
        needs: what it asks of a model: offers of others do not count; None for anything.
    """

    def __init__(
        self,
        processors: Mapping[PeerId, Processor],
        now: Callable[[], float],
        *,
        own: bool = False,
        privacy: Privacy = "any",
        needs: Ability | None = None,
    ) -> None:
        self._processors = processors
        self._now = now
        self._own = own
        self._privacy = privacy
        self._needs = needs

    def __len__(self) -> int:
        return len(self._processors)

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._processors.values())

    def get(self, peer: PeerId | None) -> Processor | None:
        """The processor with that peer id, if it is live."""
        return None if peer is None else self._processors.get(peer)

    def within(self, privacy: Privacy, *, own: bool = False, needs: Ability | None = None) -> Pool:
        """Those that a request of that class may be shown to; the rest as for a new `Pool`."""
        if privacy == "any":
            if not own and needs == self._needs:
                return self
            return Pool(self._processors, self._now, own=own, needs=needs)
        may_read = {p.peer: p for p in self if p.may_read(privacy)}
        return Pool(may_read, self._now, own=own, privacy=privacy, needs=needs)

    # -- what they offer -----------------------------------------------------------------------

    def offers(self, model: str = "") -> list[ModelOffer]:
        """All offers of `model`."""
        return [o for p in self for o in self._of(p, model)]

    def taking(self, model: str = "") -> list[ModelOffer]:
        """The offers of `model` by those that do not drain."""
        return [o for p in self._taking() for o in self._of(p, model)]

    def _of(self, processor: Processor, model: str) -> list[ModelOffer]:
        """What it offers of `model` to requests of this class."""
        offers, needs = processor.offers.values(), self._needs
        return [
            o for o in offers
            if model in ("", o.name) and o.keeps_to(self._privacy)
            and (needs is None or needs in o.can)
        ]  # fmt: skip

    def _taking(self) -> Iterator[Processor]:
        return (p for p in self if p.takes(own=self._own))

    def names(self) -> list[str]:
        """The models that are offered, each once."""
        return list(dict.fromkeys(offer.name for offer in self.offers()))

    def default_model(self) -> str:
        """The first model that is ready, or else that loads, or is cold; empty for none."""
        offers = self.taking() or self.offers()
        best = min(offers, key=rank, default=None)
        return "" if best is None else best.name

    def may_come(self, model: str, tried: Collection[PeerId] = ()) -> bool:
        """Whether a processor that takes requests offers it, be it busy or still loading.

        Arguments:
            model: which.
            tried: who does not count.
        """
        return any(
            offer.state != "failed"
            for processor in self._taking()
            if processor.peer not in tried
            for offer in self._of(processor, model)
        )

    # -- how they stand ------------------------------------------------------------------------

    def candidates(self, model: str) -> list[Candidate]:
        """Who could run `model`, whether or not there is room now."""
        return [
            Candidate(
                p.peer, p.offers[model], p.in_flight[model], p.latency(), p.measured.get(model, 0.0)
            )
            for p in self._taking()
            if model in p.offers
        ]

    def ready(self, model: str) -> list[Processor]:
        """Who takes requests for `model` and has it ready or will load it for one, busy or not."""
        return [
            p for p in self._taking()
            if any(o.takes_requests for o in self._of(p, model) if o.name == model)
        ]  # fmt: skip

    def expected_wait(self, model: str) -> float:
        """Seconds until a new request for `model` would start; 0 while nothing is known."""
        now, name = self._now(), model or self.default_model()
        waits = [
            max(expected_wait(candidate), processor.rests_for(name, now))
            for candidate in self.candidates(name)
            if candidate.offer.state != "failed"
            and (processor := self.get(candidate.peer)) is not None
        ]
        return min(waits, default=0.0)

    def why_wait(self, model: str) -> str:
        """In words, what a request for `model` waits for."""
        now, name = self._now(), model or self.default_model()
        ready = self.ready(name)
        resting = [p for p in ready if p.rests(name, now)]
        if ready:
            return _why_not_ready_ones(len(ready), len(resting))
        if not self.taking(name) and self.offers(name):
            return self._why_not_taking(name)
        notes = [offer.note or "the model is loading" for offer in self.taking(name)]
        return notes[0] if notes else "no processor is connected yet"

    def _why_not_taking(self, model: str) -> str:
        """Why none of those that offer it takes a request."""
        paused = dict.fromkeys(p.paused for p in self if model in p.offers)
        if not all(paused):
            return "the processor is drained, or shuts down"
        return f"no processor takes requests now: {', '.join(list(paused)[:MAX_NAMED])}"


def _why_not_ready_ones(ready: int, resting: int) -> str:
    """Why none of those that are ready takes a request."""
    if not resting:
        return "all processors are busy"
    if resting < ready:
        return (
            f"{ready - resting} of {ready} processors are busy, and the rest failed lately and "
            "pause before they are tried again"
        )
    if ready == 1:
        return "the only processor failed lately, and pauses before it is tried again"
    return f"all {ready} processors failed lately, and pause before they are tried again"
