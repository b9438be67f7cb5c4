"""Handing a request to a processor: who may have it, who is best, and what is noted of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import msgspec

from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, clip
from aiplat.domain.ids import PeerId, short
from aiplat.roles import reasons
from aiplat.roles.abilities import WORDS
from aiplat.roles.breaker import Breaker
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.placement import Candidate, ranked
from aiplat.roles.pool import Pool, Processor
from aiplat.roles.processors import Processors
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.gateway")


class Placing:
    """Places requests on the processors of one gateway.

    Arguments:
        now: the clock, in seconds.
        tag: what processors are told of whom a request counts for, so that they can be fair.
    """

    def __init__(
        self,
        processors: Processors,
        settings: GatewaySettings,
        metrics: Metrics,
        now: Callable[[], float],
        tag: Callable[[str], str],
    ) -> None:
        self._processors = processors
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._tag = tag

    def follow(self, settings: GatewaySettings) -> None:
        """Place by these from now on."""
        self._settings = settings

    def pool(self, forwarding: Forwarding) -> Pool:
        """Who may read a request; a pause of this node's own processor is for others."""
        submission = forwarding.submission
        return self._processors.within(
            submission.privacy, own=forwarding.is_own, needs=submission.needs
        )

    def place(self, forwarding: Forwarding) -> bool:
        """Hand it to the best processor that takes it; False when it has to wait.

        Raises:
            AiplatError: a processor refused it for what it is, which no other would mend.
        """
        model = forwarding.submission.model or self.pool(forwarding).default_model()
        candidates = self._processors.within("any", own=forwarding.is_own).candidates(model)
        refused = self._refused(forwarding, candidates, model)
        best_first = ranked(c for c in candidates if c.peer not in refused)
        seen = (*best_first, *(c for c in candidates if c.peer in refused))
        for choice in best_first:
            processor = self._processors.get(choice.peer)
            assert processor is not None  # candidates are made of live ones, without a pause
            try:
                self._hand_over(forwarding, processor, model)
            except AiplatError as error:
                if not error.recoverable:
                    raise
                refused[choice.peer] = str(error)
                self._metrics.route_attempts.labels("refused").inc()
            else:
                self._note(forwarding, model, seen, refused, choice)
                return True
        self._note(forwarding, model, seen, refused, None)
        return False

    def may_move(self, forwarding: Forwarding, failed: Failed) -> bool:
        """Whether a request that failed can wait for another processor; it is noted so."""
        model = forwarding.model
        if not any(p.peer not in forwarding.tried for p in self.pool(forwarding).ready(model)):
            return False
        if forwarding.kept is not None and forwarding.kept.tries:
            forwarding.kept.tries[-1].outcome = clip(failed.message, 300)
            forwarding.kept.state = "waiting"
        self._metrics.route_attempts.labels("retried").inc()
        log.info(
            "request %s is tried elsewhere: %s", forwarding.submission.id,
            clip(failed.message, 200), extra={"request": forwarding.submission.id},
        )  # fmt: skip
        return True

    def _refused(
        self, forwarding: Forwarding, candidates: list[Candidate], model: str
    ) -> dict[PeerId, str]:
        """Who may not have it, and why."""
        refused = {}
        for candidate in candidates:
            processor = self._processors.get(candidate.peer)
            assert processor is not None
            why = self._why_not(forwarding, candidate, processor, model)
            if why:
                refused[candidate.peer] = why
        return refused

    def _why_not(
        self, forwarding: Forwarding, candidate: Candidate, processor: Processor, model: str
    ) -> str:
        privacy, now = forwarding.submission.privacy, self._now()
        if not processor.may_read(privacy) or not candidate.offer.keeps_to(privacy):
            return f"the request may not leave its {privacy}"
        if (needs := forwarding.submission.needs) not in candidate.offer.can:
            return WORDS[needs].cannot
        if candidate.peer in forwarding.tried:
            return "it was tried, and failed"
        if processor.rests(model, now):
            left = processor.rests_for(model, now)
            return (
                f"it failed lately and rests for {left:.1f} s" if left
                else "it failed lately, and one request tries it"
            )  # fmt: skip
        if not candidate.has_room:
            return f"it is {candidate.offer.state}, and has no room"
        return ""

    def _note(
        self,
        forwarding: Forwarding,
        model: str,
        seen: tuple[Candidate, ...],
        refused: dict[PeerId, str],
        chosen: Candidate | None,
    ) -> None:
        """Keep what the choice was made from; of many processors only the best and the chosen."""
        kept, most = forwarding.kept, self._settings.explain_processors
        if kept is None:
            return
        named = (
            seen[:most] if chosen is None or chosen in seen[:most] else (chosen, *seen[: most - 1])
        )
        words = {c.peer: refused[c.peer] for c in named if c.peer in refused}
        after, peer = (
            self._now() - forwarding.stages.arrived,
            None if chosen is None else chosen.peer,
        )
        tried = reasons.Tried(
            after, named, peer, words, left_out=len(seen) - len(named), model=model,
            nobody="" if seen else self._processors.why_nobody(model),
        )  # fmt: skip
        if kept.tries and kept.tries[-1].chosen is None:
            kept.tries[-1] = tried  # it waited; how it looked meanwhile is of no use
        else:
            kept.tries.append(tried)
        if chosen is not None:
            kept.state = "running"

    def _hand_over(self, forwarding: Forwarding, processor: Processor, model: str) -> None:
        # A processor needs no key of the user's: the gateway answers for the request.
        submission = msgspec.structs.replace(
            forwarding.submission, to="processor", model=model, credential="",
            deadline_ms=max(1, forwarding.milliseconds_left()),
            fairness=self._tag(forwarding.payer),  # what the asker wrote there counts nothing
            beside="",
            resume=None,  # no request begins in the middle; that is never its asker's word
        )  # fmt: skip
        asking = processor.submit(submission, forwarding.attempt(), forwarding.user)
        turn = self._breaker(processor, model).placed()
        forwarding.placed(processor.peer, model, asking, partial(processor.released, model), turn)
        processor.in_flight[model] += 1
        waited = forwarding.stages.timings(self._now()).queue_ms
        self._metrics.queue_wait.observe(waited / 1000)
        log.debug(
            "request %s placed on %s", forwarding.submission.id, short(processor.peer),
            extra={"request": forwarding.submission.id, "processor": processor.peer,
                   "model": model, "queue_ms": round(waited, 1), "sign": "🔄"},
        )  # fmt: skip

    def _breaker(self, processor: Processor, model: str) -> Breaker:
        breaker = processor.breakers.get(model)
        if breaker is None:
            limits = self._settings
            breaker = Breaker(limits.rest_seconds, limits.longest_rest_seconds)
            processor.breakers[model] = breaker
        return breaker
