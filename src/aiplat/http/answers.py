"""What both doors do with a request for an answer: who serves it, its deadline, its disconnect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from aiplat.control.ports import NodeOperations
from aiplat.domain.answers import AnswerEvent, Submission, check_submission
from aiplat.domain.errors import DeadlineExceeded, Overloaded
from aiplat.http.asgi import EVENT_STREAM, Headers, Request, race
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import Answer, answering
from aiplat.telemetry.metrics import Metrics

_DOOR_SLACK = 0.5
"""Seconds past the deadline: who serves it ends it first, and names the stage that was slow."""

STREAM_HEADERS: Headers = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class Answers:
    """The answers that one door has under way.

    Arguments:
        operations: the node.
        settings: bounds.
        metrics: where refusals for a bound are counted, if they are.
    """

    def __init__(
        self, operations: NodeOperations, settings: HttpSettings, metrics: Metrics | None = None
    ) -> None:
        self._operations = operations
        self._settings = settings
        self._metrics = metrics
        self._running = 0

    async def give(
        self,
        request: Request,
        submission: Submission,
        work: Callable[[Answer], Awaitable[None]],
        *,
        peer: str = "",
    ) -> None:
        """Submit, and let `work` write what comes.

        When the client leaves, or the deadline passes, the answer is cancelled at once.

        Raises:
            AiplatError: it was refused, or took too long.
            ClientGone: the client left.
        """
        check_submission(submission)
        if self._running >= self._settings.max_requests:
            if self._metrics is not None:
                self._metrics.bound_hits.labels("http_requests").inc()
            raise Overloaded(
                f"This node already gives {self._running} answers, as many as it may "
                "(http.max_requests).",
                retry_after=1.0,
            )
        self._running += 1
        try:
            await self._race(request, submission, work, peer)
        finally:
            self._running -= 1

    async def _race(
        self,
        request: Request,
        submission: Submission,
        work: Callable[[Answer], Awaitable[None]],
        peer: str,
    ) -> None:
        under_way: list[Answer] = []

        async def run() -> None:
            inference = await self._operations.inference(peer)
            async with answering(inference, submission) as answer:
                under_way.append(answer)
                await work(answer)

        def lost() -> None:
            for answer in under_way:
                answer.cancel()

        seconds = submission.deadline_ms / 1000
        left = request.arrived + seconds + _DOOR_SLACK - trio.current_time()
        if not await race(request, run, seconds=max(0.0, left), on_lost=lost):
            raise DeadlineExceeded(
                f"The answer did not end within its deadline of {seconds:g} seconds."
            )


async def next_batch(
    request: Request, answer: Answer, pause: float, comment: Callable[[], bytes]
) -> list[AnswerEvent]:
    """The next events of an answer that is streamed; writes a comment after each `pause`."""
    while True:
        with trio.move_on_after(pause):
            return await answer.next()
        await begin_stream(request)
        await request.write(comment())


async def begin_stream(request: Request, headers: Headers = ()) -> None:
    """Send the head of a stream of events with these headers, unless it was sent."""
    if not request.status:
        await request.begin(200, EVENT_STREAM, (*STREAM_HEADERS, *headers))
