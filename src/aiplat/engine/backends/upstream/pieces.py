"""The body of an HTTP answer in the pieces in which it comes, ended cleanly wherever it is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import trio


@asynccontextmanager
async def pieces_of(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give the pieces; leaving the block before the last one cuts the answer off.

    httpx iterates through generators within generators, and closes none of the inner ones when the
    outermost is left: the garbage collector would do it, at some time. So they are ended from
    within, by one more step that is cancelled as soon as it has to wait.
    """
    pieces = response.aiter_raw()
    try:
        yield pieces
    finally:
        with trio.CancelScope(shield=True) as scope:
            scope.cancel()
            try:
                async for _ in pieces:
                    pass
            except httpx.HTTPError:
                pass  # it broke off just then; nobody wants the rest


async def beginning(response: httpx.Response, most: int) -> bytes:
    """The first `most` bytes of the body, or all of it."""
    body = bytearray()
    async with pieces_of(response) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > most:
                break
    return bytes(body[:most])
