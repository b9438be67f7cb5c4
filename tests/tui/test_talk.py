"""A conversation without a screen: asking, branches, stopping, what is sent to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.control.messages import Accepted, Ask
from aiplat.domain.answers import Delta, Finished, Queued, Started
from aiplat.domain.conversations import (
    AnswerFacts,
    AttachedFile,
    Conversation,
    ConversationSettings,
    Turn,
)
from aiplat.domain.errors import InvalidRequest, NoPeer, NotReady
from aiplat.domain.usage import Usage
from aiplat.tui.chat.talk import Talk, new_id
from tests.support.fake_node import MANIFEST
from tests.support.screens import PEER, ScriptedLink, StillClock, drive

STARTED = Started(manifest=MANIFEST, prompt_tokens=12, processor=PEER)


@dataclass
class Heard:
    """Who shows it, and what it was told."""

    grown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def changed(self, talk: Talk) -> None: ...

    def grew(self, talk: Talk, turn: str, text: str) -> None:
        self.grown.append(text)

    def noted(self, talk: Talk, text: str) -> None:
        self.notes.append(text)


def talk_of(
    link: ScriptedLink, clock: StillClock | None = None, *, kept: bool = True
) -> tuple[Talk, Heard]:
    heard = Heard()
    conversation = Conversation(id=new_id("cnv"), created=1, updated=1)
    return Talk(conversation, link, clock or StillClock(), heard, kept=kept), heard


def begun(answer: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin an answer beside the test, which waits for it or cancels it."""
    return asyncio.get_running_loop().create_task(answer)


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def asks(talk: Talk, link: ScriptedLink) -> tuple[Turn, asyncio.Task[None]]:
    """Ask a question, until the node has it."""
    turn = talk.begin(talk.question("Why?"))
    task = begun(talk.answer(turn))
    await until(lambda: link.streams)
    return turn, task


async def answered(talk: Talk, link: ScriptedLink, question: Turn, *words: str) -> Turn:
    """Have a question answered with those words."""
    turn = talk.begin(question)
    task = begun(talk.answer(turn))
    count = len(link.streams)
    await until(lambda: len(link.streams) == count + 1)
    link.streams[-1].say(Accepted(request=f"req-{count}", kept=talk.kept), STARTED)
    for word in words:
        link.streams[-1].say(Delta(ids=(1,), text=word))
    link.streams[-1].say(Finished(reason="stop", usage=Usage(12, len(words))))
    await task
    found = talk.find(turn.id)
    assert found is not None
    return found


def test_an_answer_with_its_facts() -> None:
    async def test() -> None:
        link, clock = ScriptedLink(), StillClock()
        talk, heard = talk_of(link, clock)
        turn, task = await asks(talk, link)
        stream = link.streams[0]
        stream.say(Accepted(request="req-1", kept=True), Queued(place=2, expected_wait_ms=1500))
        await until(lambda: talk.running[turn.id].waits)
        assert talk.live_line(turn).startswith("◌ waits for a free slot, place 3, about 1.5 s")
        stream.say(STARTED)
        await until(lambda: not talk.running[turn.id].waits)
        clock.advance(2)
        stream.say(Delta(ids=(1, 2), text="Be"))
        await until(lambda: heard.grown)
        clock.advance(1)
        assert "2 tokens" in talk.live_line(turn) and "1.0 tok/s" in talk.live_line(turn)
        stream.say(Delta(ids=(3,), text="cause"), Finished(reason="stop", usage=Usage(12, 3, 4)))
        await task
        ended = talk.find(turn.id)
        assert ended is not None and ended.text == "Because" and ended.facts is not None
        facts = ended.facts
        assert (facts.state, facts.reason, facts.request) == ("done", "stop", "req-1")
        assert (facts.first_token_ms, facts.total_ms) == (2000, 3000)
        assert (facts.prompt_tokens, facts.completion_tokens, facts.cached_tokens) == (12, 3, 4)
        assert facts.tokens_per_second == 2.0
        assert not talk.running and heard.grown == ["Be", "cause"]

    drive(test)


def test_what_is_asked_is_the_path_with_system_prompt_and_files() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        talk.set(ConversationSettings(model="m", system="Be short.", temperature=0.5, max_tokens=9))
        await answered(talk, link, talk.question("One?"), "1")
        await answered(talk, link, talk.question("Two?", (AttachedFile("n.md", "text"),)), "2")
        ask = link.streams[-1].asked
        assert isinstance(ask, Ask)
        assert [(m.role, m.content) for m in ask.messages] == [
            ("system", "Be short."), ("user", "One?"), ("assistant", "1"),
            ("user", "Two?\n\nn.md:\n```\ntext\n```"),
        ]  # fmt: skip
        assert (ask.model, ask.sampling.temperature, ask.sampling.max_tokens) == ("m", 0.5, 9)

    drive(test)


def test_what_is_kept_names_only_what_is_new() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        await answered(talk, link, talk.question("One?"), "1")
        first = link.streams[0].asked
        question = talk.question("Two?")
        await answered(talk, link, question, "2")
        second = link.streams[1].asked
        assert isinstance(first, Ask) and first.keep and isinstance(second, Ask) and second.keep
        assert [turn.text for turn in first.keep.conversation.turns] == ["One?"]
        assert [turn.text for turn in second.keep.conversation.turns] == ["Two?"]
        assert second.keep.parent == question.id
        assert second.keep.conversation.title == "One?"

    drive(test)


def test_one_that_is_not_kept_is_never_sent_to_be_kept() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link, kept=False)
        await answered(talk, link, talk.question("One?"), "1")
        ask = link.streams[0].asked
        assert isinstance(ask, Ask) and ask.keep is None
        await talk.save()
        assert not link.of("history:save")

    drive(test)


def test_a_failure_keeps_what_came_and_says_why() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        turn, task = await asks(talk, link)
        link.streams[0].say(Accepted(request="r"), STARTED, Delta(ids=(1,), text="Half"))
        link.streams[0].say(NoPeer("The processor is gone."))
        await task
        ended = talk.find(turn.id)
        assert ended is not None and ended.facts is not None and ended.text == "Half"
        assert (ended.facts.state, ended.facts.error) == ("failed", "The processor is gone.")

    drive(test)


def test_what_is_stopped_by_leaving_keeps_what_came() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link, kept=False)
        turn, task = await asks(talk, link)
        link.streams[0].say(Accepted(request="r"), STARTED, Delta(ids=(1, 2), text="Half"))
        await until(lambda: talk.text_of(turn) == "Half")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended = talk.find(turn.id)
        assert link.streams[0].left
        assert ended is not None and ended.facts is not None
        assert (ended.text, ended.facts.state) == ("Half", "stopped")
        assert ended.facts.completion_tokens == 2

    drive(test)


def test_branches_are_walked() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        question = talk.question("One?")
        first = await answered(talk, link, question, "a")
        followed = await answered(talk, link, talk.question("Two?"), "b")
        again = await answered(talk, link, question, "c")
        assert [t.text for t in talk.path] == ["One?", "c"]
        assert talk.branch(again, 1)
        assert [t.text for t in talk.path] == ["One?", "a", "Two?", "b"]
        assert talk.branch(first, -1)
        assert talk.path[-1].id == again.id
        edited = talk.edited(question, "Other?")
        assert edited.parent == "" and [t.text for t in talk.path] == ["Other?"]
        assert not talk.branch(followed, 1)

    drive(test)


def test_what_was_seen_of_an_answer_stays_where_the_node_lost_the_last_of_it() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        question = talk.question("One?")
        ended = await answered(talk, link, question, "Half of it, and more")
        for told, shown in (("Half of it", "Half of it, and more"), ("Quite other", "Quite other")):
            kept = replace(ended, text=told, facts=AnswerFacts(state="failed", error="It ended."))
            link.says["history:show"] = replace(talk.conversation, turns=(question, kept))
            await talk.refresh(ended.id)
            now = talk.find(ended.id)
            assert now is not None and now.text == shown
            assert now.facts is not None and (now.facts.error == "It ended.") == (shown == told)

    drive(test)


def test_bad_questions_are_refused() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        with pytest.raises(InvalidRequest, match="nothing to ask"):
            talk.question("  \n ")
        with pytest.raises(InvalidRequest, match="2000000"):
            talk.question("x" * 2_000_001)
        talk.begin(talk.question("One?"))
        with pytest.raises(InvalidRequest, match="still under way"):
            talk.question("Two?")
        assert len(talk.conversation.turns) == 2

    drive(test)


def test_a_note_of_the_node_reaches_the_person() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, heard = talk_of(link)
        _, task = await asks(talk, link)
        link.streams[0].say(Accepted(request="r", kept=False, note="The disk is full."), STARTED,
                            Finished(reason="stop", usage=Usage(1, 0)))  # fmt: skip
        await task
        assert heard.notes == ["The disk is full."] and not talk.is_saved

    drive(test)


def test_the_rest_of_a_kept_answer_is_followed_and_its_figures_are_the_nodes() -> None:
    async def test() -> None:
        link, clock = ScriptedLink(), StillClock()
        talk, _ = talk_of(link, clock)
        turn = talk.begin(talk.question("Why?"))
        assert turn.facts is not None
        old = replace(turn, text="stale", facts=replace(turn.facts, request="req-9"))
        talk.running.clear()
        measured = replace(turn.facts, state="done", request="req-9", total_ms=9000.0)
        whole = replace(turn, text="So far, and more", facts=measured)
        link.says["history:show"] = replace(talk.conversation, turns=(talk.path[0], whole))
        task = begun(talk.follow(old))
        await until(lambda: link.streams)
        assert link.streams[0].asked == "req-9"
        link.streams[0].say(Accepted(request="req-9", kept=True), STARTED, Delta(text="So far, "),
                            Delta(ids=(1,), text="and more"),
                            Finished(reason="stop", usage=Usage(1, 4)))  # fmt: skip
        await task
        ended = talk.find(turn.id)
        assert ended is not None and ended.text == "So far, and more"
        assert ended.facts is not None and ended.facts.total_ms == 9000.0

    drive(test)


def test_a_follow_that_fails_keeps_what_was_there() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        turn = talk.begin(talk.question("Why?"))
        assert turn.facts is not None
        talk.running.clear()
        link.says["history:show"] = NotReady("No node runs here.")
        task = begun(talk.follow(replace(turn, text="Half")))
        await until(lambda: link.streams)
        link.streams[0].say(InvalidRequest("No such answer is under way."))
        await task
        ended = talk.find(turn.id)
        assert ended is not None and ended.text == "Half"

    drive(test)


def test_turns_that_did_not_reach_the_node_are_sent_with_the_next() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        await answered(talk, link, talk.question("One?"), "1")
        lost = talk.begin(talk.question("Two?"))
        task = begun(talk.answer(lost))
        await until(lambda: len(link.streams) == 2)
        link.streams[1].say(NotReady("No node runs here."))
        await task
        await answered(talk, link, talk.question("Three?"), "3")
        asked = link.streams[-1].asked
        assert isinstance(asked, Ask) and asked.keep is not None
        sent = asked.keep.conversation.turns
        assert [turn.text for turn in sent] == ["Two?", "", "Three?"]
        assert not talk._unknown()

    drive(test)


def test_an_answer_whose_stream_broke_is_asked_of_the_node_again() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        turn, task = await asks(talk, link)
        link.streams[0].say(Accepted(request="r", kept=True), STARTED, Delta(ids=(1,), text="Half"))
        link.streams[0].say(NotReady("The node has not answered for 30 seconds."))
        await task
        assert talk.broken == {turn.id} and turn.facts is not None
        whole = replace(turn, text="Half and half", facts=replace(turn.facts, state="done"))
        link.says["history:show"] = replace(talk.conversation, turns=(talk.path[0], whole))
        assert await talk.refresh(*talk.broken) == ()
        found = talk.find(turn.id)
        assert found is not None and found.text == "Half and half" and not talk.broken

    drive(test)


def test_what_waits_for_the_node_can_be_stopped() -> None:
    async def test() -> None:
        link = ScriptedLink()
        talk, _ = talk_of(link)
        turn = talk.begin(talk.question("Why?"))

        async def never() -> None:
            await asyncio.Event().wait()

        task = begun(talk.answer(turn, never))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not talk.running and not link.streams
        talk.question("Or this?")

    drive(test)
