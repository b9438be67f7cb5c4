"""The stored answers, as a request to the door may read, continue and delete them.

Whose they are is whose the request's key is: any key of one user. What is another's is not there,
in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

from aiplat.control.ports import NodeOperations
from aiplat.control.stored import StoredAnswer
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.asgi import Request
from aiplat.http.errors import HttpError
from aiplat.http.openai_api.responses.items import Item, items_in
from aiplat.http.openai_api.responses.shapes import ResponseError

_BODY = msgspec.json.Decoder(dict[str, Any])
_GOOD = ("completed", "incomplete", "cancelled")
DIED = ResponseError("server_error", "The node ended before the answer was whole. Ask again.")
_MOST_AT_ONCE = 256 * 1024
"""Bytes of stored answers that are read on the loop; 8 MiB of small ones take 80 ms."""
_WHY = "it was never stored, was deleted, or is too old (stored.days)"


class NoSuchResponse(HttpError):
    """The user has no stored answer of that id."""

    kind = (404, "invalid_request_error", "not_found")

    def __init__(self, answer: str) -> None:
        super().__init__(
            f"Response with id {clip(answer)!r} not found for this key's user: {_WHY}."
        )


class NoSuchPrevious(HttpError):
    """The user has no stored answer of the id that a request goes on from: OpenAI's own kind."""

    kind = (400, "invalid_request_error", "previous_response_not_found")

    def __init__(self, answer: str) -> None:
        super().__init__(
            f"Previous response with id {clip(answer)!r} not found for this key's user: {_WHY}. "
            "Send the conversation as input.",
            param="previous_response_id",
        )


class Kept:
    """Stored answers.

    Arguments:
        operations: the node, which keeps them and knows whose a key is.
    """

    def __init__(self, operations: NodeOperations) -> None:
        self._operations = operations

    def owner(self, request: Request) -> str:
        """The user that asks."""
        return self._operations.owner_of(request.credential)

    def ready(self) -> None:
        """See that an answer can be stored now.

        Raises:
            NotReady: it cannot.
        """
        self._operations.stored.ready()

    def put(self, answer: StoredAnswer) -> None:
        """Store an answer, whole or at its beginning."""
        self._operations.stored.put(answer)

    def end(self, owner: str, answer: str, body: bytes) -> None:
        """Store how it ended."""
        self._operations.stored.end(owner, answer, body)

    async def read(self, request: Request, answer: str) -> StoredAnswer:
        """One of the user's.

        Raises:
            NoSuchResponse: it is not there.
            AiplatError: the file cannot be read.
        """
        found = await self._operations.stored.read(self.owner(request), answer)
        if found is None:
            raise NoSuchResponse(answer)
        return found

    async def delete(self, request: Request, answer: str) -> None:
        """Delete one of the user's for good.

        Raises:
            NoSuchResponse: it is not there.
            AiplatError: the file cannot be written.
        """
        if not await self._operations.stored.delete(self.owner(request), answer):
            raise NoSuchResponse(answer)

    async def items(self, request: Request, answer: str) -> tuple[Item, ...]:
        """What an answer was made from, the oldest first: as much as is stored still.

        Raises:
            NoSuchResponse: it is not there.
            AiplatError: the file cannot be read.
        """
        chain = await self._operations.stored.chain(self.owner(request), answer)
        if not chain:
            raise NoSuchResponse(answer)
        return await _beside(chain, lambda: (*_said(chain[:-1]), *items_in(chain[-1].items)))

    async def conversation(self, request: Request, answer: str) -> tuple[Item, ...]:
        """What a request goes on from: all that was asked and answered, the oldest first.

        Raises:
            NoSuchPrevious: it, or what it goes on from itself, is not there.
            InvalidRequest: it is not whole, or too long.
            AiplatError: the file cannot be read.
        """
        chain = await self._operations.stored.chain(self.owner(request), answer)
        if not chain:
            raise NoSuchPrevious(answer)
        if chain[0].previous:
            raise NoSuchPrevious(chain[0].previous)
        return await _beside(chain, lambda: _gone_on_from(chain))


async def _beside(
    chain: tuple[StoredAnswer, ...], work: Callable[[], tuple[Item, ...]]
) -> tuple[Item, ...]:
    """Read a chain, in a thread where that takes long enough for others to feel it."""
    if sum(one.bytes for one in chain) <= _MOST_AT_ONCE:
        return work()
    return await trio.to_thread.run_sync(work)


def _gone_on_from(chain: tuple[StoredAnswer, ...]) -> tuple[Item, ...]:
    for one in chain:
        status = body_of(one)["status"]
        if status not in _GOOD:
            raise InvalidRequest(
                f"The answer {clip(one.id)} cannot be gone on from: its status is {status}.",
                param="previous_response_id",
            )
    return _said(chain)


def _said(chain: tuple[StoredAnswer, ...]) -> tuple[Item, ...]:
    items: list[Item] = []
    for answer in chain:
        items += items_in(answer.items)
        items += items_in(msgspec.json.encode(body_of(answer)["output"]))
    return tuple(items)


def body_of(answer: StoredAnswer) -> dict[str, Any]:
    """The object of a stored answer. One that died with its node has failed."""
    body = _BODY.decode(answer.body)
    if answer.state == "died":
        body |= {"status": "failed", "error": msgspec.to_builtins(DIED)}
    return body
