"""The control API's events, as bytes of a stream (HTML standard, 9.2)."""

from __future__ import annotations

import msgspec

from aiplat.control.messages import Accepted
from aiplat.domain.answers import AnswerEvent

COMMENT = b": waiting\n\n"


def event(message: AnswerEvent | Accepted) -> bytes:
    """One server-sent event, named by the message's tag."""
    name = str(message.__struct_config__.tag).encode()
    return b"event: " + name + b"\ndata: " + msgspec.json.encode(message) + b"\n\n"
