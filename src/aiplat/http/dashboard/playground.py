"""The playground: a conversation with a model, streamed, or whole where there is no script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import trio
from starlette.responses import Response

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started, Submission
from aiplat.domain.deltas import coalesced
from aiplat.domain.errors import AiplatError, DeadlineExceeded
from aiplat.http.dashboard.asking import SLACK, Answers, read_question, said_before, when_gone
from aiplat.http.dashboard.forms import FINE, Form, Problem
from aiplat.http.dashboard.headers import PAGE
from aiplat.http.dashboard.models import generating, known_models
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.surroundings import Surroundings
from aiplat.http.dashboard.visit import Visit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LINES = "application/x-ndjson"
"""One JSON object a line; an empty line keeps the connection alive."""
_LEAST_WRITING = 0.05
"""Seconds; a speed over less says nothing."""


class Playground:
    """The page, and what it asks for.

    Arguments:
        around: the node, and the door.
    """

    STREAM = "/playground/stream"

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._answers = Answers(around)
        self._page = Page(
            "/playground", "user", self._show,
            {"/playground": self._ask_whole, "/playground/stop": self._stop},
        )  # fmt: skip

    def page(self) -> Page:
        """The page."""
        return self._page

    async def _show(self, visit: Visit, problem: Problem) -> Response:
        return await self._shown(visit, problem, said_before(visit.form))

    async def _shown(
        self, visit: Visit, problem: Problem, turns: list[tuple[str, str]],
        end: Finished | None = None,
    ) -> Response:  # fmt: skip
        models, no_models = await known_models(visit)
        return render(
            visit, "playground.html", problem, models=generating(models), no_models=no_models,
            turns=turns, facts=facts(end) if end is not None else "", stream=self.STREAM,
            wanted=visit.query.line("model"),
        )  # fmt: skip

    async def _ask_whole(self, visit: Visit) -> Response:
        """Without a script: the whole answer, on a page."""
        submission = read_question(visit)
        heard = _Heard()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(when_gone, visit.request.receive, nursery.cancel_scope)
            await heard.all_of(self._answers, submission, visit)
            nursery.cancel_scope.cancel()
        if heard.failure is not None:
            raise heard.failure
        turns = said_before(visit.form)
        turns += [("user", visit.form.text("prompt")), ("assistant", "".join(heard.texts))]
        kept = {name: visit.form.all(name) for name in ("model", "system", "temperature",
                                                        "max_tokens")}  # fmt: skip
        visit.form = Form(kept)
        return await self._shown(visit, FINE, turns, heard.end)

    async def stream(self, visit: Visit) -> Response:
        """The answer as lines, as they come."""
        return _Lines(self, self._answers, read_question(visit), visit)

    async def _stop(self, visit: Visit) -> Response:
        there = self._answers.stop(visit.form.line("request"), visit.me.user.id)
        return Response(status_code=204 if there else 404, headers=PAGE)

    def refused(self, message: str, status: int) -> Response:
        """An answer that there is none, as a line."""
        return Response(_line(failed=message), status, PAGE, LINES)


class _Heard:
    """A whole answer."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.end: Finished | None = None
        self.failure: AiplatError | None = None

    async def all_of(self, answers: Answers, submission: Submission, visit: Visit) -> None:
        """Read it to its end."""
        seconds = visit.around.deadline_seconds
        try:
            with trio.move_on_after(seconds + SLACK) as limit:
                async with answers.begin(submission, visit.me.user.id) as reading:
                    while not reading.ended:
                        for event in await reading.next():
                            self._take(event)
            if limit.cancelled_caught:
                self.failure = _late(seconds)
        except AiplatError as error:
            self.failure = error

    def _take(self, event: AnswerEvent) -> None:
        if isinstance(event, Delta):
            self.texts.append(event.text)
        elif isinstance(event, Finished):
            self.end = event
        elif isinstance(event, Failed):
            self.failure = event.error()


class _Lines(Response):
    """Sends an answer line by line (ASGI); its head waits until it is known not to be refused."""

    def __init__(
        self, playground: Playground, answers: Answers, submission: Submission, visit: Visit
    ) -> None:
        super().__init__(None, 200)
        self._playground = playground
        self._answers = answers
        self._submission = submission
        self._visit = visit
        self._begun = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        seconds = self._visit.around.deadline_seconds
        async with trio.open_nursery() as nursery:
            nursery.start_soon(when_gone, receive, nursery.cancel_scope)
            try:
                with trio.move_on_after(seconds + SLACK) as limit:
                    await self._give(send)
                if limit.cancelled_caught:
                    await self._fail(scope, receive, send, _late(seconds))
            except AiplatError as error:
                await self._fail(scope, receive, send, error)
            nursery.cancel_scope.cancel()

    async def _give(self, send: Send) -> None:
        user, pause = self._visit.me.user.id, self._visit.around.comment_seconds
        async with self._answers.begin(self._submission, user) as reading:
            await self._write(send, _line(request=self._submission.id))
            while not reading.ended:
                batch: list[AnswerEvent] = []
                with trio.move_on_after(pause):
                    batch = await reading.next()
                data = b"".join(map(_line_of, coalesced(batch))) if batch else b"\n"
                await self._write(send, data, more=not reading.ended)

    async def _write(self, send: Send, data: bytes, *, more: bool = True) -> None:
        if not self._begun:
            self._begun = True
            headers = {**PAGE, "content-type": LINES, "x-accel-buffering": "no"}
            head = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": data, "more_body": more})

    async def _fail(self, scope: Any, receive: Any, send: Send, error: AiplatError) -> None:
        if self._begun:
            await self._write(send, _line(failed=str(error)), more=False)
            return
        status = self._visit.around.status_of(error)
        await self._playground.refused(str(error), status)(scope, receive, send)


def _late(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"The answer did not end within its deadline of {seconds:g} seconds.")


def _line_of(event: AnswerEvent) -> bytes:
    match event:
        case Delta():
            return _line(text=event.text)
        case Queued():
            return _line(queued=event.place, reason=event.reason)
        case Started():
            return _line(started=event.manifest.name)
        case Finished():
            return _line(finished=facts(event), reason=event.reason)
        case Failed():
            return _line(failed=event.message)


def _line(**values: object) -> bytes:
    return msgspec.json.encode(values) + b"\n"


def facts(end: Finished) -> str:
    """What an answer came to, in words."""
    usage, timings = end.usage, end.timings
    parts = [f"{usage.prompt_tokens} tokens of prompt"]
    if usage.cached_tokens:
        parts[0] += f" ({usage.cached_tokens} known already)"
    parts.append(f"{usage.completion_tokens} of answer")
    if timings.first_token_ms:
        parts.append(f"first after {timings.first_token_ms / 1000:.2f} s")
    if timings.total_ms:
        parts.append(f"{timings.total_ms / 1000:.2f} s in all")
    writing = (timings.total_ms - timings.first_token_ms) / 1000
    if writing >= _LEAST_WRITING and usage.completion_tokens > 1:
        parts.append(f"{(usage.completion_tokens - 1) / writing:.1f} tokens a second")
    words = {"length": "cut at the most tokens", "cancelled": "stopped by you"}
    if end.reason in words:
        parts.append(words[end.reason])
    return " · ".join(parts)
