"""Answers as they come, and conversations in lines, against a scripted node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiplat.cli.conversation import Conversation
from aiplat.cli.failures import Failure
from aiplat.cli.reply import Reply
from aiplat.control.client import Event, NoNode
from aiplat.control.messages import Accepted, Ask
from aiplat.domain.answers import Delta, Finished, Queued, Started
from aiplat.domain.chat import Message
from aiplat.domain.errors import AiplatError, ContextLengthExceeded, InvalidRequest, NoProcessor
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage

MANIFEST = Manifest(
    name="echo", weights="", tokenizer="", template="", recipe=0, dtype="none", context=10,
    vocabulary=10, backend="echo",
)  # fmt: skip
STARTED = Started(MANIFEST, 2, processor="12D3P", gateway="12D3G")
FINISHED = Finished("stop", Usage(2, 3), Timings(1.0, 2.0, 3.0))


def saying(*texts: str) -> Script:
    return [STARTED, *(Delta((1,), text) for text in texts), FINISHED]


Script = list[Event | type[BaseException] | AiplatError]


class Node:
    """Answers what was scripted, and keeps what it was asked."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.asked: list[Ask] = []
        self.closed = 0

    def ask(self, ask: Ask) -> Iterator[Event]:
        self.asked.append(ask)
        self.kept = self._answer(self._scripts.pop(0))  # or dropping it would close it
        return self.kept

    def _answer(self, script: Script) -> Iterator[Event]:
        try:
            yield Accepted(request="req-1")
            for event in script:
                if isinstance(event, type | AiplatError):
                    raise event
                yield event
        finally:
            self.closed += 1


class Typed:
    def __init__(self, *lines: str | BaseException) -> None:
        self._lines = list(lines)

    def next(self) -> str | None:
        line = self._lines.pop(0) if self._lines else None
        if isinstance(line, BaseException):
            raise line
        return line


ASK = Ask(messages=(Message("user", "?"),), model="echo")


def talk(
    node: Node,
    *lines: str | BaseException,
    json: bool = False,
    human: bool = False,
    system: str = "",
    renew: Callable[[], Any] | None = None,
) -> tuple[Conversation, int]:
    client: Any = node  # a fake
    again = renew or (lambda: client)
    conversation = Conversation(client, ASK, system, renew=again, json=json, human=human)
    return conversation, conversation.run(Typed(*lines))


def reply(*script: Event | type[BaseException] | AiplatError) -> tuple[Reply, list[str], list[str]]:
    heard: list[str] = []
    said: list[str] = []
    made = Reply(heard.append, said.append)
    made.run(Node(list(script)), ASK)  # type: ignore[arg-type]  # a fake
    return made, heard, said


# -- one answer ---------------------------------------------------------------------------------


def test_text_comes_as_it_is_made_and_waits_are_told_once() -> None:
    wait = Queued(1, 100, "all processors are busy")
    made, heard, said = reply(wait, wait, *saying("Pa", "", "ris"))
    assert heard == ["Pa", "ris"]
    assert said == ["Waiting: all processors are busy"]
    assert made.as_json() == {
        "text": "Paris", "model": "echo", "gateway": "12D3G", "processor": "12D3P",
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5,
                  "cached_tokens": 0, "exact": True},
        "request": "req-1", "finish_reason": "stop",
        "timings": {"queue_ms": 1.0, "first_token_ms": 2.0, "total_ms": 3.0},
    }  # fmt: skip


def test_a_failure_keeps_what_came_and_the_requests_name() -> None:
    with pytest.raises(Failure) as caught:
        reply(STARTED, Delta((1,), "Pa"), NoProcessor("Gone."))
    assert isinstance(caught.value.error, NoProcessor)
    assert caught.value.extra == {"request": "req-1", "text": "Pa"}


@pytest.mark.parametrize("end", [KeyboardInterrupt, BrokenPipeError])
def test_who_leaves_early_closes_the_answer(end: type[BaseException]) -> None:
    def leave(text: str) -> None:
        raise end

    node = Node(saying("Pa", "ris"))
    with pytest.raises(end):
        Reply(leave, print).run(node, ASK)  # type: ignore[arg-type]  # a fake
    assert node.closed == 1


# -- a conversation -----------------------------------------------------------------------------


def test_each_turn_sends_the_whole_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    node = Node(saying("Hi", "."), saying("Bye.\n"))
    conversation, code = talk(node, "hello", "", "  again ", "exit", "never", system="Be brief.")
    assert code == 0
    assert capsys.readouterr().out == "Hi.\nBye.\n"
    assert [message.content for message in node.asked[1].messages] == [
        "Be brief.", "hello", "Hi.", "again",
    ]  # fmt: skip
    assert [message.role for message in conversation.messages] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert node.asked[0].model == "echo"


def test_json_is_one_line_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    talk(Node(saying("a\nb"), saying("c")), "x", "y", json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a\nb", "c"]


def test_new_begins_again() -> None:
    node = Node(saying("a"), saying("b"))
    talk(node, "x", "/new", "y", system="S")
    assert [message.content for message in node.asked[1].messages] == ["S", "y"]


def test_a_stopped_answer_keeps_what_came(capsys: pytest.CaptureFixture[str]) -> None:
    node = Node([STARTED, Delta((1,), "half"), KeyboardInterrupt], saying("more"))
    conversation, code = talk(node, "x", "y", human=True)
    assert code == 0
    assert node.closed == 2
    assert capsys.readouterr().out == "half\nmore\n"
    assert [message.content for message in conversation.messages] == ["x", "half", "y", "more"]


def test_an_interrupt_in_a_pipe_ends_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        talk(Node([STARTED, Delta((1,), "half"), KeyboardInterrupt]), "x")


def test_an_interrupt_while_typing_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    node = Node(saying("a"))
    _, code = talk(node, KeyboardInterrupt(), InvalidRequest("Line 1 is bad."), "x", human=True)
    assert code == 0
    assert len(node.asked) == 1
    assert "Line 1 is bad." in capsys.readouterr().err


def test_a_failed_turn_is_not_kept_and_gives_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = NoProcessor("No processor.")
    node = Node([STARTED, Delta((1,), "ha"), failed], saying("ok"))
    conversation, code = talk(node, "x", "y")
    assert code == 4
    assert [message.content for message in conversation.messages] == ["y", "ok"]
    out, err = capsys.readouterr()
    assert out == "ha\nok\n"
    assert err == "error: No processor.\n"


def test_a_failed_turn_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    talk(Node([NoProcessor("No processor.")]), "x", json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["error"]["code"] == "no_processor"
    assert told["request"] == "req-1"


def test_a_full_context_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    _, code = talk(Node([ContextLengthExceeded.of(20, 0, 10)]), "x", human=True)
    assert code == 0  # a person saw it
    assert '"/new" begins again' in capsys.readouterr().err


class Left(Node):
    """A node that is gone: nothing is accepted."""

    def ask(self, ask: Ask) -> Iterator[Event]:
        self.asked.append(ask)
        return map(self._gone, [ask])  # as the client's, it raises when it is read

    def _gone(self, ask: Ask) -> Event:
        raise NoNode("No node runs here.")


def test_a_conversation_outlives_its_node(capsys: pytest.CaptureFixture[str]) -> None:
    gone, next_one = Left(), Node(saying("b"), saying("c"))
    renewed: list[Node] = []

    def renew() -> Node:
        renewed.append(next_one)
        return next_one

    conversation, code = talk(gone, "x", "y", renew=renew)
    assert code == 0
    assert (len(gone.asked), len(renewed)) == (1, 1)
    assert [message.content for message in conversation.messages] == ["x", "b", "y", "c"]
    assert capsys.readouterr() == ("b\nc\n", "")


def test_a_node_that_cannot_be_had_again_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, code = talk(Left(), "x", renew=Left)
    assert code == 1
    assert capsys.readouterr().err == "error: No node runs here.\n"


def test_what_a_peer_says_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, said = reply(Queued(1, 0, "busy\nfake\x1b[2J"), *saying("a"))
    assert said == ["Waiting: busy·fake·[2J"]
    talk(Node([NoProcessor("No\n\x1b[2Jprocessor.")]), "x")
    assert capsys.readouterr().err == "error: No··[2Jprocessor.\n"
