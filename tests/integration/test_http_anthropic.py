"""The official `anthropic` client against the real door, its types checked strictly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import groupby
from typing import Any, TypeVar

import anthropic
import pydantic
import pytest
import trio

from aiplat.domain.answers import CallPiece, Delta, Failed, Finished, Submission
from aiplat.domain.chat import Generate, Message, ToolCall
from aiplat.domain.errors import (
    AiplatError,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineFailed,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    ProcessorLost,
    QuotaExceeded,
    RateLimited,
)
from aiplat.domain.usage import Usage
from tests.support.fake_node import HOLD, TOKEN, Door, Step, open_door, started

Result = TypeVar("Result")
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
HI: Any = [{"role": "user", "content": "one two three"}]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


async def use(
    door: Door, work: Callable[[anthropic.Anthropic], Result], *, key: str = TOKEN
) -> Result:
    """Let the blocking client work in a thread."""

    def run() -> Result:
        with anthropic.Anthropic(
            base_url=door.url, api_key=key, max_retries=0, timeout=60,
            _strict_response_validation=True,
        ) as client:  # fmt: skip
            return work(client)

    return await trio.to_thread.run_sync(run)


def calls_weather(submission: Submission) -> list[Step]:
    """Says a word, calls a tool once without a result, and then tells what it said."""
    assert isinstance(submission.work, Generate)
    last = submission.work.messages[-1]
    if last.role == "tool":
        return [
            started(20), Delta((1,), f"It is {last.content}."), Finished("stop", Usage(20, 1, 15)),
        ]  # fmt: skip
    return [
        started(10),
        Delta((1,), "Let me look."),
        Delta((2,), "", calls=(CallPiece(0, "get_weather"),)),
        Delta((3, 4), "", calls=(CallPiece(0, "", '{"pla'),)),
        Delta((5,), "", calls=(CallPiece(0, "", 'ce":"Oslo"}'),)),
        Finished("tool_calls", Usage(10, 5)),
    ]


async def test_it_asks_and_hears_what_it_came_to(door: Door) -> None:
    raw = await use(
        door,
        lambda client: client.messages.with_raw_response.create(
            model="echo", max_tokens=5, messages=HI, system="Be short.",
            stop_sequences=["END"], metadata={"user_id": "u-1"}, service_tier="auto",
            extra_body={"temperature": 0.5, "top_k": 3},  # of the API, but no more of this client
        ),
    )  # fmt: skip
    message = raw.parse()
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "one two three "
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 3)
    assert message.id.startswith("msg_")
    (asking,) = door.node.answers.asked
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == asking.submission.id
    work = asking.submission.work
    assert isinstance(work, Generate)
    assert work.messages == (Message("system", "Be short."), Message("user", "one two three"))
    assert work.sampling.max_tokens == 5
    assert (work.sampling.stop, work.sampling.top_k) == (("END",), 3)


async def test_a_stream_is_the_same_message(door: Door) -> None:
    door.node.answers.batched = False
    kinds: list[str] = []

    def read(client: anthropic.Anthropic) -> Any:
        with client.messages.stream(model="echo", max_tokens=5, messages=HI) as stream:
            kinds.extend(event.type for event in stream)
            return stream.get_final_message()

    streamed = await use(door, read)
    whole: Any = await use(
        door, lambda client: client.messages.create(model="echo", max_tokens=5, messages=HI)
    )
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage == whole.usage
    assert streamed.stop_reason == whole.stop_reason
    kinds = [kind for kind in kinds if kind != "text"]  # the helper's own, beside each delta
    assert [kind for kind, _ in groupby(kinds)] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


async def test_a_stop_sequence_and_the_cache_are_told(door: Door) -> None:
    end = Finished("stop", Usage(12, 1, 8), stop="END")
    door.node.answers.script = lambda submission: [started(12), Delta((1,), "so"), end]
    message = await use(
        door,
        lambda client: client.messages.create(
            model="echo", max_tokens=5, messages=HI, stop_sequences=["END"]
        ),
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (4, 8)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_called_and_its_result_is_read(door: Door, streamed: bool) -> None:
    door.node.answers.script = calls_weather
    door.node.answers.batched = False

    def ask(client: anthropic.Anthropic, messages: Any) -> Any:
        asked: Any = {"model": "echo", "max_tokens": 50, "messages": messages, "tools": [WEATHER]}
        if not streamed:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            return stream.get_final_message()

    def talk(client: anthropic.Anthropic) -> tuple[Any, Any]:
        first = ask(client, HI)
        result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "cold"}
        said = {"role": "assistant", "content": first.content}
        return first, ask(client, [*HI, said, {"role": "user", "content": [result]}])

    first, second = await use(door, talk)
    text, call = first.content
    assert (first.stop_reason, text.text) == ("tool_use", "Let me look.")
    assert (call.type, call.name, call.input) == ("tool_use", "get_weather", {"place": "Oslo"})
    assert call.id.startswith("toolu_")
    assert second.content[0].text == "It is cold."
    assert second.usage.cache_read_input_tokens == 15
    work = door.node.answers.asked[-1].submission.work
    assert isinstance(work, Generate)
    assert work.messages[1:] == (
        Message(
            "assistant", "Let me look.",
            calls=(ToolCall(call.id, "get_weather", '{"place":"Oslo"}'),),
        ),
        Message("tool", "cold", call_id=call.id, name="get_weather"),
    )  # fmt: skip
    assert work.tools[0]["parameters"] == WEATHER["input_schema"]


class Person(pydantic.BaseModel):
    """A form of an answer."""

    name: str
    age: int


async def test_an_answer_keeps_to_a_form(door: Door) -> None:
    door.node.answers.script = lambda submission: [
        started(), Delta((1,), '{"name":"Ada","age":36}'), Finished("stop", Usage(5, 1)),
    ]  # fmt: skip
    message = await use(
        door,
        lambda client: client.messages.parse(
            model="echo", max_tokens=50, messages=HI, output_format=Person
        ),
    )
    assert message.parsed_output == Person(name="Ada", age=36)
    work = door.node.answers.asked[0].submission.work
    assert isinstance(work, Generate)
    assert work.grammar is not None
    assert work.grammar["type"] == "json_schema"
    assert sorted(work.grammar["schema"]["properties"]) == ["age", "name"]


async def test_the_clients_beta_asks_the_same(door: Door) -> None:
    message = await use(
        door,
        lambda client: client.beta.messages.create(
            model="echo", max_tokens=5, messages=HI, betas=["token-counting-2024-11-01"]
        ),
    )
    (block,) = message.content
    assert block.type == "text"
    assert block.text == "one two three "


async def test_tokens_are_counted_without_an_answer(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(17), Finished("length", Usage(17, 0))]
    count = await use(
        door,
        lambda client: client.messages.count_tokens(
            model="echo", messages=HI, system="Be short.", tools=[WEATHER]
        ),
    )
    assert count.input_tokens == 17
    work = door.node.answers.asked[0].submission.work
    assert isinstance(work, Generate)
    assert work.only_count
    assert work.sampling.max_tokens == 1


async def test_models_have_the_clients_own_shape_and_pages(door: Door) -> None:
    models = await use(door, lambda client: list(client.models.list(limit=1)))
    assert [model.id for model in models] == ["echo", "org/large"]
    assert models[0].max_input_tokens == 4096
    one = await use(door, lambda client: client.models.retrieve("org/large"))
    assert one.display_name == "org/large"
    back = await use(door, lambda client: client.models.list(before_id="org/large"))
    assert [model.id for model in back.data] == ["echo"]
    with pytest.raises(anthropic.NotFoundError, match="Did you mean echo"):
        await use(door, lambda client: client.models.retrieve("ecko"))
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        await use(door, lambda client: client.models.list(limit=0))


async def test_a_wrong_key(door: Door) -> None:
    for work in (
        lambda client: client.messages.create(model="echo", max_tokens=1, messages=HI),
        lambda client: client.models.list(),
    ):
        with pytest.raises(anthropic.AuthenticationError, match="aiplat env") as caught:
            await use(door, work, key="sk-wrong")
        assert caught.value.type == "authentication_error"
        assert caught.value.request_id is not None
        assert caught.value.request_id.startswith("req-")


@pytest.mark.parametrize(
    ("error", "leaf", "kind"),
    [
        (
            ContextLengthExceeded.of(5000, 0, 4096),
            anthropic.BadRequestError,
            "invalid_request_error",
        ),
        (ModelNotFound("No such model."), anthropic.NotFoundError, "not_found_error"),
        (RateLimited("Slow down.", retry_after=3), anthropic.RateLimitError, "rate_limit_error"),
        (QuotaExceeded("All used."), anthropic.RateLimitError, "rate_limit_error"),
        (EngineFailed("It broke."), anthropic.InternalServerError, "api_error"),
        (Overloaded("Full."), anthropic.InternalServerError, "overloaded_error"),
        (NoProcessor("Nobody."), anthropic.InternalServerError, "overloaded_error"),
        (DeadlineExceeded("Late."), anthropic.InternalServerError, "timeout_error"),
    ],
)
async def test_an_error_before_the_first_token_is_the_clients_own(
    door: Door, error: AiplatError, leaf: type[anthropic.APIStatusError], kind: str
) -> None:
    door.node.answers.script = lambda submission: [started(), Failed.of(error)]
    asked: Any = {"model": "echo", "max_tokens": 5, "messages": HI}
    for work in (
        lambda client: client.messages.create(**asked),
        lambda client: list(client.messages.create(**asked, stream=True)),
    ):
        with pytest.raises(leaf) as caught:
            await use(door, work)
        assert caught.value.type == kind
        assert str(error) in str(caught.value)
        if kind == "overloaded_error":
            assert caught.value.status_code == 529


async def test_an_error_after_the_first_token_ends_the_stream_as_an_error(door: Door) -> None:
    lost = ProcessorLost("The processor fell silent for 3 s.")
    door.node.answers.script = lambda submission: [
        started(), Delta((1,), "one "), HOLD, Failed.of(lost),
    ]  # fmt: skip
    seen: list[str] = []

    def read(client: anthropic.Anthropic) -> None:
        with client.messages.stream(model="echo", max_tokens=5, messages=HI) as stream:
            for text in stream.text_stream:
                seen.append(text)
                trio.from_thread.run_sync(door.node.answers.asked[0].release)

    with pytest.raises(anthropic.APIStatusError, match="fell silent"):
        await use(door, read)
    assert seen == ["one "]


async def test_a_client_that_leaves_cancels(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), Delta((1,), "x"), HOLD]

    def leave(client: anthropic.Anthropic) -> None:
        with client.messages.stream(model="echo", max_tokens=5, messages=HI) as stream:
            next(iter(stream.text_stream))

    await use(door, leave)
    with trio.fail_after(60):
        await door.node.answers.asked[0].cancelled.wait()
