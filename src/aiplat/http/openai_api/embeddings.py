"""``POST /v1/embeddings``: texts as vectors.

Source: the published schemas `CreateEmbeddingRequest` and `CreateEmbeddingResponse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from aiplat.http.asgi import Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.embedding_parsing import parse_embedding
from aiplat.http.openai_api.embedding_rendering import embedding_body
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings

_MOST_AT_ONCE = 256 * 1024
"""Bytes of vectors that are written on the loop; of more, JSON takes milliseconds."""


class Embeddings:
    """The route.

    Arguments:
        generating: gives the answers of this door.
        settings: bounds.
    """

    def __init__(self, generating: Generating, settings: HttpSettings) -> None:
        self._generating = generating
        self._settings = settings

    async def __call__(self, request: Request) -> None:
        """Answer one request."""
        asked = parse_embedding(await read_json(request, self._settings))
        (said,) = await self._generating.whole(request, [asked.work], asked.model)
        make = partial(embedding_body, asked, said)
        body = await trio.to_thread.run_sync(make) if _is_large(said.vectors) else make()
        await request.reply(200, body, headers=measured(said.end, said.attempts))


def _is_large(vectors: Sequence[bytes]) -> bool:
    return sum(map(len, vectors)) > _MOST_AT_ONCE
