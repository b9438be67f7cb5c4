"""``POST /v1/responses`` and ``POST /v1/responses/input_tokens``."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from aiplat.control.stored import StoredAnswer
from aiplat.domain.chat import Generate
from aiplat.domain.errors import AiplatError, EngineFailed, RequestTooLarge
from aiplat.http.asgi import ClientGone, Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.openai_api.responses.answering import Answering
from aiplat.http.openai_api.responses.items import Item
from aiplat.http.openai_api.responses.kept import Kept
from aiplat.http.openai_api.responses.parsing import NAMES, ResponseRequest, parse_request
from aiplat.http.openai_api.responses.shapes import Response, begun
from aiplat.http.openai_api.responses.stream import ResponseStream
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings


class Keeping:
    """Stores the answer to one request, if that is wanted.

    Arguments:
        kept: the stored answers.
        owner: who asks; its key may be revoked before the end.
        asked: the request.
    """

    def __init__(self, kept: Kept, owner: str, asked: ResponseRequest) -> None:
        self.asked = asked
        self._kept = kept
        self._owner = owner

    def put(self, response: Response) -> None:
        """Store it, whole or at its beginning."""
        if not self.asked.store:
            return
        is_running = response.status == "in_progress"
        self._kept.put(
            StoredAnswer(
                owner=self._owner,
                id=response.id,
                created=response.created_at,
                items=msgspec.json.encode(self.asked.items),
                body=msgspec.json.encode(response),
                previous=self.asked.previous,
                state="running" if is_running else "ended",
            )
        )

    def end(self, response: Response) -> None:
        """Store how it ended."""
        if self.asked.store:
            self._kept.end(self._owner, response.id, msgspec.json.encode(response))


class Create:
    """The routes.

    Arguments:
        generating: gives the answers of this door.
        kept: the stored answers.
        settings: bounds.
        now: seconds since 1970.
    """

    def __init__(
        self,
        generating: Generating,
        kept: Kept,
        settings: HttpSettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._generating = generating
        self._kept = kept
        self._settings = settings
        self._now = now

    async def __call__(self, request: Request) -> None:
        """Answer one request, as a stream or whole."""
        asked = parse_request(await read_json(request, self._settings), request.id)
        work = asked.work(await self._before(request, asked))
        self._check_size(asked, work)
        if asked.store:
            self._kept.ready()
        beginning = begun(asked, request.id, int(self._now()))
        answering = Answering(beginning, request.id, self._now)
        keeping = Keeping(self._kept, self._kept.owner(request), asked)
        with as_sent(NAMES):
            if asked.stream:
                await self._stream(request, work, answering, keeping)
            else:
                await self._whole(request, work, answering, keeping)

    async def count(self, request: Request) -> None:
        """Tell how long a prompt is, in tokens; nothing is generated or stored."""
        asked = parse_request(await read_json(request, self._settings), request.id)
        work = asked.work(await self._before(request, asked), only_count=True)
        self._check_size(asked, work)
        with as_sent(NAMES):
            (said,) = await self._generating.whole(request, (work,), asked.model)
        if said.started is None:
            raise EngineFailed("Nobody said how long the prompt is. Ask again.")
        body = {"object": "response.input_tokens", "input_tokens": said.started.prompt_tokens}
        headers = measured(said.end, said.attempts)
        await request.reply(200, msgspec.json.encode(body), headers=headers)

    async def _before(self, request: Request, asked: ResponseRequest) -> tuple[Item, ...]:
        """The items that a request goes on from."""
        if not asked.previous:
            return ()
        return await self._kept.conversation(request, asked.previous)

    def _check_size(self, asked: ResponseRequest, work: Generate) -> None:
        """What it goes on from counts with it: all of it has to fit a frame of the wire."""
        most = self._settings.max_body_bytes
        if not asked.previous or (size := len(msgspec.msgpack.encode(work.messages))) <= most:
            return
        raise RequestTooLarge(
            f"The request and the answers that it goes on from have {size} bytes together, but at "
            f"most {most} are taken (http.max_body_bytes): send the conversation as input, without "
            "its oldest part.",
            param="previous_response_id",
        )

    async def _whole(
        self, request: Request, work: Generate, answering: Answering, keeping: Keeping
    ) -> None:
        (said,) = await self._generating.whole(request, (work,), keeping.asked.model)
        if said.started is not None:
            answering.start(said.started)
        answering.feed(said.deltas)
        answering.finish(said.end)
        keeping.put(answering.response)
        body = msgspec.json.encode(answering.response)
        await request.reply(200, body, headers=measured(said.end, said.attempts))

    async def _stream(
        self, request: Request, work: Generate, answering: Answering, keeping: Keeping
    ) -> None:
        stream = ResponseStream(answering, keeping.put, keeping.end)
        try:
            await self._generating.stream(request, (work,), keeping.asked.model, stream)
        except ClientGone:
            raise
        except AiplatError as error:
            if not request.status or request.finished:
                raise
            await request.write(stream.fail(error), last=True)
        except Exception as error:
            if request.status and not request.finished:
                await request.write(stream.fail(error), last=True)
            raise
        finally:
            stream.leave()
