"""``POST /v1/chat/completions``: the hot route."""

from __future__ import annotations

import hashlib
import time
from typing import cast, get_args

from aiplat.domain.answers import (
    MAX_DEADLINE_MS,
    Finished,
    Privacy,
    Submission,
)
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.answers import Answers, begin_stream, next_batch
from aiplat.http.asgi import Headers, Request
from aiplat.http.openai_api.chunks import ChunkStream
from aiplat.http.openai_api.parsing import ChatRequest, parse_chat
from aiplat.http.openai_api.rendering import WholeAnswer
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings
from aiplat.roles.answering import Choices

DEADLINE_HEADER = b"x-aiplat-deadline-ms"
PRIVACY_HEADER = b"x-aiplat-privacy"


class Chat:
    """The route.

    Arguments:
        answers: the answers under way at this door.
        settings: bounds and pauses.
    """

    def __init__(self, answers: Answers, settings: HttpSettings) -> None:
        self._answers = answers
        self._settings = settings

    async def __call__(self, request: Request) -> None:
        """Answer one request, as a stream or whole."""
        asked = parse_chat(await read_json(request, self._settings), self._settings.max_choices)
        submissions = [
            Submission(
                id=choice_id(request.id, place),
                to="gateway",
                work=work,
                model=asked.model,
                deadline_ms=self._deadline(request),
                privacy=_privacy(request),
                credential=request.credential,
                beside=request.id if place else "",
            )
            for place, work in enumerate(asked.works())
        ]

        async def work(choices: Choices) -> None:
            if asked.stream:
                await self._stream(request, asked, choices)
            else:
                await self._whole(request, asked, choices)

        await self._answers.give_all(request, submissions, work)

    def _deadline(self, request: Request) -> int:
        """The answer's deadline in milliseconds: the request's header, or the setting."""
        text = request.header(DEADLINE_HEADER)
        if not text:
            return round(self._settings.deadline_seconds * 1000)
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

    async def _whole(self, request: Request, asked: ChatRequest, choices: Choices) -> None:
        whole = WholeAnswer(request.id, int(time.time()), asked.choices)
        end: Finished | None = None
        while not whole.is_complete:
            for place, batch in await choices.next():
                for event in batch:
                    whole.take(event, place)
                    end = event if isinstance(event, Finished) else end
        assert end is not None  # there is at least one choice, and it has ended
        headers = _measured(end, whole.attempts)
        await request.reply(200, whole.body(asked.model), headers=headers)

    async def _stream(self, request: Request, asked: ChatRequest, choices: Choices) -> None:
        """Write chunks as they come.

        The head waits for the first text, so that a failure before it has its proper status;
        but no longer than the pause after which a comment says that the stream lives.
        """
        chunks = ChunkStream(
            request.id, asked.model, int(time.time()), asked.include_usage, asked.choices
        )

        def comment() -> bytes:
            return f": {chunks.waiting}\n\n".encode()

        while not chunks.is_over:
            batches = await next_batch(request, choices, self._settings.comment_seconds, comment)
            data = b"".join(chunks.feed(batch, place) for place, batch in batches)
            if data:
                await begin_stream(request, _tried(chunks.attempts))
                await request.write(data, last=chunks.complete)
        if chunks.failed is not None:
            raise chunks.failed


def choice_id(request: str, place: int) -> str:
    """What a choice is called on its way: the first as the request, the others after it."""
    if not place:
        return request
    return f"req-{hashlib.sha256(f'{request}/{place}'.encode()).hexdigest()[:24]}"


def _privacy(request: Request) -> Privacy:
    """Who may read the prompt: the request's header, or anyone."""
    text = request.header(PRIVACY_HEADER) or "any"
    for allowed in get_args(Privacy):
        if text == allowed:
            return cast(Privacy, allowed)
    name = PRIVACY_HEADER.decode()
    raise InvalidRequest(
        f"{name} must be any, network or machine, but is {clip(text)!r}.", param=name
    )


def _measured(event: Finished, attempts: int | None) -> Headers:
    """The time in the queue and how many were tried, where somebody took it."""
    if not event.timings.total_ms:
        return ()
    queue = (b"x-aiplat-queue-ms", f"{event.timings.queue_ms:.1f}".encode())
    return (queue, *_tried(attempts))


def _tried(attempts: int | None) -> Headers:
    """How many were tried. Of a stream whose head had to go before, nobody knew it then."""
    return () if attempts is None else ((b"x-aiplat-attempts", str(attempts).encode()),)
