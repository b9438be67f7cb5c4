"""How a request of this node's own begins."""

from __future__ import annotations

import secrets

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Embed, Generate
from aiplat.domain.ids import RequestId


def new_request_id() -> RequestId:
    """A name that no other request has: 96 random bits."""
    return RequestId(f"req-{secrets.token_hex(12)}")


def new_submission(work: Generate | Embed, *, model: str = "", deadline_ms: int) -> Submission:
    """A request to a gateway, under a new name. `deadline_ms` is for the whole answer."""
    return Submission(
        id=new_request_id(), to="gateway", work=work, model=model, deadline_ms=deadline_ms
    )
