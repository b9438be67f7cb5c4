"""Somebody who asks a gateway over a channel of its own, and sees each event as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from aiplat.domain.answers import (
    DEFAULT_CREDIT,
    AnswerEvent,
    Delta,
    Failed,
    Finished,
    Submission,
)
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.node.channel import Channel
from aiplat.roles.requests import new_request_id
from tests.support.nodes import RunningNode
from tests.unit.node.helpers import Sink
from tests.unit.node.nodes import Peer, running

PROMPT = "one two three"


class Reader(Sink):
    """One request, and who reads its answer.

    Arguments:
        takes: grants credit for each token, and so reads on; else it takes its first window alone.
        enough: tokens after which it cancels; None for never.
    """

    def __init__(self, *, takes: bool = True, enough: int | None = None) -> None:
        super().__init__()
        self.request = ""
        self.seen: list[tuple[float, int]] = []
        """Moments (trio's clock), each with the tokens by then."""
        self.ended_at = 0.0
        self.cost = 0
        self._takes = takes
        self._enough = enough

    def ask(
        self, channel: Channel, tokens: int, *, key: str = "", credit: int = DEFAULT_CREDIT
    ) -> Reader:
        """Ask for so many tokens."""
        wish = Submission(
            id=new_request_id(), to="gateway", model="echo", credential=key, credit=credit,
            work=Generate((Message("user", PROMPT),), Sampling(max_tokens=tokens)),
        )  # fmt: skip
        self.request = wish.id
        self.asking = channel.submit(wish, self)
        return self

    def deliver(self, event: AnswerEvent) -> None:
        """Note it, and go on as one means to."""
        super().deliver(event)
        if isinstance(event, Finished | Failed):
            self.ended_at = trio.current_time()
        elif isinstance(event, Delta):
            self._took(event)

    def _took(self, delta: Delta) -> None:
        count = len(self.ids)
        self.cost += delta.cost
        self.seen.append((trio.current_time(), count))
        assert self.asking is not None
        if self._enough is not None and count >= self._enough:
            self.asking.cancel()
        elif self._takes:
            self.asking.accept(count, delta.cost)

    @property
    def tokens(self) -> int:
        """How many it got."""
        return len(self.ids)

    def tokens_before(self, moment: float) -> int:
        """How many it had at that moment."""
        return max((count for when, count in self.seen if when <= moment), default=0)


@asynccontextmanager
async def reaching(node: RunningNode, seconds: float = 120.0) -> AsyncIterator[Channel]:
    """A channel to a gateway from a client in this process."""
    client = Peer(roles=("client",))
    async with running(client, seconds=seconds):
        yield await client.node.reach(node.address)
