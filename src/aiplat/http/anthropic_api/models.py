"""Models in Anthropic's shape, on the paths that its API shares with OpenAI's.

Source: `ModelInfo` and `SyncPage` of Anthropic's published client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qs

import msgspec

from aiplat.control.messages import ModelStatus
from aiplat.domain.errors import InvalidRequest, ModelNotFound, clip
from aiplat.http.asgi import Request

MAX_PAGE = 1000
_PAGE = 20


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model. Nobody knows when it was made: that is the epoch, as Anthropic has it then."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str = "1970-01-01T00:00:00Z"
    lifecycle: Literal["active"] = "active"
    line: None = None
    capabilities: None = None
    max_input_tokens: int | None
    max_tokens: int | None
    deprecated_at: None = None
    retires_at: None = None


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of them."""

    data: Sequence[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None


def model_body(model: ModelStatus) -> bytes:
    """The JSON of one model."""
    return msgspec.json.encode(_info(model))


def page_body(request: Request, known: Sequence[ModelStatus]) -> bytes:
    """The JSON of the page that a request asks for, by `limit`, `after_id` and `before_id`.

    Raises:
        InvalidRequest: it asks for a page that is none.
        ModelNotFound: there is no such model to begin at.
    """
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    limit, names = _limit(query.get("limit")), [model.name for model in known]
    if "after_id" in query and "before_id" in query:
        raise InvalidRequest("after_id and before_id are both given: send one.", param="before_id")
    start, end = 0, len(known)
    if "after_id" in query:
        start = _place(names, query["after_id"]) + 1
    if "before_id" in query:
        end = _place(names, query["before_id"])
        start = max(0, end - limit)
    page = known[start : min(end, start + limit)]
    more = start > 0 if "before_id" in query else start + limit < end
    return msgspec.json.encode(
        ModelPage(
            data=[_info(model) for model in page],
            has_more=more,
            first_id=page[0].name if page else None,
            last_id=page[-1].name if page else None,
        )
    )


def _limit(text: str | None) -> int:
    if text is None:
        return _PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE):
        raise InvalidRequest(
            f"limit must be from 1 to {MAX_PAGE}, but is {clip(text)!r}.", param="limit"
        )
    return int(text)


def _place(names: list[str], name: str) -> int:
    if name not in names:
        raise ModelNotFound.of(name, names)
    return names.index(name)


def _info(model: ModelStatus) -> ModelInfo:
    context = model.context or None
    return ModelInfo(
        id=model.name, display_name=model.name, max_input_tokens=context, max_tokens=context
    )
