"""Whose texts are read next, and what comes of each request for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aiplat.domain.answers import Delta, Failed, Finished, Started
from aiplat.domain.errors import EngineFailed, Overloaded
from aiplat.domain.usage import Usage
from aiplat.engine.pace import Pace
from aiplat.engine.vector_rows import Text, VectorRow
from aiplat.engine.vector_steps import VectorSteps
from tests.support.dialogue import MANIFEST

COST = 16


def row(number: int, *lengths: int, tag: str = "", **more: Any) -> VectorRow:
    """A request whose texts have so many tokens, each its own number."""
    texts = [[place] * length for place, length in enumerate(lengths)]
    fields = {"credit": 1000, "arrived": 0.0, "deadline": 100.0, "size": 4, "cost": COST} | more
    return VectorRow(number=number, texts=texts, tag=tag, **fields)


def made(text: Text) -> bytes:
    """A vector that tells whose it is, and of which text."""
    return bytes([text.row.number, text.ids[0]]) + bytes(COST - 2)


class Model:
    """Steps whose model takes no time, with what each request heard."""

    def __init__(self, budget: int = 64, most: int = 8) -> None:
        self.steps = VectorSteps(MANIFEST, most=most, pace=Pace(10.0, budget))
        self.heard: dict[int, list[Any]] = {}

    def turn(self, now: float = 1.0) -> list[tuple[int, int]]:
        """A step; gives whose texts it read, and which."""
        texts = self.steps.schedule(now)
        if texts:
            self.steps.postprocess(texts, [made(text) for text in texts], 0.01, now)
        self.note()
        return [(text.row.number, text.ids[0]) for text in texts]

    def note(self) -> None:
        for number, event in self.steps.take_events():
            self.heard.setdefault(number, []).append(event)

    def vectors(self, number: int) -> list[int]:
        """Which texts of a request came as vectors, in order."""
        deltas = [event for event in self.heard.get(number, []) if isinstance(event, Delta)]
        got = [vector for delta in deltas for vector in delta.vectors]
        assert all(vector[0] == number for vector in got)
        return [vector[1] for vector in got]

    def end(self, number: int) -> Any:
        return self.heard[number][-1]


def numbers(read: Sequence[tuple[int, int]]) -> list[int]:
    return [number for number, _ in read]


def test_a_request_is_started_given_its_vectors_and_ended() -> None:
    model = Model()
    model.steps.add(row(1, 3, 4, 5))
    assert model.steps.waiting == 1
    model.turn(now=2.0)
    started, delta, end = model.heard[1]
    assert started == Started(MANIFEST, 12)
    assert len(delta.vectors) == 3
    assert isinstance(end, Finished)
    assert (end.reason, end.usage) == ("stop", Usage(12, 0))
    assert end.timings.total_ms == 2000
    assert model.steps.next_deadline() is None


def test_a_small_request_is_read_in_the_next_step_beside_a_large_one() -> None:
    model = Model(budget=64)
    model.steps.add(row(1, *[8] * 100, credit=10**6))
    assert numbers(model.turn()) == [1] * 8
    model.steps.add(row(2, 8))
    assert 2 in numbers(model.turn())
    assert isinstance(model.end(2), Finished)


def test_requests_of_one_user_have_as_much_as_one_of_another() -> None:
    model = Model(budget=64)
    for number in (1, 2, 3):
        model.steps.add(row(number, *[8] * 100, tag="a", credit=10**6))
    model.steps.add(row(4, *[8] * 100, tag="b", credit=10**6))
    first = numbers(model.turn())
    assert [first.count(number) for number in (1, 2, 3, 4)] == [2, 1, 1, 4], "in one step already"
    read = first + [number for _ in range(5) for number in numbers(model.turn())]
    assert read.count(4) == len(read) / 2
    assert {read.count(number) for number in (1, 2, 3)} == {len(read) / 6}


def test_a_text_over_the_budget_is_read_whole_and_alone() -> None:
    model = Model(budget=16)
    model.steps.add(row(1, 100, 3))
    assert model.turn() == [(1, 0)]
    assert model.turn() == [(1, 1)]
    assert model.vectors(1) == [0, 1]


def test_nothing_is_read_that_its_reader_has_no_credit_for() -> None:
    model = Model()
    model.steps.add(row(1, *[2] * 5, credit=2 * COST))
    assert len(model.turn()) == 2
    assert model.turn() == []
    model.steps.grant(1, -1000)
    model.steps.grant(1, COST)
    model.steps.grant(99, COST)  # one that has ended
    assert model.turn() == [(1, 2)]
    model.steps.grant(1, 10 * COST)
    model.turn()
    assert model.vectors(1) == [0, 1, 2, 3, 4]


def test_one_without_credit_holds_no_other_up() -> None:
    model = Model()
    model.steps.add(row(1, *[2] * 5, credit=COST))
    model.steps.add(row(2, *[2] * 5))
    model.turn()
    assert model.vectors(2) == [0, 1, 2, 3, 4]
    assert model.vectors(1) == [0]


def test_a_cancel_ends_it_with_the_step_that_runs() -> None:
    model = Model(budget=16)
    model.steps.add(row(1, *[8] * 10))
    model.turn()
    texts = model.steps.schedule(1.0)
    model.steps.cancel(1)
    model.steps.postprocess(texts, [made(text) for text in texts], 0.01, 1.0)
    model.note()
    assert model.vectors(1) == [0, 1]  # those of the step before, and no more
    assert model.end(1).reason == "cancelled"
    assert model.end(1).usage == Usage(80, 0)
    assert model.turn() == []
    model.steps.cancel(1)


def test_the_deadline_ends_it_and_says_how_far_it_came() -> None:
    model = Model(budget=16)
    model.steps.add(row(1, *[8] * 10, deadline=5.0))
    assert model.steps.next_deadline() == 5.0
    model.turn()
    assert model.turn(now=5.0) == []
    failed = model.end(1)
    assert isinstance(failed, Failed)
    assert failed.code == "deadline_exceeded"
    assert "5.0 s" in failed.message
    assert "2 of its 10 texts" in failed.message


def test_more_than_it_takes_are_refused() -> None:
    model = Model(most=2)
    model.steps.add(row(1, 1))
    model.steps.add(row(2, 1))
    with pytest.raises(Overloaded, match="tiny has 2 requests, as many as it takes"):
        model.steps.add(row(3, 1))
    model.turn()
    model.steps.add(row(3, 1))


def test_many_vectors_leave_in_several_deltas() -> None:
    model = Model(budget=10_000)
    model.steps.add(row(1, *[1] * 200, cost=1024, credit=10**7))
    model.steps.pace._budget = 10_000  # as after some steps
    texts = model.steps.schedule(1.0)
    model.steps.postprocess(texts, [bytes([1, t.ids[0]]) + bytes(1022) for t in texts], 0.01, 1.0)
    model.note()
    sizes = [len(event.vectors) for event in model.heard[1] if isinstance(event, Delta)]
    assert sizes == [128, 72]
    assert model.vectors(1) == list(range(200))


def test_a_broken_model_ends_all() -> None:
    model = Model()
    model.steps.add(row(1, 1))
    model.steps.add(row(2, 1))
    model.steps.fail(EngineFailed("It broke."))
    model.note()
    assert [model.end(number).message for number in (1, 2)] == ["It broke."] * 2
