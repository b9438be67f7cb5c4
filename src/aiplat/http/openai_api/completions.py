"""``POST /v1/completions``: text that is continued, without a conversation."""

from __future__ import annotations

import time
from functools import partial

from aiplat.http.asgi import Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.chunks import ChunkStream
from aiplat.http.openai_api.completion_parsing import CompletionRequest, parse_completion
from aiplat.http.openai_api.completion_rendering import TextShape, sum_of, text_body
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings


class Completions:
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
        body = await read_json(request, self._settings)
        asked = parse_completion(body, self._settings.max_choices)
        with as_sent({"messages": "prompt"}):
            if asked.stream:
                await self._stream(request, asked)
            else:
                await self._whole(request, asked)

    async def _stream(self, request: Request, asked: CompletionRequest) -> None:
        stream = ChunkStream(
            TextShape(request.id, asked),
            asked.model,
            int(time.time()),
            asked.include_usage,
            asked.choices,
            partial(sum_of, each=asked.each),
        )
        await self._generating.stream(request, asked.works(), asked.model, stream)

    async def _whole(self, request: Request, asked: CompletionRequest) -> None:
        created = int(time.time())
        said = await self._generating.whole(request, asked.works(), asked.model)
        headers = measured(said[0].end, said[0].attempts)
        await request.reply(200, text_body(request.id, asked, created, said), headers=headers)
