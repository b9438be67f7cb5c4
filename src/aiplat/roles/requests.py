"""How requests of this node's own are named."""

from __future__ import annotations

import secrets

from aiplat.domain.ids import RequestId


def new_request_id() -> RequestId:
    """A name that no other request has: 96 random bits."""
    return RequestId(f"req-{secrets.token_hex(12)}")
