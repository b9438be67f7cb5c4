"""What a JSON Schema of a request may be: an object, neither too deep nor too large.

Whether a processor can hold an answer to it is for that to say. Source: JSON Schema 2020-12; the
bounds are ours, wider than those that OpenAI's Structured Outputs name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiplat.domain.errors import InvalidRequest
from aiplat.domain.nesting import inside, is_deeper
from aiplat.http.reading import shown

MAX_SCHEMA_DEPTH = 64
"""Objects and arrays within one another; a property takes two."""
MAX_SCHEMA_BYTES = 128 * 1024


def check_schema(value: object, path: str) -> dict[str, Any]:
    """A JSON Schema, as it is.

    Arguments:
        value: what was sent.
        path: where it stands in the request, for errors.

    Raises:
        InvalidRequest: it is no object, nested too deeply, or too large, or holds a whole number
            that the wire has no form for.
    """
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"{path} must be a JSON Schema, an object, but is {shown(value)}.", param=path
        )
    if is_deeper(value, MAX_SCHEMA_DEPTH):
        raise InvalidRequest(
            f"{path} is nested more than {MAX_SCHEMA_DEPTH} deep: make it flatter.", param=path
        )
    if (number := _beyond(value)) is not None:
        raise InvalidRequest(
            f"{path} holds {shown(number)}, but at most 64 bits are taken: use a smaller bound, or "
            "leave it out.",
            param=path,
        )
    size = len(msgspec.json.encode(value))
    if size > MAX_SCHEMA_BYTES:
        raise InvalidRequest(
            f"{path} has {size} bytes, but a schema may have at most {MAX_SCHEMA_BYTES}.",
            param=path,
        )
    return value


def _beyond(value: object) -> int | None:
    """A whole number that MessagePack cannot hold, if there is one; of a value of bounded depth."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else value
    return next((found for one in inside(value) if (found := _beyond(one)) is not None), None)
