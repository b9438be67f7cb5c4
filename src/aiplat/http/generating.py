"""From works of any door's API to their answers: submitted, gathered whole or written as a stream.

An API is a translation beside this: it makes works of a body, and bytes of what was said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, cast, get_args

from aiplat.domain.answers import (
    DEFAULT_CREDIT,
    MAX_DEADLINE_MS,
    AnswerEvent,
    Finished,
    Privacy,
    Submission,
)
from aiplat.domain.chat import Embed, Generate
from aiplat.domain.errors import AiplatError, InvalidRequest, clip
from aiplat.http.answers import Answers, begin_stream, next_batch
from aiplat.http.asgi import EVENT_STREAM, Headers, Request
from aiplat.http.said import Said
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import Choices

DEADLINE_HEADER = b"x-aiplat-deadline-ms"
PRIVACY_HEADER = b"x-aiplat-privacy"
_EMBED_CREDIT = 512 * 1024
"""So that a vector of up to 65,536 numbers is half a window at most."""


class EventStream(Protocol):
    """Turns batches of events into what one API writes.

    Attributes:
        failed: the error that ended the answer; what came before it is still written.
        complete: the answer ended well, and everything of it was fed.
        attempts: how many processors were tried; None while nobody works on it.
    """

    failed: AiplatError | None
    complete: bool
    attempts: int | None

    def feed(self, events: Sequence[AnswerEvent], index: int = 0) -> bytes:
        """Write a batch of the choice `index`; nothing when there is nothing to say."""

    def comment(self) -> bytes:
        """What keeps a waiting stream alive; empty where the format has no such thing."""


class Generating:
    """Gives answers to the requests of one door.

    Arguments:
        answers: those under way.
        settings: bounds and pauses.
    """

    def __init__(self, answers: Answers, settings: HttpSettings) -> None:
        self._answers = answers
        self._settings = settings

    async def whole(
        self, request: Request, works: Sequence[Generate | Embed], model: str
    ) -> list[Said]:
        """Have all works done, and gather what is said to each.

        Raises:
            AiplatError: one failed.
            ClientGone: the client left.
        """
        gathered = [Said() for _ in works]

        async def work(choices: Choices) -> None:
            while not all(said.is_complete for said in gathered):
                for place, batch in await choices.next():
                    for event in batch:
                        gathered[place].take(event)

        await self._answers.give_all(request, self._submissions(request, works, model), work)
        return gathered

    async def stream(
        self,
        request: Request,
        works: Sequence[Generate],
        model: str,
        stream: EventStream,
        content_type: bytes = EVENT_STREAM,
    ) -> None:
        """Write what is said to all works, as it comes.

        The head waits for the first that is written, so that a failure before it has its proper
        status; but no longer than the pause after which a comment says that the stream lives.

        Raises:
            AiplatError: one failed.
            ClientGone: the client left.
        """

        async def begin(headers: Headers = ()) -> None:
            await begin_stream(request, content_type, headers)

        async def work(choices: Choices) -> None:
            while not stream.complete and stream.failed is None:
                batches = await next_batch(
                    request, choices, self._settings.comment_seconds, stream.comment, begin
                )
                data = b"".join(stream.feed(batch, place) for place, batch in batches)
                if data:
                    await begin(tried(stream.attempts))
                    await request.write(data, last=stream.complete)
            if stream.failed is not None:
                raise stream.failed

        try:
            await self._answers.give_all(request, self._submissions(request, works, model), work)
        finally:
            stream.failed = None  # it holds its frames, and they the stream

    def _submissions(
        self, request: Request, works: Sequence[Generate | Embed], model: str
    ) -> list[Submission]:
        deadline, privacy = deadline_of(request, self._settings), privacy_of(request)
        return [
            Submission(
                id=choice_id(request.id, place),
                to="gateway",
                work=work,
                model=model,
                deadline_ms=deadline,
                privacy=privacy,
                credential=request.credential,
                beside=_beside(request.id, works, place),
                credit=_EMBED_CREDIT if isinstance(work, Embed) else DEFAULT_CREDIT,
            )
            for place, work in enumerate(works)
        ]


def _beside(request: str, works: Sequence[Generate | Embed], place: int) -> str:
    """The first choice that continues the same as the one at `place`, if that is another."""
    work = works[place]
    if not isinstance(work, Generate):
        return ""
    for earlier, other in enumerate(works[:place]):
        if isinstance(other, Generate) and _asks_the_same(work, other):
            return choice_id(request, earlier)
    return ""


def _asks_the_same(work: Generate, other: Generate) -> bool:
    return work.messages is other.messages and work.prompt == other.prompt


def deadline_of(request: Request, settings: HttpSettings) -> int:
    """An answer's deadline in milliseconds: the request's header, or the setting."""
    text = request.header(DEADLINE_HEADER)
    if not text:
        return round(settings.deadline_seconds * 1000)
    name = DEADLINE_HEADER.decode()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidRequest(
            f"{name} must be a whole number of milliseconds, but is {clip(text)!r}.", param=name
        )
    if not 1 <= int(text) <= MAX_DEADLINE_MS:
        raise InvalidRequest(
            f"{name} must be from 1 to {MAX_DEADLINE_MS}, but is {int(text)}.", param=name
        )
    return int(text)


def privacy_of(request: Request) -> Privacy:
    """Who may read the prompt: the request's header, or anyone."""
    text = request.header(PRIVACY_HEADER) or "any"
    for allowed in get_args(Privacy):
        if text == allowed:
            return cast(Privacy, allowed)
    name = PRIVACY_HEADER.decode()
    raise InvalidRequest(
        f"{name} must be any, network or machine, but is {clip(text)!r}.", param=name
    )


def choice_id(request: str, place: int) -> str:
    """What a choice is called on its way: the first as the request, the others after it."""
    if not place:
        return request
    return f"req-{hashlib.sha256(f'{request}/{place}'.encode()).hexdigest()[:24]}"


def call_id(request: str, place: int, index: int) -> str:
    """What a tool's call is called: the `index`-th of the choice at `place`."""
    return f"call_{hashlib.sha256(f'{request}/{place}/{index}'.encode()).hexdigest()[:24]}"


def measured(end: Finished, attempts: int | None) -> Headers:
    """The time in the queue and how many were tried, where somebody took it."""
    if not end.timings.total_ms:
        return ()
    queue = (b"x-aiplat-queue-ms", f"{end.timings.queue_ms:.1f}".encode())
    return (queue, *tried(attempts))


def tried(attempts: int | None) -> Headers:
    """How many were tried. Of a stream whose head had to go before, nobody knew it then."""
    return () if attempts is None else ((b"x-aiplat-attempts", str(attempts).encode()),)
