"""A request for embeddings, turned into ours. Knows no socket.

Source: the published schema `CreateEmbeddingRequest`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.chat import MAX_INPUTS, Embed, check_embed
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.http.openai_api.tolerated import check_labels
from aiplat.http.openai_api.unsupported import refuse_in_embedding
from aiplat.http.reading import Fields, parse_object, shown

Encoding = Literal["float", "base64"]


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how numbers are written. An empty model takes the first."""

    work: Embed
    model: str
    encoding: Encoding


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """Parse a request to ``/v1/embeddings``.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_in_embedding(fields)
    check_labels(fields)
    work = Embed(_inputs(fields), fields.integer("dimensions"))
    check_embed(work)
    return EmbeddingRequest(work=work, model=fields.text("model") or "", encoding=_encoding(fields))


def _encoding(fields: Fields) -> Encoding:
    match fields.text("encoding_format"):
        case None | "float":
            return "float"
        case "base64":
            return "base64"
    raise fields.wrong("encoding_format", "'float' or 'base64'")


def _inputs(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("input")
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise fields.wrong("input", "a string or an array of strings")
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(
            f"input may hold at most {MAX_INPUTS} texts, but holds {len(value)}.", param="input"
        )
    return tuple([_input(one, at) for at, one in enumerate(value)])


def _input(value: object, at: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | list) and not isinstance(value, bool):
        raise UnsupportedParameter(
            f"input[{at}] is {shown(value)}, but token ids are not supported here: send text.",
            param="input",
        )
    raise InvalidRequest(f"input[{at}] must be a string, but is {shown(value)}.", param="input")
