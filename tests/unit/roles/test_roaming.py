"""A request of this node's own on its way through one gateway or the next."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started, Submission
from aiplat.domain.errors import (
    AiplatError,
    GatewayLost,
    InvalidRequest,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    ProcessorLost,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId
from aiplat.roles.roaming import SLACK_SECONDS, Roaming
from tests.support.dialogue import submission
from tests.support.scripted import Kept, ScriptedProcessor, Work

LOST = Failed.of(GatewayLost("it died"))
SILENCE = 300.0


class Gateway(ScriptedProcessor):
    """A gateway that does what the test says."""

    def __init__(self, peer: str, refusal: AiplatError | None = None) -> None:
        super().__init__(refusal)
        self.peer = PeerId(peer)


class Way:
    """A request, the gateways that it may go through, and a clock set by hand."""

    def __init__(self, *gateways: Gateway, attempts: int = 2, **changes: Any) -> None:
        self.now = 1000.0
        self.sink = Kept()
        self.ends = 0
        self.refused: list[PeerId] = []
        self.may_come = False
        self._gateways = gateways
        self.roaming = Roaming(
            submission(**changes), self.sink, self._next, lambda: self.now, self._ended,
            attempts=attempts, on_refused=self.refused.append,
            may_come=lambda tried: self.may_come, patience=5.0,
        )  # fmt: skip
        self.roaming.begin(gateways[0])

    def _next(self, tried: list[PeerId]) -> Gateway | None:
        return next((g for g in self._gateways if g.peer not in tried), None)

    def _ended(self, roaming: Roaming) -> None:
        assert roaming is self.roaming
        self.ends += 1

    def after(self, seconds: float) -> Way:
        """Let time pass, and look."""
        self.now += seconds
        self.roaming.look(SILENCE)
        return self

    def comes(self, gateway: Gateway) -> None:
        """One more can be asked."""
        self._gateways = (*self._gateways, gateway)
        self.roaming.move_on()

    @property
    def failed(self) -> Failed:
        """The one end, which is a failure."""
        assert self.ends == 1
        assert isinstance(self.sink.end, Failed)
        return self.sink.end


def the_work(gateway: Gateway) -> Work:
    """What a gateway was asked, once."""
    [work] = gateway.work
    return work


def test_each_gateway_that_was_tried_counts() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).starts()
    assert way.sink.events == []  # until its first token another may take its place
    the_work(one).sink.deliver(LOST)
    the_work(two).starts().says("Paris").finishes()
    assert isinstance(way.sink.events[0], Started)
    assert way.sink.events[0].attempts == 2
    assert way.sink.text == "Paris"
    assert way.roaming.tried == ["one", "two"]
    assert way.ends == 1


def test_after_the_first_token_it_is_told() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).starts().says("Pa").sink.deliver(LOST)
    assert [type(event) for event in way.sink.events] == [Started, Delta, Failed]
    assert way.failed.code == "gateway_lost"
    assert two.work == []


def test_that_it_waits_is_told_at_once_and_it_may_still_move() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).sink.deliver(Queued(3))
    assert way.sink.events == [Queued(3)]
    the_work(one).sink.deliver(Failed.of(ShuttingDown("it drains")))
    the_work(two).starts().says("Paris").finishes()
    assert way.sink.text == "Paris"


@pytest.mark.parametrize("error", [ProcessorLost("it died"), InvalidRequest("it is wrong")])
def test_what_the_gateway_tried_to_mend_or_is_the_requests_own_is_told(error: AiplatError) -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).sink.deliver(Failed.of(error))
    assert way.failed == Failed.of(error)
    assert two.work == []


def test_a_gateway_that_cannot_even_be_asked_is_passed_over() -> None:
    one, two = Gateway("one", GatewayLost("it went")), Gateway("two")
    way = Way(one, two)
    the_work(two).starts().says("Paris").finishes()
    assert way.sink.text == "Paris"
    assert way.roaming.tried == ["one", "two"]


NOBODY = NoProcessor("Nobody serves it.", retry_after=5)
FULL = Overloaded("It is full.", retry_after=1)
UNKNOWN = ModelNotFound("There is no model 'x'.")


@pytest.mark.parametrize("error", [NOBODY, FULL, UNKNOWN, ShuttingDown("it drains")])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_another_gateway_may_have_is_asked_there(error: AiplatError, at_once: bool) -> None:
    one, two = Gateway("one", error if at_once else None), Gateway("two")
    way = Way(one, two)
    if not at_once:
        the_work(one).sink.deliver(Failed.of(error))
    the_work(two).starts().says("Paris").finishes()
    assert way.sink.text == "Paris"
    assert way.roaming.tried == ["one", "two"]
    assert way.refused == (["one"] if error in (NOBODY, UNKNOWN) else [])


def test_a_refusal_that_no_gateway_mends_is_raised_as_it_is() -> None:
    wrong, two = InvalidRequest("it is wrong"), Gateway("two")
    with pytest.raises(InvalidRequest) as caught:
        Way(Gateway("one", wrong), two)
    assert caught.value is wrong
    assert two.work == []


@pytest.mark.parametrize(
    ("first", "second", "told", "other"),
    [
        (UNKNOWN, NOBODY, NOBODY, "one (knows no such model)"),
        (GatewayLost("It went."), FULL, FULL, "one (was lost)"),
        (FULL, UNKNOWN, FULL, "two (knows no such model)"),
        (UNKNOWN, UNKNOWN, UNKNOWN, "one (knows no such model)"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_when_all_refuse_the_end_names_them(
    first: AiplatError, second: AiplatError, told: AiplatError, other: str, at_once: bool
) -> None:
    """That one knows no such model is no news when another, that is full, may have it."""
    if at_once:
        with pytest.raises(AiplatError) as caught:
            Way(Gateway("one", first), Gateway("two", second))
        failed = Failed.of(caught.value)
    else:
        one, two = Gateway("one"), Gateway("two")
        way = Way(one, two)
        the_work(one).sink.deliver(Failed.of(first))
        the_work(two).sink.deliver(Failed.of(second))
        failed = way.failed
    assert failed.code == told.code
    assert failed.message == f"{told.message} Tried too: the gateway {other}."


def test_a_refusal_after_a_move_is_the_end() -> None:
    one, two = Gateway("one"), Gateway("two", Overloaded("it is full", retry_after=1))
    way = Way(one, two)
    the_work(one).sink.deliver(LOST)
    assert way.failed.code == "overloaded"
    assert way.failed.retry_after_ms == 1000


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_so_many_gateways_are_tried_and_no_more(attempts: int) -> None:
    gateways = [Gateway(name) for name in "abcd"]
    way = Way(*gateways, attempts=attempts)
    for gateway in gateways[:attempts]:
        the_work(gateway).sink.deliver(LOST)
    assert way.failed.code == "gateway_lost"
    assert [len(gateway.work) for gateway in gateways] == [1] * attempts + [0] * (4 - attempts)


def test_without_another_gateway_it_is_told() -> None:
    one = Gateway("one")
    way = Way(one)
    the_work(one).sink.deliver(LOST)
    assert way.failed == LOST


def test_who_cancelled_wants_no_other_gateway() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    way.roaming.cancel()
    assert the_work(one).cancelled
    the_work(one).sink.deliver(LOST)
    assert way.failed == LOST
    assert two.work == []


def test_what_the_first_gateway_says_later_is_void() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).sink.deliver(LOST)
    the_work(one).starts().says("London").finishes()
    the_work(two).starts().says("Paris").finishes()
    the_work(two).sink.deliver(LOST)
    assert way.sink.text == "Paris"
    assert isinstance(way.sink.end, Finished)
    assert way.ends == 1


GOES = [LOST, Failed.of(ShuttingDown("it drains"))]


@pytest.mark.parametrize("failed", GOES, ids=lambda failed: failed.code)
def test_one_that_is_being_reached_again_is_waited_for_a_little(failed: Failed) -> None:
    """While gateways are restarted one by one, the one may go before the other is back."""
    one, two = Gateway("one"), Gateway("two")
    way = Way(one)
    way.may_come = True
    the_work(one).sink.deliver(failed)
    way.after(4.9)
    assert way.ends == 0
    way.comes(two)
    the_work(two).starts().says("Paris").finishes()
    assert way.sink.text == "Paris"
    assert isinstance(way.sink.events[0], Started)
    assert way.sink.events[0].attempts == 2
    assert way.ends == 1


@pytest.mark.parametrize(
    "why", ["too late", "it is given up", "the deadline", "it has begun", "no matter"]
)
def test_it_is_not_waited_for(why: str) -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, deadline_ms=3_000 if why == "the deadline" else 60_000)
    way.may_come = True
    failed = LOST
    if why == "it has begun":
        the_work(one).starts().says("Pa")
    elif why == "no matter":
        failed = Failed.of(InvalidRequest("it has no messages"))
    the_work(one).sink.deliver(failed)
    assert way.ends == (why in ("it has begun", "no matter"))
    way.may_come = why != "it is given up"
    way.after(3.1 if why == "the deadline" else 5.1 if why == "too late" else 0.5)
    assert way.failed == failed if why != "it has begun" else way.failed.code == failed.code
    way.comes(two)
    assert two.work == []
    assert way.ends == 1


def test_who_waits_for_one_may_cancel() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one)
    way.may_come = True
    the_work(one).sink.deliver(LOST)
    way.roaming.cancel()
    assert isinstance(way.sink.end, Finished)
    assert way.sink.end.reason == "cancelled"
    way.comes(two)
    assert (two.work, way.ends) == ([], 1)


def test_credit_goes_to_the_gateway_that_has_it_now() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two)
    the_work(one).sink.deliver(LOST)
    the_work(two).starts().says("Paris")
    way.roaming.accept(1, 24)
    way.roaming.cancel()
    assert (the_work(one).accepted, the_work(two).accepted) == ([], [(1, 24)])
    assert (the_work(one).cancelled, the_work(two).cancelled) == (False, True)


def test_the_next_gateway_gets_what_is_left_of_the_deadline() -> None:
    """Else it would go on when who asked has left."""
    one, two = Gateway("one"), Gateway("two")
    Way(one, two, deadline_ms=60_000).after(45.5)
    the_work(one).sink.deliver(LOST)
    asked: list[Submission] = [the_work(gateway).submission for gateway in (one, two)]
    assert [submission.deadline_ms for submission in asked] == [60_000, 14_500]


def test_with_nothing_left_of_the_deadline_it_does_not_move() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two, deadline_ms=60_000).after(60.5)
    the_work(one).sink.deliver(LOST)
    assert way.failed == LOST
    assert two.work == []


def test_a_gateway_that_tells_nothing_is_left_for_another() -> None:
    one, two = Gateway("one"), Gateway("two")
    way = Way(one, two, deadline_ms=3_000_000).after(299)
    the_work(one).sink.deliver(Queued(1))  # a word starts it anew
    way.after(299)
    assert two.work == []
    way.after(2)
    assert the_work(one).cancelled, "it may be at it still"
    the_work(one).starts().says("London")
    way.after(299)  # the other has its own time
    the_work(two).starts().says("Paris").finishes()
    assert way.sink.text == "Paris"
    assert way.ends == 1


def test_with_no_other_gateway_silence_is_told_and_whose() -> None:
    one = Gateway("12D3KooWOneOneOne")
    way = Way(one).after(301)
    assert way.failed.code == "deadline_exceeded"
    assert way.failed.message == (
        "The gateway …neOneOne told nothing for 300 s (client.silence_seconds). It lives, but "
        "does not work: ask another, or look there."
    )
    assert the_work(one).cancelled
    the_work(one).starts().says("London").finishes()
    assert way.ends == len(way.sink.events) == 1


def test_silence_in_mid_answer_is_the_gateways_to_judge_until_the_whole_deadline() -> None:
    """It knows whether the reader is what is slow; and a second gateway would begin anew."""
    one, two = Gateway("12D3KooWOneOneOne"), Gateway("two")
    way = Way(one, two, deadline_ms=900_000)
    the_work(one).starts().says("Pa")
    way.after(890)
    assert way.ends == 0
    way.after(10 + SLACK_SECONDS - 0.1)
    assert way.ends == 0, "the gateway may tell of it first"
    way.after(0.2)
    assert way.failed.code == "deadline_exceeded"
    assert way.failed.message == (
        "The answer was not done within 900 s, the deadline of the whole request, and the gateway "
        "…neOneOne did not say so."
    )
    assert two.work == []
    assert the_work(one).cancelled


def test_after_its_end_nobody_looks_for_one() -> None:
    one = Gateway("one")
    way = Way(one)
    the_work(one).starts().says("Paris").finishes()
    way.roaming.cancel()
    way.roaming.accept(1, 20)
    assert (the_work(one).cancelled, the_work(one).accepted) == (False, [])
