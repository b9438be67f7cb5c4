"""A scheduler with a model that counts, a cache that remembers, and all that was ever said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiplat.domain.answers import AnswerEvent, CallPiece, Delta, Failed, Finished, Queued, Started
from aiplat.domain.models import Manifest
from aiplat.engine.outbox import Outbox
from aiplat.engine.pace import Pace
from aiplat.engine.prefixes import Prefixes
from aiplat.engine.rows import Draw, Drawn, Fault, Opening, Row, Step
from aiplat.engine.scheduler import Scheduler

MANIFEST = Manifest(
    name="m", weights="", tokenizer="", template="", recipe=1, dtype="", context=4096,
    vocabulary=10_000, backend="none",
)  # fmt: skip
END = 9_999


class Numerals:
    """A voice that says each token as a number; END ends."""

    stop, called = "", False

    def __init__(self) -> None:
        self.ended = False

    def take_calls(self) -> tuple[CallPiece, ...]:
        return ()

    def say(self, token: int) -> str:
        self.ended = token == END
        return "" if self.ended else f"{token} "

    def flush(self) -> str:
        return ""

    def is_end(self, token: int) -> bool:
        return token == END


@dataclass
class World:
    """Fails when the scheduler breaks its word to the backend."""

    slots: int = 2
    max_waiting: int = 50
    capacity: int = 10_000
    prefix_places: int = 2
    least: int = 4
    shared: bool = False
    now: float = 0.0
    said: dict[int, list[AnswerEvent]] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    length: dict[int, int] = field(default_factory=dict)
    cache: dict[int, list[int]] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    started: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            MANIFEST, slots=self.slots, max_waiting=self.max_waiting, capacity=self.capacity,
            pace=Pace(0.2, 64), spell=lambda token: f"{token} ".encode(),
            prefixes=Prefixes(self.slots + self.prefix_places, self.least, shared=self.shared),
        )  # fmt: skip

    def add(
        self, prompt: int | Sequence[int], limit: int, ends_at: int = 10**6,
        credit: int = 1 << 20, seconds: float = 1e9, tag: str = "",
    ) -> int:  # fmt: skip
        """Ask; a prompt that is given as a number of tokens begins like every other one."""
        ids = list(range(prompt)) if isinstance(prompt, int) else list(prompt)
        number = len(self.said) + 1
        row = Row(
            number=number, ids=ids, prompt_tokens=len(ids), limit=limit,
            draw=Draw(0.0, 1.0, 0), voice=Numerals(), outbox=Outbox(credit), arrived=self.now,
            deadline=self.now + seconds, tag=tag,
        )  # fmt: skip
        self.scheduler.add(row)
        self.said[number], self.length[number], self.rows[number] = [], ends_at, row
        return number

    def turn(self, cancel: int | None = None, fault: int | None = None) -> Step:
        """One turn; `cancel` comes while the model runs."""
        step = self.scheduler.schedule(self.now)
        for place in step.closed:
            del self.cache[place]
        for opening in step.opened:
            self._open(opening)
        drawn: dict[int, Drawn | Fault] = {}
        for piece in step.pieces:
            held = self.cache[piece.place]
            assert held == piece.row.ids[: piece.start], "the cache does not hold what was read"
            held += piece.ids
            assert len(held) <= piece.row.need
            if piece.draws:
                at = piece.row.said
                end = at == self.length[piece.row.number]
                drawn[piece.row.number] = Drawn(END if end else at)
                if piece.row.number == fault:
                    drawn[fault] = Fault("NaN")
        self._count_memory()
        self.now += 0.1
        if cancel is not None:
            self.scheduler.cancel(cancel)
        self.scheduler.postprocess(step, drawn, 0.1, self.now)
        self.steps.append(step)
        self.hear()
        return step

    def _open(self, opening: Opening) -> None:
        (row,) = (row for row in self.rows.values() if row.place == opening.place)
        assert 0 <= opening.place < self.slots + self.prefix_places
        kept: list[int] = []
        if opening.kept:
            assert opening.kept >= self.least
            assert self.shared or self.owner[opening.source] == row.tag
            kept = self.cache[opening.source][: opening.kept]
            assert len(kept) == opening.kept
        self.cache[opening.place] = kept
        self.owner[opening.place] = row.tag

    def _count_memory(self) -> None:
        at_work = {row.place: row.need for row in self.rows.values() if row.place >= 0}
        assert len(at_work) <= self.slots
        kept = [len(ids) for place, ids in self.cache.items() if place not in at_work]
        assert sum(at_work.values()) + sum(kept) <= self.capacity

    def hear(self) -> None:
        for number, event in self.scheduler.take_events():
            events = self.said[number]
            assert not self.ended(number), "an event after the end"
            if isinstance(event, Delta):
                assert any(isinstance(other, Started) for other in events)
            if isinstance(event, Queued | Started):
                assert not any(isinstance(other, Started) for other in events)
            events.append(event)
            if isinstance(event, Started):
                self.started.append(number)

    def ended(self, number: int) -> bool:
        return any(isinstance(event, Finished | Failed) for event in self.said[number])

    def ids(self, number: int) -> list[int]:
        return [i for event in self.said[number] if isinstance(event, Delta) for i in event.ids]

    def end(self, number: int) -> Finished | Failed:
        end = self.said[number][-1]
        assert isinstance(end, Finished | Failed)
        return end

    def read(self, tag: str) -> int:
        """Tokens that were read and drawn for `tag`."""
        pieces = (piece for step in self.steps for piece in step.pieces)
        return sum(len(piece.ids) for piece in pieces if piece.row.tag == tag)

    def finish(self) -> None:
        """Turn until nobody is left; then nothing may be left over."""
        for _ in range(5000):
            if not self.scheduler.held:
                break
            self.turn()
        assert self.scheduler.held == self.scheduler.running == self.scheduler.waiting == 0
        assert self.scheduler.used == 0.0
        self.turn()
        prefixes = self.scheduler.prefixes
        assert prefixes.kept == sum(map(len, self.cache.values())) <= self.capacity
        # No slot was lost: as many as ever run at once, each in a place of its own.
        rows = [self._probe() for _ in range(self.slots)]
        self.turn()
        assert len({row.place for row in rows} - {-1}) == self.slots
        for row in rows:
            self.scheduler.cancel(row.number)
        self.turn()

    def _probe(self) -> Row:
        return self.rows[self.add([10_000 + len(self.said)], 5, credit=0)]
