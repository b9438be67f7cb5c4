"""What both doors do with a request for an answer: who serves it, its deadline, its disconnect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import trio

from aiplat.control.ports import NodeOperations
from aiplat.domain.answers import Submission, check_submission
from aiplat.domain.errors import DeadlineExceeded, Overloaded
from aiplat.http.asgi import EVENT_STREAM, Headers, Request, race
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import Answer, Choices, answering, answering_all
from aiplat.telemetry.metrics import Metrics

_DOOR_SLACK = 0.5
"""Seconds past the deadline: who serves it ends it first, and names the stage that was slow."""

Batch = TypeVar("Batch", covariant=True)


class Source(Protocol[Batch]):
    """What a reading task takes events from: an `Answer` or `Choices`."""

    async def next(self) -> Batch:
        """All events that are there, at least one; waits for it."""


_STREAM_HEADERS: Headers = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


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

        async def run() -> None:
            inference = await self._operations.inference(peer)
            async with answering(inference, submission) as answer:
                under_way.append(answer)
                await work(answer)

        under_way: list[Answer | Choices] = []
        await self._give(request, (submission,), run, under_way)

    async def give_all(
        self,
        request: Request,
        submissions: Sequence[Submission],
        work: Callable[[Choices], Awaitable[None]],
    ) -> None:
        """The same for several answers to one request, which end together.

        Raises:
            AiplatError: one was refused, or took too long.
            ClientGone: the client left.
        """

        async def run() -> None:
            inference = await self._operations.inference("")
            async with answering_all(inference, submissions) as choices:
                under_way.append(choices)
                await work(choices)

        under_way: list[Answer | Choices] = []
        await self._give(request, submissions, run, under_way)

    async def _give(
        self,
        request: Request,
        submissions: Sequence[Submission],
        run: Callable[[], Awaitable[None]],
        under_way: list[Answer | Choices],
    ) -> None:
        for submission in submissions:
            check_submission(submission)
        if self._running + len(submissions) > self._settings.max_requests:
            if self._metrics is not None:
                self._metrics.bound_hits.labels("http_requests").inc()
            raise Overloaded(
                f"This node already gives {self._running} answers, as many as it may "
                "(http.max_requests).",
                retry_after=1.0,
            )
        self._running += len(submissions)
        try:
            await self._race(request, submissions[0].deadline_ms, run, under_way)
        finally:
            self._running -= len(submissions)

    async def _race(
        self,
        request: Request,
        deadline_ms: int,
        run: Callable[[], Awaitable[None]],
        under_way: list[Answer | Choices],
    ) -> None:
        def lost() -> None:
            for answer in under_way:
                answer.cancel()

        seconds = deadline_ms / 1000
        left = request.arrived + seconds + _DOOR_SLACK - trio.current_time()
        if not await race(request, run, seconds=max(0.0, left), on_lost=lost):
            raise DeadlineExceeded(
                f"The answer did not end within its deadline of {seconds:g} seconds."
            )


async def next_batch(
    request: Request,
    answer: Source[Batch],
    pause: float,
    comment: Callable[[], bytes],
    begin: Callable[[], Awaitable[None]] | None = None,
) -> Batch:
    """The next events of an answer that is streamed; writes a comment after each `pause`.

    Arguments:
        comment: makes it; an empty one is not written.
        begin: sends the stream's head, if it was not; None sends that of events.
    """
    while True:
        with trio.move_on_after(pause):
            return await answer.next()
        data = comment()
        if not data:
            continue
        await (begin() if begin is not None else begin_stream(request))
        await request.write(data)


async def begin_stream(
    request: Request, content_type: bytes = EVENT_STREAM, headers: Headers = ()
) -> None:
    """Send the head of a stream of that type with these headers, unless it was sent."""
    if not request.status:
        await request.begin(200, content_type, (*_STREAM_HEADERS, *headers))
