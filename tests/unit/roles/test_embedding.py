"""Requests for vectors at a gateway: who may have them, what is believed, and what they cost."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Delta, Failed, Finished, Started
from aiplat.domain.chat import Embed
from aiplat.domain.errors import UnsupportedParameter
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from aiplat.protocol.messages import Announce
from aiplat.roles.offering import COLD, LACKS, READY, Offering
from tests.support.dialogue import MANIFEST, submission
from tests.support.scripted import Kept, offer
from tests.unit.roles.test_gateway import House, running
from tests.unit.roles.test_gateway_accounts import House as CountingHouse
from tests.unit.roles.test_gateway_accounts import ends

TEXTS = Embed(("one", "two"))
CHAT, VECTORS = ("generate",), ("embed",)


def vector(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


ONE, TWO = vector(1.0, 0.0), vector(0.0, 1.0)


# -- who may have it -----------------------------------------------------------------------------


async def test_without_a_name_each_takes_the_first_model_that_does_it() -> None:
    house = House()
    processor = house.processor("p", offer("v", can=VECTORS), offer("g", can=CHAT))
    house.asks()
    house.asks(work=TEXTS)
    assert [work.submission.model for work in processor.work] == ["g", "v"]


async def test_one_model_may_do_both() -> None:
    house = House()
    processor = house.processor("p", offer("echo", can=("generate", "embed")))
    house.asks()
    house.asks(work=TEXTS)
    house.asks(work=TEXTS, model="echo")
    assert [work.submission.model for work in processor.work] == ["echo"] * 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"work": TEXTS, "model": "g"},
            (
                "The model 'g' answers conversations, and was asked for embeddings. Ask for one "
                "that makes embeddings: v."
            ),
        ),
        (
            {"model": "v"},
            (
                "The model 'v' makes embeddings, and was asked for an answer. Ask for one that "
                "answers conversations: g, g2."
            ),
        ),
    ],
)
async def test_another_work_than_it_was_made_for_is_refused_at_once(
    changes: dict[str, Any], words: str
) -> None:
    house = House()
    house.processor("p", offer("v", can=VECTORS), offer("g", can=CHAT), offer("g2", can=CHAT))
    with pytest.raises(UnsupportedParameter) as refused:
        house.asks(**changes)
    assert str(refused.value) == words
    assert refused.value.param == "model"
    assert not house.gateway.active


async def test_where_no_model_makes_vectors_that_is_said_with_what_to_do() -> None:
    house = House()
    house.processor("p", offer("g", can=CHAT))
    with pytest.raises(UnsupportedParameter, match=r"No model here makes embeddings: serve one"):
        house.asks(work=TEXTS, model="g")


async def test_of_two_processors_only_the_one_that_does_it(autojump_clock: MockClock) -> None:
    """A name may mean an older node's model, which says nothing of what it does."""
    house = House()
    chat, both = house.processor("a", offer("m", can=CHAT)), house.processor("b", offer("m"))
    house.announces("b", offer("m", can=("generate", "embed")))
    async with running(house):
        for _ in range(3):
            house.asks(work=TEXTS, model="m")
        await wait_all_tasks_blocked()
    assert (len(chat.work), len(both.work)) == (0, 3)


async def test_who_waits_for_vectors_holds_no_conversation_back() -> None:
    house = House()
    processor = house.processor("p", offer("g", can=CHAT))
    waits = house.asks(work=TEXTS)
    house.asks()
    assert [work.submission.model for work in processor.work] == ["g"]
    assert waits.events == []


async def test_a_client_asks_a_gateway_first_that_has_such_a_model() -> None:
    house = House()
    house.processor("p", offer("g", can=CHAT))
    offering = Offering(10.0)
    offering.heard(house.gateway.models())
    assert offering.rank(submission(), 0.0) == READY
    assert offering.rank(submission(work=TEXTS), 0.0) == LACKS
    assert offering.rank(submission(work=TEXTS, model="g"), 0.0) == LACKS
    offering.refused(submission(work=TEXTS), 0.0)
    assert offering.rank(submission(), 1.0) == READY
    house.announces("p", offer("v", can=VECTORS, state="loading", cold=True))
    offering.heard(house.gateway.models())
    assert offering.rank(submission(work=TEXTS, model="v"), 0.0) == COLD


async def test_what_a_model_does_is_shown() -> None:
    house = House()
    house.processor("p", offer("v", can=VECTORS))
    (shown,) = house.gateway.models()
    assert (shown.can, shown.generates) == (VECTORS, False)


# -- what is believed ----------------------------------------------------------------------------


class Embedding(CountingHouse):
    """A gateway whose processor makes vectors."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.scripted = self.processor()
        models = (offer("tiny", 8, can=VECTORS),)
        self.gateway.processor_announced(PeerId("p"), Announce(revision=2, models=models))

    def begins(self, started: Started, **changes: Any) -> tuple[Kept, Any]:
        sink = self.asks(work=TEXTS, **changes)
        work = self.scripted.work[-1]
        work.sink.deliver(started)
        return sink, work


async def test_vectors_are_carried_and_the_texts_are_counted(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    sink, work = house.begins(Started(MANIFEST, 6))
    work.sink.deliver(Delta(vectors=(ONE,)))
    work.sink.deliver(Delta(vectors=(TWO,)))
    work.sink.deliver(Finished("stop", Usage(6, 99)))
    assert [e.vectors for e in sink.events if isinstance(e, Delta)] == [(ONE,), (TWO,)]
    assert ends(sink).usage == Usage(6, 0)
    assert house.tokens() == [(6, 0, "stop")]


async def test_no_more_tokens_than_the_texts_can_have(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    _, work = house.begins(Started(MANIFEST, 1_000_000))
    work.sink.deliver(Delta(vectors=(ONE, TWO)))
    work.sink.deliver(Finished("stop", Usage(1_000_000, 0)))
    assert house.tokens() == [(6 + 2 * 64 + 4096, 0, "stop")]


async def test_an_upstreams_count_has_no_answer_either(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    sink, work = house.begins(Started(MANIFEST, 0, exact=False))
    work.sink.deliver(Delta(vectors=(ONE, TWO)))
    work.sink.deliver(Finished("stop", Usage(6, 500, exact=False)))
    assert ends(sink).usage == Usage(6, 0, exact=False)


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        ([Delta((1, 2), "text")], "sent text, and was asked for vectors"),
        ([Delta((1,))], "sent text, and was asked for vectors"),
        ([Delta(vectors=(ONE, TWO)), Delta(vectors=(ONE,))], "sent more vectors than there are"),
        ([Delta(vectors=(ONE,)), Delta(vectors=(vector(1.0),))], "sent a vector of 4 bytes"),
        ([Delta(vectors=(ONE, b"abc"))], "sent a vector of 3 bytes"),
        ([Delta(vectors=(b"abc",))], "sent a vector of 3 bytes"),
        ([Delta(vectors=(b"",))], "sent a vector of 0 bytes"),
        ([Delta(vectors=(bytes(4 * 65_537),))], "sent a vector of 262148 bytes"),
        ([Delta(vectors=(vector(1.0, float("nan")),))], "is not made of numbers"),
        ([Delta(vectors=(vector(float("inf"), 0.0),))], "is not made of numbers"),
    ],
)
async def test_what_are_no_vectors_of_the_texts_ends_it(
    deltas: list[Delta], words: str, tmp_path: Path
) -> None:
    house = Embedding(tmp_path)
    sink, work = house.begins(Started(MANIFEST, 6))
    for one in deltas:
        work.sink.deliver(one)
    assert isinstance(sink.end, Failed)
    assert words in sink.end.message
    assert work.cancelled
    processor = house.gateway.processors.get(PeerId("p"))
    assert processor is not None
    assert processor.rests("tiny", house.gateway._now())


async def test_vectors_of_another_size_than_was_asked_for(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    sink = house.asks(work=Embed(("one",), dimensions=3))
    work = house.scripted.work[-1].starts()
    work.sink.deliver(Delta(vectors=(ONE,)))
    assert "sent a vector of 8 bytes" in sink.end.message  # type: ignore[union-attr]  # it failed


async def test_an_end_before_all_vectors_is_none(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    sink, work = house.begins(Started(MANIFEST, 6))
    work.sink.deliver(Delta(vectors=(ONE,)))
    work.sink.deliver(Finished("stop", Usage(6, 0)))
    assert isinstance(sink.end, Failed)
    assert "ended after 1 of 2 vectors" in sink.end.message


async def test_and_before_the_first_it_is_tried_elsewhere(autojump_clock: MockClock) -> None:
    house = House()
    first = house.processor("a", offer("v", can=VECTORS))
    async with running(house):
        sink = house.asks(work=TEXTS)
        second = house.processor("b", offer("v", can=VECTORS))
        first.work[0].starts().finishes()
        await wait_all_tasks_blocked()
        work = second.work[0].starts()
        work.sink.deliver(Delta(vectors=(ONE, TWO)))
        work.finishes()
    assert isinstance(sink.end, Finished)
    assert [type(event) for event in sink.events].count(Started) == 1


async def test_a_cancel_in_the_middle_is_an_end(tmp_path: Path) -> None:
    house = Embedding(tmp_path)
    sink, work = house.begins(Started(MANIFEST, 6))
    work.sink.deliver(Delta(vectors=(ONE,)))
    (forwarding,) = house.gateway.active
    forwarding.cancel()
    work.sink.deliver(Finished("cancelled", Usage(6, 0)))
    assert ends(sink).reason == "cancelled"
    assert house.tokens() == [(6, 0, "cancelled")]


async def test_vectors_for_a_conversation_are_refused() -> None:
    house = House()
    processor = house.processor("p", offer(can=("generate", "embed")))
    sink = house.asks()
    processor.work[0].starts().sink.deliver(Delta(vectors=(ONE,)))
    assert isinstance(sink.end, Failed)
    assert "sent vectors, and was asked for an answer" in sink.end.message
