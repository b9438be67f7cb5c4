"""Stored answers in memory alone (`StoredAnswers`), for a fake node."""

from __future__ import annotations

from msgspec.structs import replace

from aiplat.control.stored import StoredAnswer
from aiplat.domain.errors import AiplatError


class FakeStored:
    """Keeps answers by user and id; a test looks at `answers`, and may refuse by `not_ready`."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.not_ready: AiplatError | None = None
        self.puts: list[StoredAnswer] = []

    def ready(self) -> None:
        if self.not_ready is not None:
            raise self.not_ready

    def put(self, answer: StoredAnswer) -> None:
        self.puts.append(answer)
        self.answers[answer.owner, answer.id] = answer

    def end(self, owner: str, answer: str, body: bytes) -> None:
        if found := self.answers.get((owner, answer)):
            self.answers[owner, answer] = replace(found, body=body, state="ended")

    async def read(self, owner: str, answer: str) -> StoredAnswer | None:
        self.ready()
        return self.answers.get((owner, answer))

    async def chain(self, owner: str, answer: str) -> tuple[StoredAnswer, ...]:
        self.ready()
        found: list[StoredAnswer] = []
        while answer and (one := self.answers.get((owner, answer))):
            found.insert(0, one)
            answer = one.previous
        return tuple(found)

    async def delete(self, owner: str, answer: str) -> bool:
        self.ready()
        return self.answers.pop((owner, answer), None) is not None
