"""``/openapi.json`` and ``/docs``: open to all, as they tell nothing of this node or its people."""

from __future__ import annotations

import functools

import msgspec

from aiplat.http.asgi import JSON, Headers, Request
from aiplat.http.openapi.document import document
from aiplat.http.openapi.operations import OPERATIONS
from aiplat.http.openapi.page import POLICY, STYLE, page
from aiplat.http.routing import Route

_KEPT: Headers = ((b"cache-control", b"max-age=300"),)
_GUARDED: Headers = (
    *_KEPT, (b"content-security-policy", POLICY), (b"referrer-policy", b"no-referrer"),
)  # fmt: skip


def description_routes() -> list[Route]:
    """The routes; what they give is made when it is first asked for."""
    return [
        Route("/openapi.json", {"GET": _document}),
        Route("/docs", {"GET": _page}),
        Route("/docs/page.css", {"GET": _style}),
    ]


@functools.cache
def _made() -> tuple[bytes, bytes]:
    made = document(OPERATIONS)
    return msgspec.json.encode(made), page(OPERATIONS, made)


async def _document(request: Request) -> None:
    await request.reply(200, _made()[0], JSON, _KEPT)


async def _page(request: Request) -> None:
    await request.reply(200, _made()[1], b"text/html; charset=utf-8", _GUARDED)


async def _style(request: Request) -> None:
    await request.reply(200, STYLE, b"text/css; charset=utf-8", _KEPT)
