"""Sinks that remember and processors that do what a test says."""

from __future__ import annotations

from aiplat.domain.answers import AnswerEvent, AnswerSink, Delta, Finished, Submission
from aiplat.domain.errors import AiplatError
from aiplat.domain.models import ModelOffer
from aiplat.domain.usage import Usage
from tests.support.dialogue import MANIFEST, started


class Kept:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[AnswerEvent] = []

    def deliver(self, event: AnswerEvent) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def end(self) -> AnswerEvent:
        return self.events[-1]


class Work:
    """A request as a scripted processor has it; the test says how it goes on."""

    def __init__(self, submission: Submission, sink: AnswerSink) -> None:
        self.submission = submission
        self.sink = sink
        self.accepted: list[tuple[int, int]] = []
        self.cancelled = False
        self.tokens = 0

    def accept(self, tokens: int, credit: int) -> None:
        self.accepted.append((tokens, credit))

    def cancel(self) -> None:
        self.cancelled = True

    def starts(self) -> Work:
        self.sink.deliver(started())
        return self

    def says(self, text: str, *ids: int) -> Work:
        self.tokens += len(ids or (1,))
        self.sink.deliver(Delta(ids or (1,), text))
        return self

    def finishes(self, reason: str = "stop") -> None:
        end = Finished(reason, Usage(3, self.tokens))  # type: ignore[arg-type]  # test data
        self.sink.deliver(end)


class ScriptedProcessor:
    """An `Inference` that keeps the work it gets, or refuses it."""

    def __init__(self, refusal: AiplatError | None = None) -> None:
        self.work: list[Work] = []
        self.refusal = refusal

    def submit(self, submission: Submission, sink: AnswerSink) -> Work:
        if self.refusal is not None:
            raise self.refusal
        self.work.append(Work(submission, sink))
        return self.work[-1]


def offer(name: str = "tiny", slots: int = 2, **changes: object) -> ModelOffer:
    """A model that is ready; `changes` replace its fields."""
    fields = {"name": name, "state": "ready", "manifest": MANIFEST, "slots": slots} | changes
    return ModelOffer(**fields)  # type: ignore[arg-type]  # test data


class FakeEngine(ScriptedProcessor):
    """An engine of the model `tiny`, which is ready."""

    name = "tiny"

    def offer(self) -> ModelOffer:
        return offer(self.name)
