"""Why a request went where it went: kept for the last requests of a gateway, told when asked.

What is kept of a request is what the choice was made from, as it is; words are made on demand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiplat.control.messages import Choice, Explanation, Weighed
from aiplat.domain.answers import Failed, Finished, Submission
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.domain.ids import PeerId, short
from aiplat.roles.placement import Candidate, expected_wait
from aiplat.roles.standstill import meanwhile


@dataclass(slots=True)
class Tried:
    """One look at the candidates; `chosen` is None when none could be taken.

    `left_out` counts those that were looked at and are not among `candidates`. `model` is the
    one that was looked for, the gateway's default when none was named; `nobody` says in words
    why there are no candidates.
    """

    after: float
    candidates: tuple[Candidate, ...]
    chosen: PeerId | None
    refused: dict[PeerId, str]
    outcome: str = ""
    left_out: int = 0
    model: str = ""
    nobody: str = ""


@dataclass(slots=True)
class Kept:
    """What is kept of one request."""

    submission_id: str
    model: str
    privacy: str
    asker: PeerId | None
    tries: list[Tried] = field(default_factory=list)
    state: str = "waiting"
    outcome: str = ""


class Reasons:
    """The last requests.

    Arguments:
        gateway: whose choices they are.
        bound: how many are kept.
    """

    def __init__(self, gateway: PeerId, bound: int) -> None:
        self._gateway = gateway
        self._bound = bound
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        """The names of the requests, the oldest first."""
        return iter(self._kept)

    def begin(self, submission: Submission, asker: PeerId | None) -> Kept:
        """Keep a request from now on; the oldest is forgotten."""
        kept = Kept(submission.id, submission.model, submission.privacy, asker)
        self._kept[submission.id] = kept
        if len(self._kept) > self._bound:
            self._kept.popitem(last=False)
        return kept

    def explain(self, request: str, asker: PeerId | None = None) -> Explanation:
        """Tell of a request.

        Arguments:
            request: its name.
            asker: the peer that wants to know; None for this node's own faces, who may all.

        Raises:
            InvalidRequest: it is not among those kept, or was another's.
        """
        kept = self._kept.get(request)
        if kept is None or (asker is not None and kept.asker != asker):
            raise InvalidRequest(
                f"The gateway {short(self._gateway)} knows no request {clip(request)!r}. It keeps "
                f"the reasons of the last {self._bound} that it let in, since its start.",
                param="request",
            )
        return Explanation(
            request=request, model=kept.model, gateway=self._gateway, privacy=kept.privacy,
            choices=tuple(_choice(tried, named=bool(kept.model)) for tried in kept.tries),
            state=kept.state,  # type: ignore[arg-type]  # one of them
            outcome=kept.outcome,
        )  # fmt: skip


def ended(kept: Kept, end: Finished | Failed, *, stood_still: float = 0.0) -> None:
    """Note how a request ended.

    Arguments:
        stood_still: seconds of it in which the gateway itself did.
    """
    if isinstance(end, Finished):
        kept.state, kept.outcome = "finished", end.reason
    else:
        kept.state, kept.outcome = "failed", clip(end.message, 300) + meanwhile(stood_still)
    if kept.tries and not kept.tries[-1].outcome:
        kept.tries[-1].outcome = kept.outcome


def _choice(tried: Tried, *, named: bool) -> Choice:
    more = f" ({tried.left_out} more were looked at)" if tried.left_out else ""
    weighed = tuple(
        Weighed(
            processor=c.peer, chosen=c.peer == tried.chosen,
            expected_wait=round(expected_wait(c), 3), load=c.load, slots=c.offer.slots,
            tokens_per_second=round(c.speed, 1), latency=round(c.latency, 4),
            refused=tried.refused.get(c.peer, ""),
        )
        for c in tried.candidates
    )  # fmt: skip
    return Choice(
        after=round(tried.after, 3), processor=tried.chosen or "",
        reason=_default(tried, named) + _reason(tried) + more,
        weighed=weighed, outcome=tried.outcome,
    )  # fmt: skip


def _default(tried: Tried, named: bool) -> str:
    """Why it was that model, when who asked named none."""
    if named or not tried.model:
        return ""
    return f"no model was named, and the gateway's default is {tried.model!r}: "


def _reason(tried: Tried) -> str:
    if tried.chosen is None:
        if not tried.candidates:
            return tried.nobody or "no processor offers the model"
        return "no processor could take it: it waits"
    others = [c for c in tried.candidates if c.peer not in (*tried.refused, tried.chosen)]
    if not others:
        return "it was the only one that could take it"
    [taken] = [c for c in tried.candidates if c.peer == tried.chosen]
    least = min(expected_wait(c) for c in others)
    if round(expected_wait(taken), 1) < round(least, 1):
        return (
            f"its expected wait, {expected_wait(taken):.1f} s, is the least "
            f"(the next: {least:.1f} s)"
        )
    if taken.load / max(1, taken.offer.slots) < min(c.load / max(1, c.offer.slots) for c in others):
        return "among those that wait as little it has the least to do"
    return "among equals it is the fastest, or the first by name"
