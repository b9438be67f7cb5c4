"""One answer of the Responses API, from its beginning to its end: the object, and its events. Pure.

How often it is told has no bearing on what it is: a whole answer is what a stream ends with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from aiplat.domain.answers import Delta, Finished, Started
from aiplat.http.errors import problem_of
from aiplat.http.openai_api.responses.events import (
    Completed,
    Created,
    Event,
    FailedEvent,
    Incomplete,
    InProgress,
)
from aiplat.http.openai_api.responses.output import Output, Told
from aiplat.http.openai_api.responses.shapes import (
    ErrorEvent,
    IncompleteDetails,
    Response,
    error_of,
    usage_of,
)


class Answering:
    """An answer under way: `response` is its object at the beginning, and then at its end.

    Arguments:
        beginning: the object at its beginning.
        request: the request's id, which names its items.
        now: seconds since 1970.

    Attributes:
        is_begun: whether its beginning was told: who hears it knows its id.
    """

    def __init__(self, beginning: Response, request: str, now: Callable[[], float]) -> None:
        self.is_begun = False
        self._response = beginning
        self._now = now
        self._told = Told()
        self._output = Output(request, self._told)

    @property
    def beginning(self) -> Response:
        """The object as it was told first."""
        return replace(
            self._response, status="in_progress", output=(), error=None, incomplete_details=None,
            usage=None, completed_at=None,
        )  # fmt: skip

    @property
    def response(self) -> Response:
        """The object: at its beginning, or at its end."""
        return self._response

    def take(self) -> list[Event]:
        """The events since this was asked last."""
        return self._told.take()

    def start(self, started: Started) -> None:
        """Somebody works on it; a later one, after a move, does not change what was told."""
        if not self.is_begun:
            self._response = replace(self._response, model=started.manifest.name)

    def _begin(self) -> None:
        """Tell its beginning, once: when there is something of it, so that who fails before that
        is a plain error.
        """
        if not self.is_begun:
            self.is_begun = True
            told = self._told
            told.add(Created(sequence_number=told.number(), response=self._response))
            told.add(InProgress(sequence_number=told.number(), response=self._response))

    def feed(self, deltas: Iterable[Delta]) -> None:
        """Take what came together."""
        self._begin()
        self._output.feed(deltas)

    def finish(self, end: Finished) -> None:
        """It ended well, or at its bound of tokens."""
        self._begin()
        is_cut = end.reason == "length"
        items = self._output.close("incomplete" if is_cut else "completed")
        usage, number = usage_of(end.usage), self._told.number()
        if is_cut:
            self._response = replace(
                self._response, status="incomplete", output=items, usage=usage,
                incomplete_details=IncompleteDetails(),
            )  # fmt: skip
            self._told.add(Incomplete(sequence_number=number, response=self._response))
            return
        self._response = replace(
            self._response, status="completed", output=items, usage=usage,
            completed_at=int(self._now()),
        )  # fmt: skip
        self._told.add(Completed(sequence_number=number, response=self._response))

    def fail(self, error: Exception) -> None:
        """It went wrong: what has an id tells so itself, else the stream does."""
        number = self._told.number()
        if not self.is_begun:
            problem = problem_of(error)
            self._told.add(ErrorEvent(problem.code, problem.message, problem.param, number))
            return
        self._response = replace(
            self._response, status="failed", output=self._output.now(), error=error_of(error)
        )
        self._told.add(FailedEvent(sequence_number=number, response=self._response))

    def cancel(self) -> None:
        """Who asked has left: there is nobody to tell."""
        self._response = replace(self._response, status="cancelled", output=self._output.now())
