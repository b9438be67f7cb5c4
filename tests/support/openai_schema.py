"""OpenAI's published schema, as the official client holds it: its models, made from that schema.

What does not fit one of them strictly, or has a field that it does not know and that is not named
as ours, is no answer of OpenAI's.
"""

from __future__ import annotations

from typing import Any

from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

__all__ = [
    "ChatCompletion", "ChatCompletionChunk", "Completion", "CreateEmbeddingResponse", "Model",
    "check",
]  # fmt: skip


def check(
    model: type[BaseModel], answer: dict[str, Any], ours: frozenset[str] = frozenset()
) -> None:
    """Hold an answer to the schema.

    Arguments:
        model: of the client.
        answer: the JSON.
        ours: names of fields that are no part of the schema.
    """
    found = model.model_validate(answer, strict=True)
    _look(found, ours, model.__name__)
    # What the schema knows comes back as it went in: nothing was bent to make it fit.
    assert found.model_dump(exclude_unset=True, by_alias=True) == answer


def _look(value: object, ours: frozenset[str], where: str) -> None:
    if isinstance(value, BaseModel):
        unknown = set(value.model_extra or ()) - ours
        assert not unknown, f"{where} has fields that are not OpenAI's: {unknown}"
        for name in value.model_fields_set:
            _look(getattr(value, name), ours, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            _look(inner, ours, f"{where}[{place}]")
