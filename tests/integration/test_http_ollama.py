"""The official `ollama` client against the real door."""

from __future__ import annotations

import array
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import httpx
import ollama
import pytest
import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import CallPiece, Delta, Failed, Finished, Submission
from aiplat.domain.chat import Embed, Generate, Message
from aiplat.domain.errors import AiplatError, ContextLengthExceeded, NoProcessor, ProcessorLost
from aiplat.domain.usage import Timings, Usage
from tests.support.fake_node import HOLD, TOKEN, Door, FakeNode, Step, open_door, started

Result = TypeVar("Result")
HI: Any = [{"role": "user", "content": "one two three"}]
SCHEMA: Any = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    node = FakeNode()
    node.offered = (
        ModelStatus(name="echo", state="ready", context=4096, can=("generate", "tools")),
        ModelStatus(name="minilm", state="loading", cold=True, can=("embed",)),
        ModelStatus(name="broken", state="failed"),
    )
    async with open_door(node) as opened:
        yield opened


async def use(door: Door, work: Callable[[ollama.Client], Result], *, key: str = TOKEN) -> Result:
    """Let the blocking client work in a thread."""

    def run() -> Result:
        headers = {"Authorization": f"Bearer {key}"}
        with ollama.Client(host=door.url, headers=headers, timeout=60) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)


async def test_it_lists_and_shows_models(door: Door) -> None:
    listed = await use(door, lambda client: client.list())
    assert [model.model for model in listed.models] == ["echo", "minilm"]
    running = await use(door, lambda client: client.ps())
    assert [(model.model, model.context_length) for model in running.models] == [("echo", 4096)]
    for name in ("echo", "echo:latest"):
        shown = await use(door, partial(ollama.Client.show, model=name))
        assert shown.capabilities == ["completion", "tools"]
        assert shown.modelinfo is not None
        architecture = shown.modelinfo["general.architecture"]
        assert shown.modelinfo[f"{architecture}.context_length"] == 4096
    embedding = await use(door, lambda client: client.show("minilm"))
    assert embedding.capabilities == ["embedding"]


async def test_it_chats_and_hears_how_long_it_took(door: Door) -> None:
    end = Finished("length", Usage(7, 2), Timings(queue_ms=1.0, first_token_ms=3.0, total_ms=10.0))
    door.node.answers.script = lambda submission: [started(7), Delta((1, 2), "so it"), end]
    answer = await use(
        door,
        lambda client: client.chat(
            "echo:latest", HI, options={"num_predict": 5, "num_ctx": 2048, "stop": ["END"]},
            keep_alive="5m",
        ),
    )  # fmt: skip
    assert answer.message.content == "so it"
    assert (answer.done, answer.done_reason, answer.model) == (True, "length", "echo:latest")
    assert (answer.prompt_eval_count, answer.eval_count) == (7, 2)
    assert (answer.load_duration, answer.prompt_eval_duration) == (1_000_000, 2_000_000)
    assert (answer.eval_duration, answer.total_duration) == (7_000_000, 10_000_000)
    submission = door.node.answers.asked[0].submission
    assert submission.model == "echo"
    assert isinstance(submission.work, Generate)
    assert submission.work.sampling.max_tokens == 5
    assert submission.work.sampling.stop == ("END",)


async def test_a_stream_is_the_same_text_and_the_last_line_has_the_end(door: Door) -> None:
    door.node.answers.batched = False
    parts = await use(door, lambda client: list(client.chat("echo", HI, stream=True)))
    assert "".join(part.message.content or "" for part in parts) == "one two three "
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", 3)
    made = await use(door, lambda client: list(client.generate("echo", "a b", stream=True)))
    assert "".join(part.response or "" for part in made) == "a b "


async def test_it_generates(door: Door) -> None:
    answer = await use(door, lambda client: client.generate("echo", "a b", system="Be short."))
    assert answer.response == "a b "
    work = door.node.answers.asked[0].submission.work
    assert isinstance(work, Generate)
    assert work.messages == (Message("system", "Be short."), Message("user", "a b"))
    door.node.answers.script = lambda submission: [
        started(), Delta((1,), "x"), Finished("stop", Usage(5, 1)),
    ]  # fmt: skip
    await use(door, lambda client: client.generate("echo", "a b", raw=True))
    work = door.node.answers.asked[1].submission.work
    assert isinstance(work, Generate)
    assert (work.messages, work.prompt) == ((), "a b")


async def test_the_form_of_the_answer(door: Door) -> None:
    await use(door, lambda client: client.chat("echo", HI, format=SCHEMA))
    await use(door, lambda client: client.generate("echo", "a", format="json"))
    found = [asking.submission.work for asking in door.node.answers.asked]
    assert [work.grammar for work in found if isinstance(work, Generate)] == [
        {"type": "json_schema", "schema": SCHEMA}, {"type": "json_object"},
    ]  # fmt: skip


def get_weather(place: str) -> str:
    """The weather somewhere.

    Args:
        place: where
    """
    return place


def calls_weather(submission: Submission) -> list[Step]:
    """Calls a tool twice, and then tells what it said."""
    assert isinstance(submission.work, Generate)
    last = submission.work.messages[-1]
    if last.role == "tool":
        return [started(), Delta((1,), f"It is {last.content}."), Finished("stop", Usage(5, 1))]
    return [
        started(),
        Delta((1,), "", calls=(CallPiece(0, "get_weather", '{"place":"Os'),)),
        Delta((2,), "", calls=(CallPiece(0, "", 'lo"}'), CallPiece(1, "get_weather", "{"))),
        Delta((3,), "", calls=(CallPiece(1, "", "}"),)),
        Finished("tool_calls", Usage(5, 3)),
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_called_and_its_result_is_read(door: Door, streamed: bool) -> None:
    door.node.answers.script = calls_weather
    door.node.answers.batched = False

    def talk(client: ollama.Client) -> tuple[list[Any], str]:
        ask: Any = client.chat
        parts = ask("echo", HI, tools=[get_weather], stream=streamed)
        said = [part.message for part in parts] if streamed else [parts.message]
        calls = [call for message in said for call in message.tool_calls or ()]
        turn = {"role": "assistant", "content": "", "tool_calls": calls}
        results = [
            {"role": "tool", "tool_name": "get_weather", "content": word}
            for word in ("dry", "cold")
        ]
        answer = client.chat("echo", [*HI, turn, *results], tools=[get_weather])
        return calls, answer.message.content or ""

    calls, text = await use(door, talk)
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", {"place": "Oslo"}), ("get_weather", {}),
    ]  # fmt: skip
    assert text == "It is cold."
    work = door.node.answers.asked[-1].submission.work
    assert isinstance(work, Generate)
    assert [call.id for call in work.messages[1].calls] == [
        message.call_id for message in work.messages[2:]
    ]
    assert work.tools[0]["description"].startswith("The weather somewhere.")


async def test_it_makes_vectors(door: Door) -> None:
    def vectors(submission: Submission) -> list[Step]:
        assert isinstance(submission.work, Embed)
        made = [array.array("f", [0.5, len(text)]).tobytes() for text in submission.work.inputs]
        return [started(), Delta(vectors=tuple(made)), Finished("stop", Usage(9, 0))]

    door.node.answers.script = vectors
    several = await use(door, lambda client: client.embed("minilm", ["a", "bb"], dimensions=2))
    assert several.embeddings == [[0.5, 1.0], [0.5, 2.0]]
    assert several.prompt_eval_count == 9
    one = await use(door, lambda client: client.embed("minilm", "abc", truncate=False))
    assert one.embeddings == [[0.5, 3.0]]
    old = await use(door, lambda client: client.embeddings("minilm", "ab"))
    assert old.embedding == [0.5, 2.0]
    asked = [asking.submission.work for asking in door.node.answers.asked]
    assert [work.truncate for work in asked if isinstance(work, Embed)] == [True, False, True]


async def test_no_prompt_has_the_model_loaded(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), Finished("length", Usage(5, 0))]
    answer = await use(door, lambda client: client.chat("echo", []))
    assert (answer.done, answer.done_reason, answer.message.content) == (True, "load", "")
    other = await use(door, lambda client: client.generate("echo"))
    assert (other.done_reason, other.response) == ("load", "")
    asked = [asking.submission.work for asking in door.node.answers.asked]
    assert all(isinstance(work, Generate) and work.only_count for work in asked)


def fails(error: AiplatError, submission: Submission) -> list[Step]:
    """Begins, and fails."""
    return [started(), Failed.of(error)]


def chat(streamed: bool, client: Any) -> None:
    """Ask, and read all of the answer."""
    list(client.chat("echo", HI, stream=streamed))


async def test_errors_before_and_after_the_first_token(door: Door) -> None:
    with pytest.raises(ollama.ResponseError, match="aiplat env") as caught:
        await use(door, lambda client: client.list(), key="sk-wrong")
    assert caught.value.status_code == 401
    for error, status in (
        (ContextLengthExceeded.of(5000, 0, 4096), 400),
        (NoProcessor("Nobody has it."), 503),
    ):
        door.node.answers.script = partial(fails, error)
        for streamed in (False, True):
            with pytest.raises(ollama.ResponseError) as caught:
                await use(door, partial(chat, streamed))
            assert (caught.value.error, caught.value.status_code) == (str(error), status)
    lost = ProcessorLost("The processor fell silent for 3 s.")
    door.node.answers.script = lambda submission: [started(), Delta((1,), "one "), Failed.of(lost)]
    with pytest.raises(ollama.ResponseError, match="fell silent"):
        await use(door, lambda client: list(client.chat("echo", HI, stream=True)))


async def test_models_are_brought_elsewhere(door: Door) -> None:
    with pytest.raises(ollama.ResponseError, match="aiplat models pull") as caught:
        await use(door, lambda client: client.pull("llama3"))
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="aiplat models rm"):
        await use(door, lambda client: client.delete("echo"))
    with pytest.raises(ollama.ResponseError, match="Did you mean echo"):
        await use(door, lambda client: client.show("ecko"))


async def test_a_client_that_leaves_cancels(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), Delta((1,), "x"), HOLD]

    def leave(client: ollama.Client) -> None:
        parts = client.chat("echo", HI, stream=True)
        next(iter(parts))
        parts.close()  # type: ignore[attr-defined]  # it is a generator

    await use(door, leave)
    with trio.fail_after(60):
        await door.node.answers.asked[0].cancelled.wait()


async def test_the_raw_lines_of_what_curl_sends(door: Door) -> None:
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "a"}]}'
    form = {**door.headers, "content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(base_url=door.url) as client:
        answer = await client.post("/api/chat", content=body, headers=form)
        assert answer.headers["content-type"] == "application/x-ndjson"
        first, last, nothing = answer.text.split("\n")
        assert '"message":{"role":"assistant","content":"a "},"done":false}' in first
        assert '"done":true,"done_reason":"stop"' in last
        assert not nothing
        version = await client.get("/api/version", headers=door.headers)
        assert version.json()["version"].count(".") == 2
        refused = await client.get("/api/version")
        assert refused.status_code == 401
        assert list(refused.json()) == ["error"]


async def test_the_key_may_stand_in_the_environment(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", TOKEN)
    monkeypatch.setenv("OLLAMA_HOST", door.url)

    def run() -> ollama.ListResponse:
        with ollama.Client() as client:
            listed: ollama.ListResponse = client.list()
            return listed

    assert (await trio.to_thread.run_sync(run)).models
