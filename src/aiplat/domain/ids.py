"""Names of things, as types of their own so that one is not passed for another."""

from __future__ import annotations

import re
from typing import Literal, NewType

PeerId = NewType("PeerId", str)
"""A libp2p peer id in base58, such as ``12D3KooW…`` (libp2p specs, peer-ids)."""

RequestId = NewType("RequestId", str)
"""A request's name on every hop: ``req-`` and 24 hexadecimal digits."""

Role = Literal["client", "gateway", "processor"]
ROLES: tuple[Role, ...] = ("client", "gateway", "processor")

_REQUEST_ID = re.compile(r"req-[0-9a-f]{24}\Z")


def is_request_id(text: str) -> bool:
    """Tell whether `text` has the form of a `RequestId`; peers may send anything."""
    return _REQUEST_ID.match(text) is not None


def short(peer: str) -> str:
    """Shorten a peer id for a sentence: its last eight characters, which differ between peers."""
    return f"…{peer[-8:]}" if len(peer) > 12 else peer
