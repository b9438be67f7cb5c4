"""Ollama's routes below ``/api``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio

import aiplat
from aiplat.control.messages import ModelStatus
from aiplat.domain.errors import ModelNotFound, clip
from aiplat.http.asgi import JSON, Request
from aiplat.http.errors import NoSuchRoute
from aiplat.http.generating import Generating, measured
from aiplat.http.ollama_api.errors import OllamaWording
from aiplat.http.ollama_api.models import LATEST, find, running_body, shown_body, tags_body
from aiplat.http.ollama_api.options import SENT
from aiplat.http.ollama_api.parsing import (
    EmbedRequest,
    GenerateRequest,
    parse_chat,
    parse_embed,
    parse_embeddings,
    parse_generate,
    parse_model,
)
from aiplat.http.ollama_api.rendering import Kind, Lines, embedding_body, embeddings_body, now
from aiplat.http.ollama_api.stream import NDJSON, LineStream
from aiplat.http.openai_api.models import Models
from aiplat.http.openai_api.naming import as_sent
from aiplat.http.reading import Fields, parse_object, read_json
from aiplat.http.routing import Handler, Route
from aiplat.http.said import Said
from aiplat.http.settings import HttpSettings

VERSION = "0.13.0"
"""Of Ollama's API that this translates. Clients look for a least one, by numbers alone."""

_PULLS = (
    "`aiplat models pull NAME` on a processor's machine brings a model, `aiplat models` has more"
)
_ELSEWHERE = {
    "/api/pull": _PULLS,
    "/api/create": _PULLS,
    "/api/copy": _PULLS,
    "/api/push": "models are not sent elsewhere",
    "/api/delete": "`aiplat models rm NAME` on its machine removes a model",
    "/api/blobs/": _PULLS,
}
_MOST_AT_ONCE = 64
"""Vectors that are written on the loop; of more, JSON takes milliseconds."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Ollama:
    """The routes.

    Arguments:
        generating: gives the answers of this door.
        models: which there are.
        settings: bounds.
    """

    def __init__(self, generating: Generating, models: Models, settings: HttpSettings) -> None:
        self._generating = generating
        self._models = models
        self._settings = settings
        self._since = now()

    def routes(self, checks: tuple[Callable[[Request], None], ...]) -> list[Route]:
        """All of them, behind the same checks."""
        wording = OllamaWording()
        handlers: dict[str, dict[str, Handler]] = {
            "/api/chat": {"POST": partial(self._generate, "chat", parse_chat)},
            "/api/generate": {"POST": partial(self._generate, "generate", parse_generate)},
            "/api/embed": {"POST": self.embed},
            "/api/embeddings": {"POST": self.embeddings},
            "/api/tags": {"GET": self.tags},
            "/api/ps": {"GET": self.running},
            "/api/show": {"POST": self.show},
            "/api/version": {"GET": self.version},
        }
        known = ", ".join(sorted(handlers))
        routes = [Route(path, found, checks, wording) for path, found in handlers.items()]
        for path, instead in {**_ELSEWHERE, "/api/": f"there is: {known}"}.items():
            nothing: Handler = partial(_nothing, instead)
            routes.append(Route(path, dict.fromkeys(_METHODS, nothing), checks, wording))
        return routes

    # -- answers -------------------------------------------------------------------------------

    async def _generate(
        self, kind: Kind, parse: Callable[[bytes], GenerateRequest], request: Request
    ) -> None:
        """Answer a chat or a prompt, as a stream or whole; or have a model loaded."""
        asked = parse(await self._body(request))
        lines, model = Lines(kind, request.id, asked.model), await self._named(request, asked.model)
        with as_sent(SENT):
            if asked.stream and not asked.loads:
                await self._generating.stream(
                    request, [asked.work], model, LineStream(lines), NDJSON
                )
                return
            (said,) = await self._generating.whole(request, [asked.work], model)
        body = lines.loaded() if asked.loads else lines.whole(said)
        await request.reply(200, body, JSON, measured(said.end, said.attempts))

    async def embed(self, request: Request) -> None:
        """Answer with vectors."""
        asked = parse_embed(await self._body(request))
        said = await self._embedded(request, asked)
        make = partial(embeddings_body, asked.model, said, len(asked.work.inputs))
        body = await trio.to_thread.run_sync(make) if len(said.vectors) > _MOST_AT_ONCE else make()
        await request.reply(200, body, JSON, measured(said.end, said.attempts))

    async def embeddings(self, request: Request) -> None:
        """Answer with one vector: an older route."""
        said = await self._embedded(request, parse_embeddings(await self._body(request)))
        await request.reply(200, embedding_body(said), JSON, measured(said.end, said.attempts))

    async def _embedded(self, request: Request, asked: EmbedRequest) -> Said:
        model = await self._named(request, asked.model)
        (said,) = await self._generating.whole(request, [asked.work], model)
        return said

    async def _body(self, request: Request) -> bytes:
        """The body, whatever it says to be: Ollama's examples send JSON as a form."""
        return await read_json(request, self._settings, said=False)

    async def _named(self, request: Request, name: str) -> str:
        """The name by which we know a model; only those with Ollama's tag are looked up."""
        if not name.endswith(LATEST):
            return name
        found = find(name, await self._models.known(request))
        return name if found is None else found.name

    # -- models --------------------------------------------------------------------------------

    async def tags(self, request: Request) -> None:
        """The key's models that are not broken."""
        await request.reply(200, tags_body(await self._whole(request), self._since))

    async def running(self, request: Request) -> None:
        """Those of them that are loaded."""
        await request.reply(200, running_body(await self._whole(request)))

    async def show(self, request: Request) -> None:
        """One of them."""
        name = parse_model(Fields(parse_object(await self._body(request))))
        known = await self._models.known(request)
        found = find(name, known)
        if found is None:
            raise ModelNotFound.of(name, (one.name for one in known))
        await request.reply(200, shown_body(found, self._since))

    async def version(self, request: Request) -> None:
        """Of Ollama's API, and of aiplat."""
        said = {"version": VERSION, "aiplat": aiplat.__version__}
        await request.reply(200, msgspec.json.encode(said))

    async def _whole(self, request: Request) -> Sequence[ModelStatus]:
        return [one for one in await self._models.known(request) if one.state != "failed"]


async def _nothing(instead: str, request: Request) -> None:
    raise NoSuchRoute(f"There is no {clip(request.path)} here: {instead}.")
