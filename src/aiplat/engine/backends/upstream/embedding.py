"""A request for vectors at an upstream: an `Exchange` that asks for them slice by slice."""

from __future__ import annotations

import trio

from aiplat.domain.answers import AnswerSink, Started, Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import AiplatError, ModelNotFound, UnsupportedParameter
from aiplat.engine.backends.upstream.body import Dialect
from aiplat.engine.backends.upstream.exchange import Desk, Exchange
from aiplat.engine.backends.upstream.server import Answered, late
from aiplat.engine.backends.upstream.vectors import (
    AT_ONCE,
    MAX_ANSWER,
    HeardVectors,
    request_body,
)

_NO_SUCH_ROUTE = (404, 405, 501)


class Embedding(Exchange):
    """A request under way (`Asking`).

    Arguments:
        submission: what is asked.
        sink: where its events go.
        work: of the submission.
        desk: the engine.
    """

    def __init__(self, submission: Submission, sink: AnswerSink, work: Embed, desk: Desk) -> None:
        self._vectors = HeardVectors(desk.name, submission, work)
        self._texts = work
        super().__init__(submission, sink, self._vectors, desk)

    async def _ask(self, dialect: Dialect) -> None:
        desk, settings = self._desk, self._desk.settings
        for first in range(0, len(self._texts.inputs), AT_ONCE):
            body = request_body(desk.there, self._texts, first, desk.kind)
            deadline = trio.current_time() + settings.first_token_seconds
            data = None
            with trio.CancelScope(deadline=deadline) as self._stage:
                data = await desk.server.embed(body, MAX_ANSWER)
            if data is None:
                limit = settings.first_token_seconds
                raise late(desk.name, "its vectors", limit, "first_token_seconds")
            if self._started is None:
                self._deliver(Started(desk.manifest, 0, exact=False))
            try:
                self._vectors.take(data)
            finally:
                self._came()
            self._stage = trio.CancelScope()
            await self._pass_on()
        self._finish()

    def _refused(self, answer: Answered) -> AiplatError:
        """What it does not do is no fault of its: the model is still there for answers."""
        error = self._error_of(answer)
        if answer.status in _NO_SUCH_ROUTE or isinstance(error, ModelNotFound):
            return UnsupportedParameter(
                f"The upstream of {self._desk.name} makes no embeddings (status {answer.status}): "
                "ask another model.",
                param="model",
                recoverable=True,  # another's may
            )
        return super()._refused(answer)
