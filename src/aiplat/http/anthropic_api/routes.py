"""``POST /v1/messages``, ``POST /v1/messages/count_tokens``, and the models for their clients."""

from __future__ import annotations

import msgspec

from aiplat.domain.errors import ModelNotFound
from aiplat.http.anthropic_api.errors import AnthropicWording, is_anthropics
from aiplat.http.anthropic_api.models import model_body, page_body
from aiplat.http.anthropic_api.parsing import parse_count, parse_message
from aiplat.http.anthropic_api.rendering import message_body
from aiplat.http.anthropic_api.stream import MessageStream
from aiplat.http.asgi import Request
from aiplat.http.generating import Generating, measured
from aiplat.http.openai_api.models import PREFIX, Models
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.reading import read_json
from aiplat.http.settings import HttpSettings

WORDING = AnthropicWording()


class Messages:
    """The routes of messages.

    Arguments:
        generating: gives the answers of this door.
        settings: bounds.
    """

    def __init__(self, generating: Generating, settings: HttpSettings) -> None:
        self._generating = generating
        self._settings = settings

    async def create(self, request: Request) -> None:
        """Answer one request, as a stream or whole."""
        asked = parse_message(await read_json(request, self._settings))
        with as_sent({"stop": "stop_sequences", "response_format": "output_config.format"}):
            if asked.stream:
                stream = MessageStream(request.id, asked.model)
                await self._generating.stream(request, [asked.work], asked.model, stream)
                return
            (said,) = await self._generating.whole(request, [asked.work], asked.model)
        body = message_body(request.id, asked.model, said)
        await request.reply(200, body, headers=measured(said.end, said.attempts))

    async def count(self, request: Request) -> None:
        """Say how many tokens a prompt has: a processor counts them, and generates nothing."""
        asked = parse_count(await read_json(request, self._settings))
        (said,) = await self._generating.whole(request, [asked.work], asked.model)
        tokens = said.started.prompt_tokens if said.started else said.end.usage.prompt_tokens
        await request.reply(200, msgspec.json.encode({"input_tokens": tokens}))


class ModelsByClient:
    """``GET /v1/models`` and below, in the shape of who asks.

    Arguments:
        models: those of OpenAI's API.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    async def list(self, request: Request) -> None:
        """Answer with the key's models that are not broken."""
        if not is_anthropics(request):
            await self._models.list(request)
            return
        known = [one for one in await self._models.known(request) if one.state != "failed"]
        await request.reply(200, page_body(request, known))

    async def one(self, request: Request) -> None:
        """Answer with one model; its name is the rest of the path."""
        if not is_anthropics(request):
            await self._models.one(request)
            return
        name, known = request.path.removeprefix(PREFIX), await self._models.known(request)
        for model in known:
            if model.name == name:
                await request.reply(200, model_body(model))
                return
        raise ModelNotFound.of(name, (model.name for model in known))
