"""``POST /v1/chat/completions``: the hot route."""

from __future__ import annotations

import time

from aiplat.http.asgi import Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.chat_chunks import ChatShape
from aiplat.http.openai_api.chunks import ChunkStream
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.openai_api.parsing import ChatRequest, parse_chat
from aiplat.http.openai_api.rendering import completion_body
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings


class Chat:
    """The route.

    Arguments:
        generating: gives the answers of this door.
        settings: bounds.
    """

    def __init__(self, generating: Generating, settings: HttpSettings) -> None:
        self._generating = generating
        self._settings = settings

    async def __call__(self, request: Request) -> None:
        """Answer one request, as a stream or whole."""
        asked = parse_chat(await read_json(request, self._settings), self._settings.max_choices)
        tools = "functions" if asked.is_old else "tools"
        with as_sent({"max_tokens": asked.limit_name, "tools": tools}):
            if asked.stream:
                await self._stream(request, asked)
            else:
                await self._whole(request, asked)

    async def _stream(self, request: Request, asked: ChatRequest) -> None:
        shape = ChatShape(request.id, asked.is_old)
        stream = ChunkStream(
            shape, asked.model, int(time.time()), asked.include_usage, asked.choices
        )
        await self._generating.stream(request, asked.works(), asked.model, stream)

    async def _whole(self, request: Request, asked: ChatRequest) -> None:
        created = int(time.time())
        said = await self._generating.whole(request, asked.works(), asked.model)
        body = completion_body(request.id, asked.model, created, said, asked.is_old)
        headers = measured(said[0].end, said[0].attempts)
        await request.reply(200, body, headers=headers)
