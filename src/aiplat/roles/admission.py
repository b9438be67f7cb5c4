"""What a gateway says no to, at once and before any work; and in which words."""

from __future__ import annotations

from aiplat.domain.answers import Submission
from aiplat.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    UnsupportedParameter,
    clip,
)
from aiplat.domain.ids import PeerId, short
from aiplat.roles.abilities import WORDS, not_made_for
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.pool import Pool
from aiplat.roles.processors import Processors
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.metrics import Metrics


def refuse_what_is_not_an_askers(submission: Submission) -> None:
    """Raise `InvalidRequest` for what a gateway alone may say to a processor.

    An answer's beginning is read like a prompt, but is none: what a processor tells of the prompt
    would not hold it, so nobody would count it.
    """
    if submission.resume is not None:
        raise InvalidRequest(
            f"resume is a gateway's own word to a processor, and this request brings "
            f"{len(submission.resume.ids)} tokens in it: ask without it, and send what was said as "
            "a message of the assistant.",
            param="resume",
        )


class Admission:
    """The refusals of one gateway.

    Arguments:
        gateway: its peer id, for the words.
    """

    def __init__(
        self, gateway: PeerId, processors: Processors, settings: GatewaySettings, metrics: Metrics
    ) -> None:
        self._gateway = gateway
        self._processors = processors
        self._settings = settings
        self._metrics = metrics

    def follow(self, settings: GatewaySettings) -> None:
        """Refuse by these from now on."""
        self._settings = settings

    def check(self, submission: Submission, asker: PeerId | None, under_way: int) -> None:
        """Let a request in.

        Arguments:
            asker: the peer that asks; None for this node's own faces.
            under_way: requests that the gateway has already.

        Raises:
            AiplatError: it is wrong, over a bound, for a model that nobody here has, or more
                private than anyone here.
        """
        if under_way >= self._settings.max_requests:
            raise self.full("gateway_requests", "under way", self._settings.max_requests)
        model, known = submission.model, self._processors.names()
        if model and known and model not in known and not self._processors.was_here(model):
            raise ModelNotFound.of(model, known, where="in this network")
        self._check_ability(submission)
        self._check_privacy(submission, asker)

    def _check_ability(self, submission: Submission) -> None:
        """Refuse at once what a model that is here was not made for; another may be."""
        offers, needs = self._processors.offers(submission.model), submission.needs
        if not submission.model or not offers or any(needs in offer.can for offer in offers):
            return
        able = dict.fromkeys(o.name for o in self._processors.offers() if needs in o.can)
        raise UnsupportedParameter(
            not_made_for(submission.model, offers[0].can, needs, list(able)), param="model"
        )

    def _check_privacy(self, submission: Submission, asker: PeerId | None) -> None:
        """A hard rule: what may not leave the machine is refused rather than sent."""
        if submission.privacy != "machine":
            return
        if asker is not None:
            raise self._too_private(submission, "came from another machine")
        pool = self._processors.within("machine", needs=submission.needs)
        if not pool.offers(submission.model):
            raise self._too_private(submission, "has no processor here")

    def _too_private(self, submission: Submission, where: str) -> NoProcessor:
        what = f" for the model {submission.model!r}" if submission.model else ""
        return NoProcessor(
            f"The request is private to its machine, and {where}{what}: it is sent nowhere "
            "else. Serve the model on the machine that asks, or allow --privacy network."
        )

    def full(self, bound: str, what: str, limit: int) -> Overloaded:
        """A bound of the gateway's is reached; it is counted."""
        self._metrics.bound_hits.labels(bound).inc()
        return Overloaded(
            f"This gateway has {limit} request{'s' * (limit != 1)} {what}, which is its bound. Try "
            "again in a moment.",
            retry_after=2,
        )

    def nobody(self, submission: Submission) -> NoProcessor:
        """Nobody came who could serve a request, or who may read it."""
        model = submission.model
        pool = self._processors.within(submission.privacy, needs=submission.needs)
        if submission.privacy == "machine":
            return self._too_private(submission, "has no processor here that takes it")
        what = f"the model {model!r}" if model else WORDS[submission.needs].any_model
        notes = {offer.note for offer in pool.taking(model) if offer.note}
        if not self._processors.taking(model):
            notes.add(self._processors.why_nobody(model))
            notes.discard("")
        why = f" ({'; '.join(sorted(notes))})" if notes else ""
        if submission.privacy == "network" and self._processors.may_come(model):
            return NoProcessor(
                f"The request is private to the network, and no certified member of it that is "
                f"connected to the gateway {short(self._gateway)} can serve {what}{why}: it is "
                "sent to nobody else. Let the processors join a network, or allow --privacy any."
            )
        return NoProcessor(
            f"No processor that can serve {what} and takes requests is connected to the gateway "
            f'{short(self._gateway)}{why}. Start one, "aiplat serve --role processor", on a '
            "machine of its network (or in another home of this machine, with --peer and the "
            "gateway's address), or try again when one is back.",
            retry_after=5,
        )


def waited_in_vain(forwarding: Forwarding, error: DeadlineExceeded, pool: Pool) -> DeadlineExceeded:
    """The end of a request that waited for a processor until its deadline: says for what.

    Arguments:
        error: names the deadline.
        pool: who may have it.
    """
    model, failed = forwarding.submission.model, forwarding.last_failure
    last = f" It was tried once, and failed: {clip(failed.message, 200)}" if failed else ""
    return DeadlineExceeded(
        f"{error} Until then: {pool.why_wait(model)}.{last}",
        retry_after=max(1.0, round(pool.expected_wait(model), 1)),
    )
