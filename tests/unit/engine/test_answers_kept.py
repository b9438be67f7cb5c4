"""The scheduler and answers that keep to a grammar or call tools: how they end, what is let go."""

from __future__ import annotations

from aiplat.domain.answers import CallPiece, Delta, Failed, Finished
from aiplat.engine.rows import Row
from tests.support.counting import Numerals, World


class Counting:
    """A matcher that has the numbers up to `last`."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.ended = False

    def allowed(self, width: int) -> list[int]:
        return list(range(width))

    def take(self, token: int) -> bool:
        self.ended = token == self.last
        return token <= self.last


class Calling(Numerals):
    """A voice whose fourth token makes a call whole, and which says no more than that."""

    called = False

    def __init__(self) -> None:
        super().__init__()
        self._calls: tuple[CallPiece, ...] = ()

    def say(self, token: int) -> str:
        super().say(token)
        if token == 3:
            self.called = True
            self._calls = (CallPiece(0, "now", "{"), CallPiece(0, "", "}"))
        return ""

    def take_calls(self) -> tuple[CallPiece, ...]:
        calls, self._calls = self._calls, ()
        return calls


def asked(world: World, limit: int = 50, ends_at: int = 1000, credit: int = 1 << 20) -> Row:
    return world.rows[world.add(5, limit, ends_at, credit)]


def end(world: World, row: Row) -> Finished:
    world.finish()
    ended = world.end(row.number)
    assert isinstance(ended, Finished)
    return ended


def test_a_grammar_that_is_complete_ends_its_answer_without_another_token() -> None:
    world = World()
    row, other = asked(world), asked(world, limit=9)
    row.matcher = Counting(4)
    assert end(world, row).reason == "stop"
    assert world.ids(row.number) == [0, 1, 2, 3, 4]
    assert world.ids(other.number) == list(range(9))


def test_an_answer_that_ends_or_is_cut_before_that_says_so() -> None:
    world = World()
    cut, own = asked(world, limit=3), asked(world, ends_at=2)
    cut.matcher, own.matcher = Counting(40), Counting(40)
    assert end(world, cut).reason == "length"
    own_end = world.end(own.number)
    assert isinstance(own_end, Finished)
    assert own_end.reason == "stop"


def test_a_token_that_the_grammar_has_not_ends_that_answer_alone() -> None:
    world = World()
    row, other = asked(world), asked(world, limit=6)
    row.matcher = Counting(-1)
    world.finish()
    failed = world.end(row.number)
    assert isinstance(failed, Failed)
    assert not failed.recoverable
    assert len(world.ids(other.number)) == 6


def test_an_ended_or_cancelled_answer_lets_its_grammar_go() -> None:
    world = World(slots=1)
    done, left, waits = asked(world), asked(world), asked(world)
    for row in (done, left, waits):
        row.matcher = Counting(2)
    world.turn()
    world.scheduler.cancel(waits.number)
    world.turn()
    assert waits.matcher is None
    world.scheduler.cancel(left.number)
    world.finish()
    assert done.matcher is None
    assert left.matcher is None


def test_what_was_said_elsewhere_may_be_all() -> None:
    world = World()
    row = asked(world)
    row.matcher = Counting(0)
    row.matcher.ended = True
    assert end(world, row).reason == "stop"
    assert world.ids(row.number) == []


def test_calls_go_after_their_tokens_and_are_the_reason() -> None:
    world = World()
    row = asked(world, ends_at=5, credit=60)
    row.voice = Calling()
    for _ in range(12):
        world.turn()
    assert not world.ended(row.number)  # no credit for a piece of the call
    world.scheduler.grant(row.number, 4000)
    assert end(world, row).reason == "tool_calls"
    pieces = [p for e in world.said[row.number] if isinstance(e, Delta) for p in e.calls]
    assert pieces == [CallPiece(0, "now", "{"), CallPiece(0, "", "}")]


def test_a_call_and_then_the_limit_is_length() -> None:
    world = World()
    row = asked(world, limit=6)
    row.voice = Calling()
    assert end(world, row).reason == "length"
