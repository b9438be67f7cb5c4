"""What may be said when, as dialogues between two machines."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aiplat.domain.answers import Failed, Queued
from aiplat.domain.models import ModelOffer
from aiplat.protocol.channel import ChannelMachine, Received
from aiplat.protocol.errors import LocalProtocolError, RemoteProtocolError, VersionMismatch
from aiplat.protocol.messages import (
    Ack,
    Announce,
    Call,
    Cancel,
    Drain,
    Goodbye,
    Hello,
    Message,
    Ping,
    Pong,
    Reply,
)
from tests.support.dialogue import MANIFEST, Dialogue, Side, delta, finished, started, submission


def test_an_answer_from_the_first_word_to_the_last() -> None:
    talk = Dialogue()
    number = talk.left.submits(submission())
    assert talk.right.heard == [Received(number, submission())]
    said: list[Message] = [
        Queued(1, 250, "busy"),
        started(),
        delta(1, 2),
        delta(3),
        finished(3),
    ]
    for event in said:
        talk.right.says(event, number)
    assert talk.left.heard == [Received(number, event) for event in said]
    assert talk.left.machine.asked == talk.right.machine.serving == 0


def test_both_sides_ask_with_numbers_of_their_own() -> None:
    talk = Dialogue()
    numbers = [
        talk.left.submits(submission()),
        talk.right.submits(submission()),
        talk.left.submits(submission()),
        talk.right.submits(submission()),
    ]
    assert numbers == [1, 2, 3, 4]


def test_credit_is_spent_and_granted() -> None:
    talk = Dialogue()
    number = talk.left.submits(submission(credit=16))
    talk.right.says(started(), number)
    talk.right.says(delta(1, 2, 3), number)  # 3 ids and 1 character: 16
    assert talk.right.machine.credit(number) == 0
    with pytest.raises(LocalProtocolError, match="with 0 of credit left"):
        talk.right.machine.send(delta(4), number)
    talk.left.says(Ack(tokens=3, credit=16), number)
    talk.right.says(delta(4), number)
    assert talk.right.machine.credit(number) == 8


def test_a_cancel_is_answered_in_any_state() -> None:
    talk = Dialogue()
    waiting, running = talk.left.submits(submission()), talk.left.submits(submission())
    talk.right.says(started(), running)
    talk.right.says(delta(1), running)
    for number in (waiting, running):
        talk.left.says(Cancel(), number)
    talk.right.says(delta(2), running)  # it was on its way already
    talk.right.says(finished(0, "cancelled"), waiting)
    talk.right.says(finished(2, "cancelled"), running)
    assert talk.left.machine.asked == talk.right.machine.serving == 0


def test_what_crosses_the_end_on_its_way_is_let_pass() -> None:
    talk = Dialogue()
    number = talk.left.submits(submission())
    talk.right.says(started(), number)
    ack, cancel = (
        talk.left.machine.send(Ack(0, 8), number),
        talk.left.machine.send(Cancel(), number),
    )
    talk.right.says(finished(0), number)
    talk.right.hears(ack + cancel)


def test_a_call_and_its_reply() -> None:
    talk = Dialogue()
    number, frame = talk.left.machine.call(Call("models"))
    talk.right.hears(frame)
    talk.right.says(Reply(), number)
    assert [type(r.message) for r in talk.left.heard] == [Reply]
    with pytest.raises(LocalProtocolError, match="unknown call"):
        talk.right.machine.send(Reply(), number)


@pytest.mark.parametrize(
    "message", [Announce(revision=1), Drain(1000), Ping(1), Pong(1), Goodbye("bye")]
)
def test_what_is_said_of_the_channel_itself(message: Message) -> None:
    talk = Dialogue()
    talk.left.says(message)
    assert talk.right.heard == [Received(0, message)]


def in_state(talk: Dialogue, state: str) -> int:
    number = talk.left.submits(submission(credit=40))
    if state != "submitted":
        talk.right.says(started(), number)
    if state == "ended":
        talk.right.says(finished(0), number)
    return number


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("submitted", delta(1)),
        ("submitted", finished(0)),
        ("submitted", finished(0, "cancelled")),
        ("started", Queued()),
        ("started", started()),
        ("started", delta(*range(10))),  # costs 44 of 40
        ("started", delta(text="")),  # nothing in it
        ("started", delta(100)),  # outside the vocabulary
        ("started", delta(-1)),
        ("started", finished(5)),  # none came
        ("ended", delta(1)),
        ("ended", finished(0)),
        ("ended", Failed("internal", "no")),
    ],
)
def test_an_answer_that_breaks_the_rules(state: str, message: Message) -> None:
    """The one who answers cannot say it by mistake, and the one who asked does not take it."""
    talk = Dialogue()
    number = in_state(talk, state)
    with pytest.raises(LocalProtocolError):
        talk.right.machine.send(message, number)
    with pytest.raises(RemoteProtocolError):
        talk.left.hears(talk.right.forges(message, number))


@pytest.mark.parametrize(
    "message", [Ack(tokens=1), Ack(credit=-1), Ack(credit=2**40), Ack(tokens=-1)]
)
def test_an_ack_that_cannot_be(message: Message) -> None:
    talk = Dialogue()
    number = in_state(talk, "started")
    with pytest.raises(LocalProtocolError):
        talk.left.machine.send(message, number)
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(message, number))


def test_a_second_cancel() -> None:
    talk = Dialogue()
    number = in_state(talk, "started")
    talk.left.says(Cancel(), number)
    with pytest.raises(RemoteProtocolError, match="second Cancel"):
        talk.right.hears(talk.left.forges(Cancel(), number))


@pytest.mark.parametrize("number", [0, 2, 99])
@pytest.mark.parametrize("message", [Ack(), Cancel(), delta(1), Reply()])
def test_something_for_a_request_that_never_was(message: Message, number: int) -> None:
    talk = Dialogue()
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(message, number))


@pytest.mark.parametrize("number", [0, 2, 4, 1])
def test_a_submission_with_a_number_that_is_not_its_to_give(number: int) -> None:
    talk = Dialogue()
    talk.left.submits(submission())  # takes 1
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(submission(), number))


@pytest.mark.parametrize("message", [Hello(), Ping(1), Announce(revision=1)])
def test_a_request_number_or_a_second_hello_on_the_channel(message: Message) -> None:
    talk = Dialogue()
    number = 0 if isinstance(message, Hello) else 7
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(message, number))


def test_more_requests_than_the_peer_takes() -> None:
    talk = Dialogue(max_requests=2)
    for _ in range(2):
        talk.left.submits(submission())
    with pytest.raises(LocalProtocolError, match="2 requests at once"):
        talk.left.machine.submit(submission())
    with pytest.raises(RemoteProtocolError, match="more than 2 requests"):
        talk.right.hears(talk.left.forges(submission(), 5))


def fresh() -> Side:
    return Side(ChannelMachine(initiator=False, hello=Hello()))


def test_nothing_comes_before_hello() -> None:
    side = fresh()
    with pytest.raises(RemoteProtocolError, match="before Hello"):
        side.hears(side.forges(Ping(1)))
    with pytest.raises(LocalProtocolError, match="before Hello"):
        fresh().machine.send(Ping(1))
    with pytest.raises(LocalProtocolError):
        fresh().machine.submit(submission())


def test_another_major_version_is_refused_with_both_numbers() -> None:
    side = fresh()
    with pytest.raises(VersionMismatch, match=r"version 2 .* speaks 1"):
        side.hears(side.forges(Hello(major=2)))


def test_a_peer_that_refuses_before_its_hello_is_understood() -> None:
    side = fresh()
    side.hears(side.forges(Goodbye("refused", "not you")))
    assert side.machine.goodbye == Goodbye("refused", "not you")


def test_an_unknown_tag_is_forgiven_only_to_a_newer_minor_version() -> None:
    unknown = b"\x00\x00\x00\x06\xfa\x00\x00\x00\x00\xc0"
    newer, equal = fresh(), fresh()
    newer.hears(newer.forges(Hello(minor=7)))
    assert newer.hears(unknown) == []
    equal.hears(equal.forges(Hello()))
    with pytest.raises(RemoteProtocolError, match="unknown tag 250"):
        equal.hears(unknown)


def test_a_machine_that_saw_a_fault_stays_faulty() -> None:
    talk = Dialogue()
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(Cancel(), 9))
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(Ping(1)))


def test_a_local_error_changes_nothing() -> None:
    talk = Dialogue()
    number = in_state(talk, "started")
    with pytest.raises(LocalProtocolError):
        talk.right.machine.send(finished(5), number)
    talk.right.says(delta(1), number)
    talk.right.says(finished(1), number)


def test_a_frame_over_the_bound_is_not_sent() -> None:
    talk = Dialogue()
    with pytest.raises(LocalProtocolError, match="over the bound of 1048576 bytes"):
        talk.left.machine.submit(submission(credential="k" * 2**20))
    assert talk.left.submits(submission()) == 1


READY = ModelOffer(name="m", state="ready", manifest=MANIFEST, slots=1)


@pytest.mark.parametrize(
    "offers",
    [
        (replace(READY, tokens_per_second=float("nan")),),
        (replace(READY, tokens_per_second=float("inf")),),
        (replace(READY, tokens_per_second=1e-320),),
        (replace(READY, tokens_per_second=-1.0),),
        (replace(READY, slots=-1),),
        (replace(READY, slots=0),),
        (replace(READY, manifest=None),),
        (replace(READY, running=2**40),),
        (replace(READY, name=""),),
        (replace(READY, name="two\nlines"),),
        (replace(READY, note="x" * 501),),
        (READY, READY),
        tuple(replace(READY, name=f"m{n}") for n in range(257)),
    ],
)
def test_an_announcement_that_cannot_be(offers: tuple[ModelOffer, ...]) -> None:
    """A gateway reckons with these figures: NaN once ended a whole node."""
    talk = Dialogue()
    announce = Announce(revision=1, models=offers)
    with pytest.raises(LocalProtocolError):
        talk.left.machine.send(announce)
    with pytest.raises(RemoteProtocolError):
        talk.right.hears(talk.left.forges(announce))


def test_announcements_that_can_be() -> None:
    talk = Dialogue()
    for offer in (READY, ModelOffer(name="m", state="loading"), replace(READY, slots=10**6)):
        talk.left.says(Announce(revision=1, models=(offer,)))
    assert len(talk.right.heard) == 3
