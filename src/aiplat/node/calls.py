"""Small questions over a channel: those that wait for a reply, and the replies to the peer's."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from aiplat.domain.answers import Failed
from aiplat.domain.errors import AiplatError, clip
from aiplat.node.incoming import INTERNAL
from aiplat.node.stuck import Owing
from aiplat.protocol.messages import Call, Reply

log = logging.getLogger("aiplat.node.channel")


class Calls:
    """The calls of this node that wait, by their numbers on the channel."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[trio.Event, list[Reply]]] = {}
        self.unanswered = Owing()

    async def wait(self, number: int, seconds: float) -> Reply | None:
        """The reply to a call; None when none came in time, or the channel ended."""
        arrived, replies = self._waiting[number] = (trio.Event(), [])
        self.unanswered.owes(number, trio.current_time())
        try:
            with trio.move_on_after(seconds):
                await arrived.wait()
        finally:
            self._waiting.pop(number, None)
        return replies[0] if replies else None

    def replied(self, number: int, reply: Reply) -> None:
        """A reply came; one that nobody waits for any more is dropped."""
        self.unanswered.settled(number)
        if number in self._waiting:
            arrived, replies = self._waiting[number]
            replies.append(reply)
            arrived.set()

    def end(self) -> None:
        """No reply will come."""
        for arrived, _ in self._waiting.values():
            arrived.set()


async def answer(handle: Callable[[Call], Awaitable[Reply]], call: Call, seconds: float) -> Reply:
    """The reply to a peer's call, whatever `handle` does with it within `seconds`."""
    try:
        with trio.fail_after(seconds):
            return await handle(call)
    except AiplatError as refusal:
        return Reply(failed=Failed.of(refusal))
    except Exception:
        log.exception("a handler failed", extra={"call": clip(call.method)})
        return Reply(failed=INTERNAL)
