"""``POST /v1/chat/completions``: the hot route."""

from __future__ import annotations

import time

from aiplat.http.asgi import Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.chunks import ChunkStream
from aiplat.http.openai_api.parsing import parse_chat
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
        works, created = asked.works(), int(time.time())
        if asked.stream:
            stream = ChunkStream(
                request.id, asked.model, created, asked.include_usage, asked.choices
            )
            await self._generating.stream(request, works, asked.model, stream)
            return
        said = await self._generating.whole(request, works, asked.model)
        body = completion_body(request.id, asked.model, created, said)
        headers = measured(said[0].end, said[0].attempts)
        await request.reply(200, body, headers=headers)
