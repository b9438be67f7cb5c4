"""Answers that an API may be asked for again: what is kept of one, and who keeps them."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

StoredState = Literal["running", "ended", "died"]


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, kept for who asked. Its repr holds nothing of what was said.

    Arguments:
        owner: the user that it is of, and nobody else's.
        id: its name at the API.
        created: seconds since 1970 (UTC).
        items: what was asked, as the API's JSON.
        body: what was answered, as the API's JSON.
        previous: the answer that it goes on from; empty for none.
        state: ``died`` for one that was under way when an earlier node ended: its body is that of
            its beginning.
    """

    owner: str
    id: str
    created: int
    items: bytes
    body: bytes
    previous: str = ""
    state: StoredState = "ended"

    def __repr__(self) -> str:
        return f"StoredAnswer(id={self.id!r}, state={self.state!r}, …)"

    @property
    def bytes(self) -> int:
        """How much is kept of it."""
        return len(self.items) + len(self.body)


class StoredAnswers(Protocol):
    """Keeps answers. Whoever writes does not wait: what is read afterwards has it all the same."""

    def ready(self) -> None:
        """See that an answer can be kept now.

        Raises:
            NotReady: it cannot, with the reason.
        """

    def put(self, answer: StoredAnswer) -> None:
        """Keep an answer, whole or at its beginning."""

    def end(self, owner: str, answer: str, body: bytes) -> None:
        """Keep how it ended; nothing where it was deleted meanwhile."""

    async def read(self, owner: str, answer: str) -> StoredAnswer | None:
        """One of a user's answers; None where it is not kept, whoever else's it may be.

        Raises:
            AiplatError: the file cannot be read.
        """

    async def chain(self, owner: str, answer: str) -> tuple[StoredAnswer, ...]:
        """That answer and those that it goes on from, the oldest first.

        The first has a `previous` where that is kept no more. Empty where none is kept.

        Raises:
            InvalidRequest: they have too many bytes together.
            AiplatError: the file cannot be read.
        """

    async def delete(self, owner: str, answer: str) -> bool:
        """Delete one for good; whether it was kept.

        Raises:
            AiplatError: the file cannot be written.
        """
