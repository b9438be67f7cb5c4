"""Embeddings: what is taken, and the answer in OpenAI's shape."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from aiplat.domain.answers import Delta, Finished
from aiplat.domain.chat import Embed
from aiplat.domain.errors import AiplatError, EngineFailed, UnsupportedParameter
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.embedding_parsing import EmbeddingRequest, parse_embedding
from aiplat.http.openai_api.embedding_rendering import embedding_body
from aiplat.http.said import Said
from tests.support.fake_node import started
from tests.support.openai_schema import CreateEmbeddingResponse, check
from tests.unit.http.openai_api.wrong import check_words


def parse(**fields: Any) -> EmbeddingRequest:
    return parse_embedding(msgspec.json.encode({"model": "mini", "input": "hi", **fields}))


def refused(**fields: Any) -> AiplatError:
    with pytest.raises(AiplatError) as caught:
        parse(**fields)
    return caught.value


def test_what_is_asked() -> None:
    assert parse() == EmbeddingRequest(work=Embed(("hi",)), model="mini", encoding="float")
    asked = parse(input=["a", "b"], encoding_format="base64", dimensions=2, user="me", new=1)
    assert asked == EmbeddingRequest(
        work=Embed(("a", "b"), dimensions=2), model="mini", encoding="base64"
    )


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": None}, "input", ["a string", "null"]),
        ({"input": {}}, "input", ["a string", "an object"]),
        ({"input": ""}, "input", ["empty"]),
        ({"input": []}, "input", ["1 to 2048"]),
        ({"input": ["a", ""]}, "input", ["empty"]),
        ({"input": ["a", None]}, "input", ["input[1]", "null"]),
        ({"input": ["a", True]}, "input", ["input[1]", "true"]),
        ({"input": ["a"] * 2049}, "input", ["2048", "2049"]),
        ({"dimensions": 0}, "dimensions", ["1", "0"]),
        ({"dimensions": 1.5}, "dimensions", ["whole number"]),
        ({"encoding_format": "int8"}, "encoding_format", ["'base64'", "'int8'"]),
        ({"encoding_format": 5}, "encoding_format", ["a string"]),
        ({"model": []}, "model", ["a string"]),
        ({"user": 5}, "user", ["a string"]),
    ],
)
def test_what_is_wrong_is_said_with_value_and_bound(
    fields: dict[str, Any], param: str, words: list[str]
) -> None:
    check_words(refused(**fields), param, words)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"stream": True}, "stream"),
        ({"messages": []}, "messages"),
        ({"input_type": "query"}, "input_type"),
    ],
)
def test_what_nothing_can_honour_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def said(*vectors: bytes, exact: bool = True) -> Said:
    one = Said()
    one.take(started())
    for vector in vectors:
        one.take(Delta(vectors=(vector,)))
    one.take(Finished("stop", Usage(7, 0, exact=exact)))
    return one


VECTORS = ((0.25, -1.0), (0.5, 2.0))
BYTES = tuple(struct.pack("<2f", *vector) for vector in VECTORS)


def test_vectors_in_the_order_of_their_texts() -> None:
    answer = msgspec.json.decode(embedding_body(parse(input=["a", "b"]), said(*BYTES)))
    check(CreateEmbeddingResponse, answer)
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, -1.0]},
            {"object": "embedding", "index": 1, "embedding": [0.5, 2.0]},
        ],
        "model": "echo",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_base64_is_their_bytes() -> None:
    asked = parse(input=["a", "b"], encoding_format="base64")
    answer = msgspec.json.decode(embedding_body(asked, said(*BYTES)))
    assert [base64.b64decode(one["embedding"]) for one in answer["data"]] == list(BYTES)


def test_tokens_that_were_not_counted_exactly_are_said_to_be_so() -> None:
    answer = msgspec.json.decode(embedding_body(parse(), said(BYTES[0], exact=False)))
    assert answer["usage"]["exact_tokens"] is False


@pytest.mark.parametrize(
    "vectors",
    [
        (), BYTES[:1], (*BYTES, BYTES[0]), (BYTES[0], b"1234"), (b"", b""), (b"12345", b"12345"),
    ],
)  # fmt: skip
def test_a_processor_that_gives_other_vectors_than_were_asked_for(
    vectors: tuple[bytes, ...],
) -> None:
    with pytest.raises(EngineFailed):
        embedding_body(parse(input=["a", "b"]), said(*vectors))
