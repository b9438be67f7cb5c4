"""How requests are named, and found again by what a person types."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from aiplat.domain.errors import InvalidRequest, clip
from aiplat.domain.ids import RequestId

_PREFIX = "req-"
_LEAST = 4


def new_request_id() -> RequestId:
    """A name that no other request has: 96 random bits."""
    return RequestId(f"req-{secrets.token_hex(12)}")


def find_request(name: str, known: Iterable[str]) -> str:
    """The request that `name` is, or that alone begins so; empty for none of `known`.

    Programs see it as OpenAI's ``chatcmpl-…``, which is understood too.

    Raises:
        InvalidRequest: several begin so.
    """
    digits = name.strip().removeprefix("chatcmpl-").removeprefix(_PREFIX)
    if len(digits) < _LEAST:
        return ""
    found = [request for request in known if request.startswith(_PREFIX + digits)]
    if len(found) > 1:
        raise InvalidRequest(
            f"{len(found)} requests begin with {clip(name)!r}: give more of the name.",
            param="request",
        )
    return found[0] if found else ""
