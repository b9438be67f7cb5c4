"""What a gateway knows of its processors: what they offer, and what it placed on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Inference
from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer
from aiplat.protocol.messages import Announce
from aiplat.roles.breaker import Breaker
from aiplat.roles.placement import Candidate, expected_wait


@dataclass
class Processor:
    """A processor that can be placed on: behind a channel, or in the same node.

    `latency` gives the round trip in seconds; `in_flight` counts by model what was placed here.
    `measured` are tokens a second of one answer, by model, as this gateway saw them: a mean in
    which each answer counts for a fifth. `is_here` says that it is in the gateway's own node.
    """

    peer: PeerId
    inference: Inference
    latency: Callable[[], float]
    offers: dict[str, ModelOffer] = field(default_factory=dict)
    revision: int = 0
    draining: bool = False
    in_flight: Counter[str] = field(default_factory=Counter)
    measured: dict[str, float] = field(default_factory=dict)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    is_here: bool = False

    def released(self, model: str) -> None:
        """A request that was placed here ended. A later life of the same peer counts its own."""
        self.in_flight[model] -= 1

    def saw(self, model: str, tokens_per_second: float) -> None:
        """An answer came at that speed."""
        old = self.measured.get(model)
        self.measured[model] = (
            tokens_per_second if old is None else old + (tokens_per_second - old) / 5
        )


class Processors:
    """The live processors of a gateway. `model` may be empty everywhere: it stands for any."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerId, Processor] = {}

    def __len__(self) -> int:
        return len(self._by_peer)

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._by_peer.values())

    def get(self, peer: PeerId | None) -> Processor | None:
        """The processor with that peer id, if it is live."""
        return None if peer is None else self._by_peer.get(peer)

    def add(
        self,
        peer: PeerId,
        inference: Inference,
        latency: Callable[[], float],
        *,
        is_here: bool = False,
    ) -> None:
        """It came up; it offers nothing until it announced."""
        self._by_peer[peer] = Processor(peer, inference, latency, is_here=is_here)

    def announced(self, peer: PeerId, announce: Announce) -> bool:
        """Replace what it offers; False when it is unknown or the revision is an old one."""
        processor = self._by_peer.get(peer)
        if processor is None or announce.revision <= processor.revision:
            return False
        processor.revision = announce.revision
        processor.offers = {offer.name: offer for offer in announce.models}
        processor.draining = announce.draining
        return True

    def remove(self, peer: PeerId, inference: Inference) -> bool:
        """It is gone. A later life of the same peer is another `inference` and stays."""
        processor = self._by_peer.get(peer)
        if processor is None or processor.inference is not inference:
            return False
        del self._by_peer[peer]
        return True

    def candidates(self, model: str) -> list[Candidate]:
        """Who could run `model`, whether or not there is room now."""
        return [
            Candidate(
                p.peer,
                p.offers[model],
                p.in_flight[model],
                p.latency(),
                p.measured.get(model, 0.0),
            )
            for p in self._by_peer.values()
            if model in p.offers and not p.draining
        ]

    def offers(self, model: str = "") -> list[ModelOffer]:
        """All offers of `model`."""
        return [
            offer
            for processor in self._by_peer.values()
            for offer in processor.offers.values()
            if model in ("", offer.name)
        ]

    def _taken_by(self, model: str) -> list[ModelOffer]:
        """The offers of `model` by processors that do not drain."""
        return [
            offer
            for processor in self._by_peer.values()
            if not processor.draining
            for offer in processor.offers.values()
            if model in ("", offer.name)
        ]

    def names(self) -> list[str]:
        """The models that are offered, each once."""
        return list(dict.fromkeys(offer.name for offer in self.offers()))

    def may_come(self, model: str, tried: Collection[PeerId] = ()) -> bool:
        """Whether a processor that takes requests offers it, be it busy or still loading.

        Arguments:
            model: which.
            tried: who does not count.
        """
        return any(
            offer.state != "failed"
            for processor in self._by_peer.values()
            if not processor.draining and processor.peer not in tried
            for offer in processor.offers.values()
            if model in ("", offer.name)
        )

    def default_model(self) -> str:
        """The first model that is ready, or else the first that there is; empty for none."""
        offers = self.offers()
        ready = [offer.name for offer in offers if offer.state == "ready"]
        return next(iter(ready), offers[0].name if offers else "")

    def why_wait(self, model: str) -> str:
        """In words, what a request for `model` waits for."""
        offers = self._taken_by(model)
        if any(offer.state == "ready" for offer in offers):
            return "all processors are busy"
        if not offers and self.offers(model):
            return "the processor is shutting down"
        notes = [offer.note or "the model is loading" for offer in offers]
        return notes[0] if notes else "no processor is connected yet"

    def expected_wait(self, model: str) -> float:
        """Seconds until a new request for `model` would start; 0 while nothing is known."""
        candidates = self.candidates(model or self.default_model())
        waits = [expected_wait(c) for c in candidates if c.offer.state == "ready"]
        return min(waits, default=0.0)

    def models(self) -> tuple[ModelStatus, ...]:
        """What can be asked for, those that are ready first."""
        statuses = [self._model(name) for name in self.names()]
        return tuple(sorted(statuses, key=lambda status: status.state != "ready"))

    def _model(self, name: str) -> ModelStatus:
        offers = self.offers(name)
        best = min(offers, key=lambda offer: ("ready", "loading", "failed").index(offer.state))
        return ModelStatus(
            name=name,
            state=best.state,
            processors=len(offers),
            slots=sum(offer.slots for offer in offers),
            running=sum(offer.running for offer in offers),
            waiting=sum(offer.waiting for offer in offers),
            context=best.manifest.context if best.manifest else 0,
            note=best.note,
        )
