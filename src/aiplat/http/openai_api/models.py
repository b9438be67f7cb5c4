"""``GET /v1/models`` and ``GET /v1/models/{id}``: what can be asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import msgspec
import trio

from aiplat.control.messages import ModelStatus
from aiplat.control.ports import NodeOperations
from aiplat.domain.errors import DeadlineExceeded, ModelNotFound
from aiplat.domain.models import Ability
from aiplat.http.asgi import Request

PREFIX = "/v1/models/"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model, with fields of ours: whether it is ready, its context in tokens, and what it does.

    `capabilities` are ``generate`` (answers), ``tools``, ``grammar`` (structured answers) and
    ``embed``.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "aiplat"
    state: str
    context_length: int | None
    capabilities: tuple[Ability, ...]


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class Models:
    """The routes. `created` is when this door was made: nobody knows a model's own time.

    Arguments:
        operations: the node.
        seconds: how long a gateway may take to say.
    """

    def __init__(self, operations: NodeOperations, seconds: float) -> None:
        self._operations = operations
        self._seconds = seconds
        self._created = int(time.time())

    async def list(self, request: Request) -> None:
        """Answer with the key's models that are not broken, those that are ready first."""
        known = await self.known(request)
        page = ModelPage(data=[self._model(one) for one in known if one.state != "failed"])
        await request.reply(200, msgspec.json.encode(page))

    async def one(self, request: Request) -> None:
        """Answer with one model; its name is the rest of the path."""
        name = request.path.removeprefix(PREFIX)
        known = await self.known(request)
        for model in known:
            if model.name == name:
                await request.reply(200, msgspec.json.encode(self._model(model)))
                return
        raise ModelNotFound.of(name, (model.name for model in known))

    async def known(self, request: Request) -> Sequence[ModelStatus]:
        """The models that the key may ask."""
        known = await models_within(self._operations, self._seconds)
        return [one for one in known if not request.models or one.name in request.models]

    def _model(self, model: ModelStatus) -> Model:
        return Model(
            id=model.name,
            created=self._created,
            state="cold" if model.cold else model.state,
            context_length=model.context or None,
            capabilities=model.can,
        )


async def models_within(operations: NodeOperations, seconds: float) -> tuple[ModelStatus, ...]:
    """The node's models, asked for with a deadline.

    Raises:
        DeadlineExceeded: no gateway said in time.
    """
    with trio.move_on_after(seconds):
        return await operations.models()
    raise DeadlineExceeded(f"No gateway named its models within {seconds:g} seconds.")
