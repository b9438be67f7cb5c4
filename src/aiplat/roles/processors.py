"""The live processors of a gateway: who came, what they announced, and who went."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Inference
from aiplat.domain.errors import clip
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.messages import Announce
from aiplat.protocol.offers import MAX_NOTE
from aiplat.roles.breaker import Breaker
from aiplat.roles.pool import MAX_NAMED, OwnProcessor, Pool, Processor, rank

MAX_REMEMBERED = 1000
"""Models that are gone, but were here in this gateway's life: their names are no mistakes."""


class Processors(Pool):
    """The table of them. A processor stays in it for as long as its channel lives: its lease.

    Arguments:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self._by_peer: dict[PeerId, Processor] = {}
        self._resting: dict[PeerId, dict[str, Breaker]] = {}
        self._held_back: dict[PeerId, int] = {}
        self._seen: OrderedDict[str, str] = OrderedDict()
        super().__init__(self._by_peer, now)

    def add(
        self,
        peer: PeerId,
        inference: Inference,
        latency: Callable[[], float],
        *,
        is_here: bool = False,
        is_member: bool = False,
        life: int = 0,
        own: OwnProcessor | None = None,
    ) -> None:
        """It came up; it offers nothing until it announced. What it failed at before still rests,
        and whom a person drained stays so until its next life, over however many channels.

        Arguments:
            inference: takes its requests; another for each of its lives.
            latency: gives the round trip, in seconds.
            is_here: whether it is in the gateway's own node.
            is_member: whether it is a certified member of the gateway's network.
            life: the incarnation of its node, which grows with each start.
            own: the processor itself, when it is in the gateway's own node.
        """
        is_held = self._held_back.get(peer) == life
        if not is_held:
            self._held_back.pop(peer, None)
        self._by_peer[peer] = Processor(
            peer, inference, latency, breakers=self._resting.pop(peer, {}),
            is_here=is_here, is_member=is_member, life=life, held_back=is_held, own=own,
        )  # fmt: skip

    def hold_back(self, peer: PeerId, *, off: bool = False) -> None:
        """A person drains it: nothing new in this life of its, whatever it says itself.

        Arguments:
            off: end that.
        """
        self._held_back.pop(peer, None)
        processor = self._by_peer.get(peer)
        if processor is not None:
            processor.held_back = not off
            if not off:
                self._held_back[peer] = processor.life

    def announced(self, peer: PeerId, announce: Announce) -> bool:
        """Replace what it offers; False when it is unknown or the revision is an old one."""
        processor = self._by_peer.get(peer)
        if processor is None or announce.revision <= processor.revision:
            return False
        processor.revision = announce.revision
        processor.offers = {offer.name: offer for offer in announce.models}
        processor.paused = clip(announce.paused, MAX_NOTE)
        processor.drains = announce.draining and not announce.paused
        self._remember(processor)
        return True

    def remove(self, peer: PeerId, inference: Inference, reason: str = "") -> bool:
        """It is gone. A later life of the same peer is another `inference` and stays.

        Arguments:
            reason: why, as a clause.
        """
        processor = self._by_peer.get(peer)
        if processor is None or processor.inference is not inference:
            return False
        del self._by_peer[peer]
        for name in processor.offers.keys() & self._seen.keys():
            self._seen[name] = f"the last that offered it, {short(peer)}, is gone: {reason}"
        self._keep_rests(processor)
        return True

    def was_here(self, model: str) -> bool:
        """Whether a model was offered in this gateway's life, so that it may come back."""
        return model in self._seen

    def why_nobody(self, model: str) -> str:
        """In words, why nobody takes requests for `model`, named or empty; empty if unknown."""
        drained = [p for p in self if p.draining and (model in p.offers if model else p.offers)]
        if drained:
            words = [_why_it_drains(p) for p in drained[:MAX_NAMED]]
            return f"who offers it takes nothing new: {', '.join(words)}"
        return self._seen.get(model or next(reversed(self._seen), ""), "")

    def models(self, *, own: bool = False) -> tuple[ModelStatus, ...]:
        """What can be asked for, those that are ready first.

        Arguments:
            own: by the gateway's own faces, which a pause of its own processor does not concern.
        """
        pool = self.within("any", own=own)
        statuses = [self._model(name, pool) for name in self.names()]
        return tuple(sorted(statuses, key=lambda status: (status.state != "ready", status.cold)))

    def _model(self, name: str, pool: Pool) -> ModelStatus:
        taking = pool.taking(name)
        offers = taking or self.offers(name)
        best = min(offers, key=rank)
        return ModelStatus(
            name=name,
            state=best.state if taking else "drained",
            processors=len(offers),
            slots=sum(offer.slots for offer in offers),
            running=sum(offer.running for offer in offers),
            waiting=sum(offer.waiting for offer in offers),
            context=best.manifest.context if best.manifest else 0,
            note=best.note if taking else self.why_nobody(name),
            cold=best.cold and bool(taking),
            can=best.can,
        )

    def _remember(self, processor: Processor) -> None:
        for name in processor.offers:
            self._seen[name] = ""
            self._seen.move_to_end(name)
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        _forget_old_models(processor, self._now())

    def _keep_rests(self, processor: Processor) -> None:
        """Who fails, goes and comes again is tried with one request all the same."""
        now = self._now()
        self._resting[processor.peer] = processor.breakers
        for peer, breakers in list(self._resting.items()):
            open_ones = {m: b for m, b in breakers.items() if not b.is_history(now)}
            if open_ones:
                self._resting[peer] = open_ones
            else:
                del self._resting[peer]


def _why_it_drains(processor: Processor) -> str:
    who = short(processor.peer)
    if processor.held_back:
        return f"{who} was drained here, until it is started again"
    if processor.paused:
        return f"{who} ({processor.paused})"
    return f"{who} drains by its own word"


def _forget_old_models(processor: Processor, now: float) -> None:
    """Else a peer that renames its models again and again fills the memory."""
    offers = processor.offers
    for name in [n for n in processor.measured if n not in offers]:
        del processor.measured[name]
    for name in [n for n, count in processor.in_flight.items() if not count and n not in offers]:
        del processor.in_flight[name]
    for name in [n for n, b in processor.breakers.items() if n not in offers and b.is_history(now)]:
        del processor.breakers[name]
