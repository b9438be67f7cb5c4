"""What form an answer shall have."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.errors import UnsupportedParameter
from aiplat.http.openai_api.formats import parse_format, parse_response_format
from aiplat.http.reading import Fields
from tests.unit.http.openai_api.wrong import check_words, refusal

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NAMED = {"name": "answer", "schema": SCHEMA, "strict": True, "description": "One number."}
JSON_SCHEMA = {"type": "json_schema", "json_schema": NAMED}


@pytest.mark.parametrize(
    ("wanted", "grammar"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        (JSON_SCHEMA, {"type": "json_schema", "schema": SCHEMA}),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": None}},
            {"type": "json_schema", "schema": {}},
        ),
    ],
)
def test_formats(wanted: object, grammar: object) -> None:
    assert parse_response_format(Fields({"response_format": wanted})) == grammar


def test_a_schema_beside_its_type() -> None:
    wanted = Fields({"type": "json_schema", **NAMED}, "text.format")
    assert parse_format(wanted) == {"type": "json_schema", "schema": SCHEMA}


@pytest.mark.parametrize(
    ("wanted", "param", "words"),
    [
        ("json", "response_format", ["an object", "'json'"]),
        ({}, "response_format.type", ["'json_object'", "null"]),
        ({"type": 5}, "response_format.type", ["a string", "5"]),
        ({"type": "json_schema"}, "response_format.json_schema", ["an object", "null"]),
        (
            {"type": "json_schema", "json_schema": {"schema": {}}},
            "response_format.json_schema.name", ["1 to 64"],
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}},
            "response_format.json_schema.name", ["letters", "'a b'"],
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a"}},
            "response_format.json_schema.schema", ["a JSON Schema", "null"],
        ),
        (
            {"type": "json_schema", "json_schema": {**NAMED, "schema": True}},
            "response_format.json_schema.schema", ["a JSON Schema", "true"],
        ),
        (
            {"type": "json_schema", "json_schema": {**NAMED, "strict": 1}},
            "response_format.json_schema.strict", ["true or false"],
        ),
        (
            {"type": "json_schema", "json_schema": {**NAMED, "description": []}},
            "response_format.json_schema.description", ["a string"],
        ),
    ],
)  # fmt: skip
def test_formats_that_are_wrong(wanted: Any, param: str, words: list[str]) -> None:
    check_words(refusal(parse_response_format, {"response_format": wanted}), param, words)


def test_a_format_that_nothing_here_can_hold() -> None:
    error = refusal(parse_response_format, {"response_format": {"type": "grammar"}})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "response_format.type"
    assert "'grammar'" in str(error)
