"""What the pages are handed: the node, the bounds of the door that they are in, and who counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from aiplat.control.ports import NodeOperations
from aiplat.domain.answers import AnswerEvent, Inference, Submission
from aiplat.domain.errors import AiplatError


class Reading(Protocol):
    """An answer under way, as one task reads it.

    Attributes:
        ended: whether the batch before was the last.
    """

    ended: bool

    async def next(self) -> list[AnswerEvent]:
        """All events that are there, at least one; waits for it."""

    def cancel(self) -> None:
        """Ask for the end; it still comes as an event."""


class Answering(Protocol):
    """Submits a request; leaving the context early cancels it."""

    def __call__(
        self, inference: Inference, submission: Submission
    ) -> AbstractAsyncContextManager[Reading]:
        """Begin.

        Raises:
            AiplatError: it was refused at once.
        """


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is around the pages.

    Arguments:
        operations: the node.
        answering: submits what the playground asks.
        status_of: the HTTP status of an error.
        bound_hit: counts a bound that was hit, by its name.
        refused: counts a request that was not let in, by its reason.
        max_form_bytes: size of a form.
        form_seconds: how long a form may take to arrive.
        call_seconds: how long the node may take for a page, without passwords.
        deadline_seconds: how long an answer may take.
        comment_seconds: the pause after which a waiting stream is kept alive.
        max_answers: answers of the playground under way at once.
        wall: seconds since 1970 (UTC).
    """

    operations: NodeOperations
    answering: Answering
    status_of: Callable[[AiplatError], int]
    bound_hit: Callable[[str], None]
    refused: Callable[[str], None]
    max_form_bytes: int
    form_seconds: float
    call_seconds: float
    deadline_seconds: float
    comment_seconds: float
    max_answers: int
    wall: Callable[[], float] = time.time
