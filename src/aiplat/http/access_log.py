"""The line of the log that tells of a request's end: which it was, never what it said.

A path may hold what is a secret, such as a link that works once: so its route is told instead, and
of a key the id alone.
"""

from __future__ import annotations

import logging
from typing import Literal

import trio

from aiplat.domain.errors import clip
from aiplat.http.asgi import Request

log = logging.getLogger("aiplat.http.access")

Which = Literal["off", "failures", "all"]


class AccessLog:
    """Tells of each request's end.

    Arguments:
        which: of those that get a line; the rest of ``failures`` and ``all`` have it at debug.
    """

    def __init__(self, which: Which = "failures") -> None:
        self._which = which

    def tell(self, request: Request) -> None:
        """Write it, if this one has one."""
        if self._which == "off":
            return
        level = logging.INFO if self._which == "all" else logging.DEBUG
        if request.status >= 500:
            level = logging.WARNING
        if not log.isEnabledFor(level):
            return
        ms = (trio.current_time() - request.arrived) * 1000
        log.log(
            level, "%s %s %d in %.0f ms", clip(request.method), request.route or "(no route)",
            request.status, ms,
            extra={
                "request": request.id,
                "method": clip(request.method),
                "route": request.route,
                "status": request.status,
                "ms": round(ms, 1),
                "bytes": request.sent,
                "key": key_id(request),
            },
        )  # fmt: skip


def key_id(request: Request) -> str:
    """Whose request it is: the id of its key, ``local`` for the node's own account, or nobody's."""
    if not request.is_known:
        return ""
    parts = request.credential.split("-")
    return parts[2] if len(parts) == 4 else "local"
