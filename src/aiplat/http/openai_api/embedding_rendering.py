"""OpenAI's shape of embeddings. Pure.

Source: the published schema `CreateEmbeddingResponse`.
"""

from __future__ import annotations

import array
import base64
import sys
from typing import Literal

import msgspec

from aiplat.domain.errors import EngineFailed
from aiplat.http.openai_api.embedding_parsing import EmbeddingRequest, Encoding
from aiplat.http.said import Said

_FLOAT = 4


class Embedding(msgspec.Struct, frozen=True):
    """A text's vector: its numbers, or in base64 their bytes as little-endian float32."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True):
    """Tokens. `exact_tokens` is there only where the engine did not count them, and false then."""

    prompt_tokens: int
    total_tokens: int
    exact_tokens: bool | msgspec.UnsetType = msgspec.UNSET


class EmbeddingList(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


def embedding_body(asked: EmbeddingRequest, said: Said) -> bytes:
    """The JSON of a whole answer.

    Raises:
        EngineFailed: there is not a vector for each text, or not all have one length.
    """
    vectors = said.vectors
    check_vectors(vectors, len(asked.work.inputs))
    usage = said.end.usage
    return msgspec.json.encode(
        EmbeddingList(
            data=[
                Embedding(index, _written(vector, asked.encoding))
                for index, vector in enumerate(vectors)
            ],
            model=said.started.manifest.name if said.started else asked.model,
            usage=EmbeddingUsage(
                usage.prompt_tokens,
                usage.prompt_tokens,
                msgspec.UNSET if usage.exact else False,
            ),
        )
    )


def check_vectors(vectors: list[bytes], wanted: int) -> None:
    """Raise `EngineFailed` unless there is a vector for each text, all of one length."""
    if len(vectors) != wanted:
        raise EngineFailed(f"{wanted} texts were sent, but {len(vectors)} vectors came back.")
    sizes = {len(vector) for vector in vectors}
    if len(sizes) > 1 or any(not size or size % _FLOAT for size in sizes):
        raise EngineFailed(f"Vectors of {sorted(sizes)[:5]} bytes came back to one request.")


def _written(vector: bytes, encoding: Encoding) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector).decode()
    return numbers_of(vector)


def numbers_of(vector: bytes) -> list[float]:
    """The numbers of a vector, which travels as little-endian float32."""
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
