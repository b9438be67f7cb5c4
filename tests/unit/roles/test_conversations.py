"""Answers that are kept: they outlive their face, are followed and stopped, and never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from aiplat.control.history import (
    ConversationName,
    HistoryAsk,
    HistoryCall,
    HistoryList,
)
from aiplat.control.messages import Accepted, Keep
from aiplat.domain.answers import (
    AnswerEvent,
    Delta,
    Failed,
    Finished,
    Inference,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.conversations import Conversation, Turn
from aiplat.domain.errors import (
    AiplatError,
    InvalidRequest,
    NoPeer,
    NotReady,
    Overloaded,
    ProcessorLost,
    UnsupportedParameter,
)
from aiplat.history.history import History
from aiplat.history.settings import HistorySettings
from aiplat.roles.conversations import Conversations
from aiplat.roles.kept import Following
from aiplat.roles.requests import new_request_id
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import HOLD, PEER, FakeInference, Step, finished, started
from tests.unit.history.helpers import NOON, Clock, new_id, talk


@dataclass
class World:
    """The part, over a real history, before who answers as a test says."""

    part: Conversations
    history: History
    answers: FakeInference
    metrics: Metrics
    asked_of: list[str]
    refuse: AiplatError | None = None
    slow: trio.Event | None = None

    async def inference(self, peer: str) -> Inference:
        self.asked_of.append(peer)
        if self.slow is not None:
            await self.slow.wait()
        if self.refuse is not None:
            raise self.refuse
        return self.answers

    async def shown(self, id: str) -> Conversation:
        found = await self.history.answer("show", ConversationName(id=id))
        assert isinstance(found, Conversation)
        return found

    async def answer(self, id: str) -> Turn:
        return (await self.shown(id)).turns[-1]

    async def until(self, id: str, state: str, text: str | None = None) -> Turn:
        """Wait until the history has the answer so."""
        with trio.fail_after(30):
            while True:
                turn = await self.answer(id)
                assert turn.facts is not None
                if turn.facts.state == state and text in (None, turn.text):
                    return turn
                await trio.sleep(0.005)

    def hits(self, bound: str) -> float:
        return float(self.metrics.bound_hits.labels(bound)._value.get())


def make(folder: Path, *steps: Step, **settings: object) -> World:
    bounds = HistorySettings(**({"flush_seconds": 0.01} | settings))  # type: ignore[arg-type]  # test data
    metrics = Metrics()
    history = History(folder / "history.db", bounds, metrics, Clock())
    answers = FakeInference(lambda submission: steps, batched=False)
    world: list[World] = []

    async def inference(peer: str) -> Inference:
        return await world[0].inference(peer)

    part = Conversations(history, inference, bounds, metrics, wall=Clock())
    world.append(World(part, history, answers, metrics, []))
    return world[0]


@asynccontextmanager
async def alive(folder: Path, *steps: Step, **settings: object) -> AsyncIterator[World]:
    world = make(folder, *steps, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.part.run)
        yield world
        nursery.cancel_scope.cancel()


def ask(**more: object) -> Submission:
    work = Generate((Message("user", "hi"),), Sampling(**more))  # type: ignore[arg-type]  # test data
    return Submission(id=new_request_id(), to="gateway", work=work, model="echo")


def keep(conversation: Conversation) -> Keep:
    return Keep(conversation=conversation, parent=conversation.turns[-1].id, answer=new_id("trn"))


async def begun(world: World, conversation: Conversation) -> Following:
    following = await world.part.keep(ask(), keep(conversation))
    assert isinstance(following, Following)
    return following


async def heard(following: Following) -> list[AnswerEvent]:
    events: list[AnswerEvent] = []
    with following, trio.fail_after(30):
        while not following.ended:
            events += await following.next()
    return events


def text_of(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def until(condition: object) -> None:
    assert callable(condition)
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.005)


WHOLE = (Queued(place=2), started(), Delta((1,), "Hel"), Delta((2, 3), "lo"), finished(3))


async def test_an_answer_is_followed_from_its_start_and_kept_with_all_its_facts(
    tmp_path: Path,
) -> None:
    async with alive(tmp_path, *WHOLE) as world:
        given = talk("Say hello")
        following = await begun(world, given)
        assert following.accepted == Accepted(request=following.accepted.request, kept=True)
        events = await heard(following)
        assert [type(event) for event in events if not isinstance(event, Queued)][:1] == [Started]
        assert text_of(events) == "Hello"
        ids = [id for event in events if isinstance(event, Delta) for id in event.ids]
        assert (ids, events[-1]) == ([1, 2, 3], finished(3))
        kept = await world.shown(given.id)
        turn = kept.turns[-1]
        facts = turn.facts
        assert facts is not None
        assert (turn.text, turn.role, turn.parent) == ("Hello", "assistant", given.turns[0].id)
        assert (kept.head, kept.title, turn.at) == (turn.id, "Say hello", NOON)
        assert (facts.state, facts.reason, facts.model) == ("done", "stop", "echo")
        assert (facts.processor, facts.gateway) == (PEER, PEER)
        assert facts.request == following.accepted.request
        assert (facts.prompt_tokens, facts.completion_tokens) == (5, 3)
        assert 0 <= facts.first_token_ms <= facts.total_ms < 30_000


async def test_figures_are_those_of_the_clock(tmp_path: Path) -> None:
    world = make(tmp_path, started(), HOLD, Delta((1,), "a"), HOLD, finished(1))
    clock = Clock(0)
    world.part._now = clock
    async with trio.open_nursery() as nursery:
        await nursery.start(world.part.run)
        given = talk("hi")
        following = await begun(world, given)
        asking = await world.answers.next_asking()
        with following:
            assert isinstance((await following.next())[-1], Started)
            clock.at = 0.5
            asking.release()
            assert await following.next() == [Delta((1,), "a")]
            clock.at = 2.0
            asking.release()
            await following.next()
        facts = (await world.answer(given.id)).facts
        assert facts is not None
        assert (facts.first_token_ms, facts.total_ms) == (500.0, 2000.0)
        nursery.cancel_scope.cancel()


async def test_it_goes_on_when_nobody_follows_and_is_flushed_meanwhile(tmp_path: Path) -> None:
    async with alive(
        tmp_path, started(), Delta((1,), "a"), HOLD, Delta((2,), "b"), finished(2)
    ) as w:
        given = talk("hi")
        await begun(w, given)
        asking = await w.answers.next_asking()
        turn = await w.until(given.id, "running", "a")
        assert turn.facts is not None and turn.facts.model == "echo"
        listed = await w.part.history(HistoryCall(method="list"))
        assert isinstance(listed, HistoryList) and listed.conversations[0].running
        asking.release()
        await w.until(given.id, "done", "ab")


async def test_one_who_comes_later_hears_all_in_one_piece_without_ids(tmp_path: Path) -> None:
    steps = (*WHOLE[:4], HOLD, Delta((4,), "!"), finished(4))
    async with alive(tmp_path, *steps) as world:
        given = talk("hi")
        first = await begun(world, given)
        asking = await world.answers.next_asking()
        await world.until(given.id, "running", "Hello")
        late = [world.part.follow(first.accepted.request) for _ in range(3)]
        for one in late:
            assert one.accepted == first.accepted
            with one:
                assert await one.next() == [started(), Delta((), "Hello")]
        asking.release()
        assert await heard(late[0]) == [Delta((4,), "!"), finished(4)]
        assert text_of(await heard(first)) == "Hello!", "the slowest held nobody back"
        with pytest.raises(InvalidRequest, match="No answer 'req-1' is under way here"):
            world.part.follow("req-1")


async def test_of_the_answers_that_ended_a_few_may_be_followed(tmp_path: Path) -> None:
    async with alive(tmp_path, *WHOLE, kept_ended=2) as world:
        names = []
        for _ in range(3):
            following = await begun(world, talk("hi"))
            await heard(following)
            names.append(following.accepted.request)
            await until(lambda: not world.part._running)
        for name in names[1:]:
            events = await heard(world.part.follow(name))
            assert events == [started(), Delta((), "Hello"), finished(3)]
        with pytest.raises(InvalidRequest, match="ended, or was not kept"):
            world.part.follow(names[0])
        assert world.part.stop_answer(names[2]).message == "The answer had ended already."


async def test_one_that_is_stopped_keeps_what_had_come(tmp_path: Path) -> None:
    async with alive(tmp_path, started(), Delta((1,), "a"), HOLD) as world:
        given = talk("hi")
        following = await begun(world, given)
        await world.until(given.id, "running", "a")
        assert "is stopped" in world.part.stop_answer(following.accepted.request).message
        events = await heard(following)
        assert isinstance(events[-1], Finished) and events[-1].reason == "cancelled"
        await world.until(given.id, "stopped", "a")
        with pytest.raises(InvalidRequest, match="No answer"):
            world.part.stop_answer("req-1")


async def test_one_may_be_stopped_before_anybody_was_found_to_answer(tmp_path: Path) -> None:
    async with alive(tmp_path, *WHOLE) as world:
        world.slow = trio.Event()
        given = talk("hi")
        following = await begun(world, given)
        await until(lambda: world.asked_of)
        world.part.stop_answer(following.accepted.request)
        events = await heard(following)
        assert isinstance(events[-1], Finished) and events[-1].reason == "cancelled"
        other = await begun(world, talk("hi"))
        world.part.stop_answer(other.accepted.request)  # before its task has run at all
        assert len(await heard(other)) == 1
        assert world.asked_of == [""]
        assert (await world.answer(given.id)).text == ""


@pytest.mark.parametrize("where", ["found", "submitted", "later"])
async def test_one_that_fails_is_kept_with_the_reason(tmp_path: Path, where: str) -> None:
    lost = Failed.of(ProcessorLost("It fell silent."))
    async with alive(tmp_path, started(), Delta((1,), "a"), lost) as world:
        given = talk("hi")
        if where == "found":
            world.refuse = NoPeer("It fell silent.")
        elif where == "submitted":
            world.answers.refuse = NotReady("It fell silent.")
        events = await heard(await begun(world, given))
        assert isinstance(events[-1], Failed) and events[-1].message == "It fell silent."
        turn = await world.answer(given.id)
        assert turn.facts is not None
        assert (turn.facts.state, turn.facts.error) == ("failed", "It fell silent.")
        assert turn.text == ("a" if where == "later" else "")


async def test_a_fault_of_ours_costs_one_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with alive(tmp_path, *WHOLE) as world:
        world.answers.refuse = ZeroDivisionError()  # type: ignore[assignment]  # a bug
        events = await heard(await begun(world, talk("hi")))
        assert isinstance(events[-1], Failed) and events[-1].code == "internal"
        assert "ZeroDivisionError" in caplog.text
        world.answers.refuse = None
        assert text_of(await heard(await begun(world, talk("hi")))) == "Hello"


async def test_one_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    async with alive(tmp_path, started(), Delta((1,), "a"), HOLD) as world:
        given = talk("hi")
        submission = ask().__replace__(deadline_ms=1)
        following = await world.part.keep(submission, keep(given))
        assert isinstance(following, Following)
        events = await heard(following)
        assert isinstance(events[-1], Failed) and events[-1].code == "deadline_exceeded"
        asking = await world.answers.next_asking()
        await asking.cancelled.wait()
        await world.until(given.id, "failed", "a")


async def test_a_node_that_ends_keeps_what_had_come(tmp_path: Path) -> None:
    given = talk("hi")
    async with alive(tmp_path, started(), Delta((1,), "a"), HOLD, flush_seconds=3600) as world:
        following = await begun(world, given)
        with following:
            while not isinstance((await following.next())[-1], Delta):
                pass
    turn = await world.answer(given.id)
    assert turn.facts is not None
    assert (turn.text, turn.facts.state) == ("a", "failed")
    assert "The node ended before the answer was whole" in turn.facts.error
    asking = await world.answers.next_asking()
    assert asking.cancelled.is_set()
    assert await world.part.keep(ask(), keep(given)) == "The node ends."
    await world.history.close()


# -- bounds ----------------------------------------------------------------------------------------


async def test_one_more_answer_than_the_bound_is_refused(tmp_path: Path) -> None:
    async with alive(tmp_path, started(), HOLD, finished(0), max_running=1) as world:
        following = await begun(world, talk("hi"))
        with pytest.raises(Overloaded, match="already gives 1 answers that are kept"):
            await world.part.keep(ask(), keep(talk("hi")))
        assert world.hits("history_running") == 1
        (await world.answers.next_asking()).release()
        await heard(following)
        await until(lambda: not world.part._running)
        await begun(world, talk("hi"))


async def test_one_more_follower_than_the_bound_is_refused(tmp_path: Path) -> None:
    async with alive(tmp_path, started(), HOLD, max_followers=1) as world:
        following = await begun(world, talk("hi"))
        with following, pytest.raises(Overloaded, match="1 faces follow this answer already"):
            world.part.follow(following.accepted.request)
        assert world.hits("history_followers") == 1
        world.part.follow(following.accepted.request)


async def test_an_answer_over_its_bound_ends_there(tmp_path: Path) -> None:
    deltas = [Delta((n,), "abc") for n in range(10)]
    async with alive(tmp_path, started(), *deltas, HOLD, max_answer_chars=8) as world:
        given = talk("hi")
        events = await heard(await begun(world, given))
        assert text_of(events) == "abcabcab"
        assert isinstance(events[-1], Failed) and "8 characters, the most" in events[-1].message
        await world.until(given.id, "failed", "abcabcab")
        assert world.hits("history_answer_chars") == 1
        assert (await world.answers.next_asking()).cancelled.is_set()


# -- a history that cannot be used -----------------------------------------------------------------


async def test_what_cannot_be_kept_is_said_and_nothing_begins(tmp_path: Path) -> None:
    async with alive(tmp_path, *WHOLE, max_conversations=1) as world:
        await heard(await begun(world, talk("hi")))
        why = await world.part.keep(ask(), keep(talk("hi")))
        assert isinstance(why, str) and "as many as may be" in why
        assert world.hits("history_conversations") == 1
        assert len(world.answers.asked) == 1
        assert not world.part._running


async def test_a_question_whose_conversation_is_gone_is_given_unkept_with_the_reason(
    tmp_path: Path,
) -> None:
    async with alive(tmp_path, *WHOLE) as world:
        given = talk("hi", "so?", "well")
        last = replace(given, turns=given.turns[2:])
        why = await world.part.keep(ask(), keep(last))
        assert isinstance(why, str) and "Send the whole conversation" in why
        why = await world.part.keep(ask(), replace(keep(given), parent=new_id("trn")))
        assert isinstance(why, str) and "send the question along" in why
        assert not world.part._running
        await heard(await begun(world, given))


async def test_a_wrong_request_is_refused_and_not_merely_unkept(tmp_path: Path) -> None:
    async with alive(tmp_path, *WHOLE) as world:
        given = talk("hi")
        with pytest.raises(InvalidRequest, match="no turn"):
            await world.part.keep(ask(), Keep(conversation=given, parent="", answer=new_id("trn")))
        with pytest.raises(InvalidRequest, match="temperature"):
            await world.part.keep(ask(temperature=9), keep(given))
        with pytest.raises(UnsupportedParameter, match="logprobs are not kept"):
            await world.part.keep(ask(logprobs=1), keep(given))
        assert not world.part._running


async def test_a_file_that_takes_nothing_meanwhile_is_tried_again_and_the_answer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with alive(tmp_path, started(), HOLD, Delta((1,), "a"), finished(1)) as world:
        given = talk("hi")
        following = await begun(world, given)
        real, tries = world.history.write, 0

        async def refuse(*what: object) -> bool:
            nonlocal tries
            tries += 1
            raise NotReady("The disk is full.")

        monkeypatch.setattr(world.history, "write", refuse)
        (await world.answers.next_asking()).release()
        assert text_of(await heard(following)) == "a"
        await until(lambda: tries > 3)
        assert caplog.text.count("cannot be kept now: The disk is full.") == 1
        monkeypatch.setattr(world.history, "write", real)
        await world.until(given.id, "done", "a")
        await until(lambda: not world.part._running)


async def test_a_file_that_takes_nothing_costs_no_later_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alive(tmp_path, *WHOLE, max_running=2) as world:
        real, is_full = world.history.write, True

        async def refuse(*what: object) -> bool:
            if is_full:
                raise NotReady("The disk is full.")
            return await real(*what)  # type: ignore[arg-type]  # as they came

        monkeypatch.setattr(world.history, "write", refuse)
        given = [talk("hi") for _ in range(4)]
        for one in given:
            following = await begun(world, one)
            await heard(following)
            await until(lambda: not world.part._running)
        assert world.part._late == 2 and world.hits("history_late") == 2
        is_full = False
        for one in given[:2]:
            await world.until(one.id, "done")
        await until(lambda: not world.part._late)


async def test_a_node_that_ends_while_the_file_takes_nothing_tries_a_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = talk("hi")
    steps = (started(), Delta((1,), "a"), finished(1))
    async with alive(tmp_path, *steps, flush_seconds=3600) as world:
        real = world.history.write

        async def refuse(*what: object) -> bool:
            raise NotReady("The disk is full.")

        monkeypatch.setattr(world.history, "write", refuse)
        assert text_of(await heard(await begun(world, given))) == "a"
        monkeypatch.setattr(world.history, "write", real)
    turn = await world.until(given.id, "done", "a")
    assert turn.facts is not None and turn.facts.reason == "stop"
    await world.history.close()


async def test_a_conversation_that_is_deleted_takes_its_answer_along(tmp_path: Path) -> None:
    async with alive(tmp_path, started(), Delta((1,), "a"), HOLD) as world:
        given, other = talk("hi"), talk("hi")
        following, second = await begun(world, given), await begun(world, other)
        await world.until(given.id, "running", "a")
        call = HistoryCall(method="delete", wish=b'{"id": "%s"}' % given.id[-8:].encode())  # type: ignore[arg-type]  # raw JSON
        await world.part.history(call)
        events = await heard(following)
        assert isinstance(events[-1], Finished) and events[-1].reason == "cancelled"
        left = await world.history.answer("list", HistoryAsk())
        assert isinstance(left, HistoryList)
        assert [one.id for one in left.conversations] == [other.id]
        assert not second.ended
