"""Whatever comes and in whatever order: nothing is lost, nothing said twice, all end once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import Overloaded
from aiplat.domain.models import Manifest
from aiplat.engine.outbox import Outbox
from aiplat.engine.pace import Pace
from aiplat.engine.rows import Draw, Fault, Row, Step
from aiplat.engine.scheduler import Scheduler

MANIFEST = Manifest(
    name="m", weights="", tokenizer="", template="", recipe=1, dtype="", context=4096,
    vocabulary=10_000, backend="none",
)  # fmt: skip
END = 9_999


class Numerals:
    """A voice that says each token as a number; END ends."""

    def __init__(self) -> None:
        self.ended = False

    def say(self, token: int) -> str:
        self.ended = token == END
        return "" if self.ended else f"{token} "

    def flush(self) -> str:
        return ""


@dataclass
class World:
    """A scheduler, a model that counts, and all that was ever said."""

    slots: int = 2
    max_waiting: int = 50
    capacity: int = 10_000
    now: float = 0.0
    said: dict[int, list[AnswerEvent]] = field(default_factory=dict)
    length: dict[int, int] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    started: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            MANIFEST, slots=self.slots, max_waiting=self.max_waiting, capacity=self.capacity,
            pace=Pace(0.2, 64),
        )  # fmt: skip

    def add(
        self, prompt: int, limit: int, ends_at: int = 10**6, credit: int = 1 << 20,
        seconds: float = 1e9,
    ) -> int:  # fmt: skip
        number = len(self.said) + 1
        row = Row(
            number=number, ids=list(range(prompt)), prompt_tokens=prompt, limit=limit,
            draw=Draw(0.0, 1.0, 0), voice=Numerals(), outbox=Outbox(credit), arrived=self.now,
            deadline=self.now + seconds,
        )  # fmt: skip
        self.scheduler.add(row)
        self.said[number], self.length[number] = [], ends_at
        return number

    def turn(self, cancel: int | None = None, fault: int | None = None) -> Step:
        """One turn; `cancel` comes while the model runs."""
        step = self.scheduler.schedule(self.now)
        for slot in step.closed:
            del self.open[slot]
        for slot, length in step.opened:
            assert slot not in self.open
            self.open[slot] = length
        assert sum(self.open.values()) <= self.capacity
        drawn: dict[int, int | Fault] = {}
        for piece in step.pieces:
            assert piece.start == piece.row.read
            assert piece.start + len(piece.ids) <= self.open[piece.slot]
            if piece.draws:
                at = piece.row.said
                drawn[piece.row.number] = END if at == self.length[piece.row.number] else at
                if piece.row.number == fault:
                    drawn[fault] = Fault("NaN")
        self.now += 0.1
        if cancel is not None:
            self.scheduler.cancel(cancel)
        self.scheduler.postprocess(step, drawn, 0.1, self.now)
        self.steps.append(step)
        self.hear()
        return step

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

    def finish(self) -> None:
        """Turn until nobody is left; then nothing may be left over."""
        for _ in range(3000):
            if not self.scheduler.held:
                break
            self.turn()
        assert self.scheduler.held == self.scheduler.running == self.scheduler.waiting == 0
        assert self.scheduler.used == 0.0
        self.turn()
        assert self.open == {}  # no slot was lost


REQUEST = st.fixed_dictionaries(
    {
        "prompt": st.integers(1, 200),
        "limit": st.integers(1, 20),
        "ends_at": st.integers(0, 25),
        "credit": st.sampled_from([0, 8, 100, 1 << 20]),
        "seconds": st.sampled_from([0.05, 1.0, 5.0, 1e6]),
    }
)
EVENT = st.one_of(
    REQUEST,
    st.tuples(
        st.sampled_from(["cancel", "cancel in a step", "credit", "fault"]), st.integers(1, 8)
    ),
    st.just("turn"),
)


@given(st.lists(EVENT, max_size=40), st.integers(1, 4), st.integers(250, 1000))
def test_all_end_once_and_nothing_is_lost(events: list[object], slots: int, capacity: int) -> None:
    world = World(slots=slots, capacity=capacity)
    cancelled: set[int] = set()
    for event in events:
        if isinstance(event, dict):
            world.add(**event)
        elif isinstance(event, tuple):
            what, number = event
            if number not in world.said:
                continue
            if what == "credit":
                world.scheduler.grant(number, 24)
            elif what == "fault":
                world.turn(fault=number)
            else:
                cancelled.add(number)
                before = len(world.ids(number))
                if what == "cancel":
                    world.scheduler.cancel(number)
                    world.turn()
                else:
                    world.turn(cancel=number)
                assert world.ended(number)  # at the end of the step, in every state
                if what == "cancel":
                    assert len(world.ids(number)) == before  # no token once it was asked for
        else:
            world.turn()
    for number in world.said:
        world.scheduler.grant(number, 1 << 20)
    world.finish()
    for number in world.said:
        end, ids = world.end(number), world.ids(number)
        assert [token for token in ids if token != END] == list(range(len(ids) - (END in ids)))
        assert end.usage is not None
        assert end.usage.completion_tokens == len(ids)
        if isinstance(end, Finished) and end.reason == "cancelled":
            assert number in cancelled


def test_first_come_first_served() -> None:
    world = World(slots=2, capacity=100)
    numbers = [world.add(10, 40) for _ in range(5)]
    world.finish()
    assert world.started == numbers


def test_a_long_prompt_holds_back_no_short_one() -> None:
    world = World(slots=4)
    long = world.add(4000, 1)
    world.turn()
    short = world.add(20, 3)
    turns = 0
    while not world.ended(short):
        world.turn()
        turns += 1
    assert turns <= 5
    assert not world.ended(long)
    world.finish()


def test_a_step_reads_no_more_than_its_budget() -> None:
    world = World(slots=8)
    for _ in range(6):
        world.add(1000, 5)
    world.finish()
    assert max(sum(len(p.ids) for p in step.pieces) for step in world.steps) <= 64 + 8


def test_prompts_are_read_in_turn() -> None:
    world = World(slots=6)
    numbers = [world.add(300, 1) for _ in range(6)]
    for _ in range(6):
        world.turn()
    read = dict.fromkeys(numbers, 0)
    for step in world.steps:
        for piece in step.pieces:
            read[piece.row.number] += len(piece.ids)
    assert min(read.values()) > 0
    assert max(read.values()) - min(read.values()) <= 64
    world.finish()


def test_a_reader_without_credit_holds_back_no_other() -> None:
    world = World(slots=2)
    stalled = world.add(5, 10, credit=12)
    other = world.add(5, 10)
    for _ in range(15):
        world.turn()
    assert world.ended(other)
    assert sum(e.cost for e in world.said[stalled] if isinstance(e, Delta)) <= 12
    world.scheduler.grant(stalled, 1000)
    world.finish()
    assert world.ids(stalled) == list(range(10))


def test_deadline_names_the_stage() -> None:
    world = World(slots=1)
    world.add(5, 1000, seconds=1e6)
    late = world.add(5, 5, seconds=0.35)
    for _ in range(6):
        world.turn()
    end = world.end(late)
    assert isinstance(end, Failed)
    assert end.code == "deadline_exceeded"
    assert "slot" in end.message


def test_a_full_queue_refuses_with_a_time() -> None:
    world = World(slots=1, max_waiting=1)
    world.add(5, 5)
    world.turn()
    world.add(5, 5)
    with pytest.raises(Overloaded) as refused:
        world.add(5, 5)
    assert refused.value.retry_after is not None
    queued = world.turn()
    assert queued
    assert isinstance(world.said[2][0], Queued)
    world.finish()


def test_a_fault_fails_one_alone() -> None:
    world = World(slots=3)
    first, second = world.add(5, 5), world.add(5, 5)
    world.turn(fault=first)
    world.finish()
    end = world.end(first)
    assert isinstance(end, Failed)
    assert end.code == "engine_failed"
    assert isinstance(world.end(second), Finished)
