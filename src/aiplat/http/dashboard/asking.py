"""What the playground asks: read out of its form, submitted as who is logged in, and stopped."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from aiplat.domain.answers import Submission, check_submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import InvalidRequest, Overloaded
from aiplat.http.dashboard.forms import Form
from aiplat.http.dashboard.surroundings import Reading, Surroundings
from aiplat.http.dashboard.visit import Visit

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

SLACK = 0.5
"""Seconds past the deadline: who serves it ends it first, and names the stage that was slow."""


def read_question(visit: Visit) -> Submission:
    """The request that the form stands for.

    Raises:
        InvalidRequest: something in it is missing, or out of its bounds.
    """
    form = visit.form
    if not form.line("prompt"):
        raise InvalidRequest("Type something to ask.", param="prompt")
    if not form.line("model"):
        raise InvalidRequest("Choose a model.", param="model")
    most = form.line("max_tokens")
    submission = Submission(
        id=f"req-{secrets.token_hex(12)}",
        to="gateway",
        work=Generate(
            _messages(form),
            Sampling(
                temperature=form.decimal("temperature", "The temperature"),
                max_tokens=form.whole("max_tokens", 1, 1_000_000, "Most tokens") if most else None,
            ),
        ),
        model=form.line("model"),
        deadline_ms=round(visit.around.deadline_seconds * 1000),
        credential=visit.session,
    )
    check_submission(submission)
    return submission


def said_before(form: Form) -> list[tuple[str, str]]:
    """The conversation until now: who said what, in turns, the person first."""
    return [
        ("assistant" if place % 2 else "user", _unix(text))
        for place, text in enumerate(form.all("said"))
    ]


def _messages(form: Form) -> tuple[Message, ...]:
    messages = []
    if form.line("system"):
        messages.append(Message("system", _unix(form.text("system"))))
    for who, text in said_before(form):
        messages.append(Message("assistant" if who == "assistant" else "user", text))
    messages.append(Message("user", _unix(form.text("prompt"))))
    return tuple(messages)


def _unix(text: str) -> str:
    """A form's lines end in CR and LF (HTML, 4.10.21.8); a model was told nothing of that."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Answers:
    """The playground's answers under way.

    Arguments:
        around: the node, and the door.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._running = 0
        self._readings: dict[str, tuple[str, Reading]] = {}

    @asynccontextmanager
    async def begin(self, submission: Submission, user: str) -> AsyncIterator[Reading]:
        """Submit, and read; leaving the context early cancels the answer.

        Raises:
            AiplatError: it was refused, or too many are under way.
        """
        around = self._around
        if self._running >= around.max_answers:
            around.bound_hit("http_requests")
            raise Overloaded(
                f"This node already gives {self._running} answers to pages, as many as it may "
                "(http.max_requests). Try again in a moment.",
                retry_after=1.0,
            )
        self._running += 1
        try:
            inference = await around.operations.inference("")
            async with around.answering(inference, submission) as reading:
                self._readings[submission.id] = (user, reading)
                yield reading
        finally:
            self._running -= 1
            self._readings.pop(submission.id, None)

    def stop(self, request: str, user: str) -> bool:
        """End an answer of that user's; its end still comes. False where there is none."""
        whose, reading = self._readings.get(request, ("", None))
        if reading is None or whose != user:
            return False
        reading.cancel()
        return True


async def when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel `scope` when whoever asked leaves: no server ends what works for one that is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
