"""Conversations of real nodes: an answer outlives its face, and a killed node leaves what came."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from aiplat.control.aio import AsyncControlClient
from aiplat.control.client import ControlClient
from aiplat.control.events import Event
from aiplat.control.history import (
    ConversationName,
    HistoryAsk,
    HistoryList,
    HistoryState,
    Nothing,
    Save,
)
from aiplat.control.messages import Accepted, Ask, Done, Keep
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.chat import Message
from aiplat.domain.conversations import Conversation, Turn
from aiplat.domain.errors import InvalidRequest
from aiplat.history.store import DIED
from tests.support.nodes import RunningNode, aiplat, wait_for_model
from tests.support.waiting import eventually
from tests.unit.history.helpers import new_id, talk

ALONE = ("--listen", "/ip4/127.0.0.1/tcp/0", "--model", "echo")
QUICK = ("--set", "history.flush_seconds=0.1")
TEXT = " ".join(f"word{number}" for number in range(60))


def client(node: RunningNode) -> ControlClient:
    return ControlClient(Path(str(node.status["control"])), timeout=30)


def shown(node: RunningNode, id: str) -> Conversation:
    return client(node).history("show", ConversationName(id=id), Conversation)


def wish(given: Conversation) -> Ask:
    keep = Keep(conversation=given, parent=given.turns[-1].id, answer=new_id("trn"))
    return Ask(messages=(Message("user", TEXT),), model="echo", keep=keep)


def leave_after_a_word(node: RunningNode, ask: Ask) -> str:
    """Ask, hear the first words, close the stream; gives the request's name."""

    async def run() -> str:
        asking = AsyncControlClient(Path(str(node.status["control"])))
        name = ""
        async with aclosing(asking.ask(ask)) as events:
            async for event in events:
                if isinstance(event, Accepted):
                    assert event.kept, event.note
                    name = event.request
                if isinstance(event, Delta) and event.text:
                    return name
        raise AssertionError("it ended before its first word")

    return asyncio.run(run())


def follow(node: RunningNode, request: str) -> list[Event]:
    async def run() -> list[Event]:
        asking = AsyncControlClient(Path(str(node.status["control"])))
        return [event async for event in asking.follow(request)]

    return asyncio.run(run())


def answer_of(node: RunningNode, id: str, state: str) -> Turn:
    def found() -> Turn | None:
        turn = shown(node, id).turns[-1]
        return turn if turn.facts is not None and turn.facts.state == state else None

    turn = eventually(found, what=f"the answer {state}")
    assert turn is not None
    return turn


def command(home: Path, *words: str) -> Any:
    done = aiplat(home, "history", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_answer_outlives_its_face_and_is_followed_by_another(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n", *ALONE, *QUICK, "--echo-rate", "40")
    try:
        wait_for_model(node)
        given = talk(TEXT)
        request = leave_after_a_word(node, wish(given))
        [listed] = client(node).history("list", HistoryAsk(), HistoryList).conversations
        assert (listed.id, listed.running) == (given.id, True)
        events = follow(node, request)
        assert events[0] == Accepted(request=request, kept=True)
        assert isinstance(events[1], Started) and isinstance(events[-1], Finished)
        followed = "".join(event.text for event in events if isinstance(event, Delta))

        kept = answer_of(node, given.id, "done")
        assert kept.text.split() == followed.split() == TEXT.split()
        assert kept.facts is not None
        assert (kept.facts.model, kept.facts.processor) == ("echo", node.peer_id)
        assert 0 < kept.facts.first_token_ms < kept.facts.total_ms
        assert kept.facts.completion_tokens >= 60
        assert follow(node, request)[-1] == events[-1], "also a moment after its end"
        found = json.loads(command(node.home, "list", "--search", "word59", "--json"))
        assert found["conversations"][0]["id"] == given.id
        assert "word0 word1" in command(node.home, "show", given.id[-8:])

        second = talk(TEXT)
        request = leave_after_a_word(node, wish(second))
        assert "is stopped" in client(node).stop_answer(request).message
        stopped = answer_of(node, second.id, "stopped")
        assert 0 < len(stopped.text) < len(TEXT)
        client(node).history("delete", ConversationName(id=second.id), Done)
        with pytest.raises(InvalidRequest, match="No conversation"):
            shown(node, second.id)
        assert node.stop() == 0
        assert "word0 word1" in command(node.home, "show", given.id[-8:]), "also without a node"
    finally:
        node.close()


@pytest.mark.slow
def test_a_killed_node_leaves_what_was_flushed_and_one_that_is_stopped_all(tmp_path: Path) -> None:
    slow = ("--echo-rate", "20")
    node = RunningNode(tmp_path / "n", *ALONE, *QUICK, *slow)
    first, second = talk(TEXT), talk(TEXT)
    try:
        wait_for_model(node)
        leave_after_a_word(node, wish(first))
        eventually(lambda: shown(node, first.id).turns[-1].text, what="a flush")
        node.kill()
    finally:
        node.close()
    node = RunningNode(tmp_path / "n", *ALONE, *slow, "--set", "history.flush_seconds=600",
                       "--set", "runtime.grace_seconds=0")  # fmt: skip
    try:
        died = shown(node, first.id).turns[-1]
        assert died.facts is not None
        assert (died.facts.state, died.facts.error) == ("failed", DIED)
        assert TEXT.startswith(died.text.strip()) and 0 < len(died.text) < len(TEXT)
        wait_for_model(node)
        leave_after_a_word(node, wish(second))
        assert node.stop() == 0
    finally:
        node.close()
    found = json.loads(command(tmp_path / "n", "show", second.id, "--json"))
    ended = found["turns"][-1]
    assert ended["facts"]["state"] == "failed"
    assert "was stopped before the answer was whole" in ended["facts"]["error"]
    assert TEXT.startswith(ended["text"].strip()) and ended["text"]


@pytest.mark.slow
def test_a_file_that_cannot_be_used_costs_the_keeping_alone(tmp_path: Path) -> None:
    (tmp_path / "n" / "data" / "history.db").mkdir(parents=True, mode=0o700)
    (tmp_path / "n" / "data").chmod(0o700)
    node = RunningNode(tmp_path / "n", *ALONE, "--echo-rate", "0")
    try:
        wait_for_model(node)
        events = list(client(node).ask(wish(talk(TEXT))))
        assert isinstance(events[0], Accepted) and not events[0].kept
        assert "conversations' file" in events[0].note
        assert isinstance(events[-1], Finished)
        with pytest.raises(Exception, match="conversations' file"):
            client(node).history("save", Save(conversation=talk("x")), Done)
        with pytest.raises(Exception, match="conversations' file"):
            client(node).history("state", Nothing(), HistoryState)
    finally:
        node.close()
