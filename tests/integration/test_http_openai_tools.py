"""The official `openai` client against the real door: tools and structured answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import trio
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from aiplat.domain.answers import CallPiece, Delta, Submission
from aiplat.domain.chat import Generate, Message, ToolCall
from aiplat.http.generating import call_id
from tests.support.fake_node import HOLD, Door, Step, calling, open_door, started, words
from tests.support.openai_client import use
from tests.support.openai_schema import ChatCompletion, check

PROMPT: Any = [{"role": "user", "content": "What is the weather in Rome?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
ROME = '{"city": "Rome"}'


def script(submission: Submission) -> list[Step]:
    """Calls the tool first, and says what it said then."""
    assert isinstance(submission.work, Generate)
    last = submission.work.messages[-1]
    if last.role == "tool":
        return words("It is ", last.content)
    return calling(("weather", ROME), ("weather", '{"city": "Oslo"}'))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        opened.node.answers.script = script
        opened.node.answers.batched = False
        yield opened


def create(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(model="echo", messages=PROMPT, **options)


async def test_a_round_trip(door: Door) -> None:
    def trip(client: openai.OpenAI) -> tuple[Any, Any]:
        asked = create(client, tools=TOOLS, tool_choice="required")
        said = asked.choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"{place} degrees"}
            for place, call in enumerate(said.tool_calls)
        ]
        messages: Any = [*PROMPT, said, *results]
        return asked, client.chat.completions.create(model="echo", messages=messages, tools=TOOLS)

    asked, answer = await use(door.url, trip)
    first, second = [one.submission.work for one in door.node.answers.asked]
    assert isinstance(first, Generate)
    assert isinstance(second, Generate)
    assert asked.choices[0].finish_reason == "tool_calls"
    assert asked.choices[0].message.content is None
    calls = asked.choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == [ROME, '{"city": "Oslo"}']
    assert first.tools == ({"name": "weather", "parameters": SCHEMA},)
    assert (first.tool_choice, second.tool_choice) == ("required", "auto")
    assert second.messages[1] == Message(
        "assistant", "",
        calls=tuple([ToolCall(call.id, "weather", call.function.arguments) for call in calls]),
    )  # fmt: skip
    assert second.messages[2:] == (
        Message("tool", "0 degrees", call_id=calls[0].id, name="weather"),
        Message("tool", "1 degrees", call_id=calls[1].id, name="weather"),
    )
    assert answer.choices[0].message.content == "It is 1 degrees"
    assert answer.choices[0].message.tool_calls is None


async def test_a_stream_of_calls_is_what_the_whole_says(door: Door) -> None:
    def both(client: openai.OpenAI) -> tuple[list[ChatCompletionChunk], Any]:
        return list(create(client, tools=TOOLS, stream=True)), create(client, tools=TOOLS)

    chunks, whole = await use(door.url, both)
    check(ChatCompletion, whole.model_dump(exclude_unset=True))
    (first, _) = door.node.answers.asked
    opening = [
        call
        for chunk in chunks
        for call in chunk.choices[0].delta.tool_calls or ()
        if call.id is not None
    ]
    ids = [call_id(first.submission.id, 0, index) for index in range(2)]
    assert [(call.index, call.id, call.type) for call in opening] == [
        (0, ids[0], "function"), (1, ids[1], "function"),
    ]  # fmt: skip
    arguments = ["", ""]
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            arguments[call.index] += call.function.arguments or ""
    message = whole.choices[0].message
    assert arguments == [call.function.arguments for call in message.tool_calls]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons[-1] == "tool_calls"
    assert not any(reasons[:-1])


async def test_the_clients_own_helper_puts_a_stream_together(door: Door) -> None:
    """`client.chat.completions.stream` keeps to the chunks' shape itself."""

    def read(client: openai.OpenAI) -> Any:
        with client.chat.completions.stream(model="echo", messages=PROMPT, tools=TOOLS) as stream:
            names = [event.type for event in stream]
            return names, stream.get_final_completion()

    names, final = await use(door.url, read)
    assert names.count("tool_calls.function.arguments.done") == 2
    calls = final.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [
        {"city": "Rome"}, {"city": "Oslo"},
    ]  # fmt: skip


async def test_functions_as_they_were_before_there_were_tools(door: Door) -> None:
    functions: Any = [TOOLS[0]["function"]]
    whole = await use(
        door.url, lambda client: create(client, functions=functions, function_call="auto")
    )
    assert whole.choices[0].finish_reason == "function_call"
    assert whole.choices[0].message.function_call.arguments == ROME
    assert whole.choices[0].message.tool_calls is None
    chunks = await use(
        door.url, lambda client: list(create(client, functions=functions, stream=True))
    )
    called = [chunk.choices[0].delta.function_call for chunk in chunks]
    assert "".join([one.name or "" for one in called if one]) == "weather"
    assert "".join([one.arguments or "" for one in called if one]) == ROME


class Weather(BaseModel):
    """What a structured answer holds."""

    city: str
    degrees: int


async def test_a_structured_answer_by_the_clients_own_helper(door: Door) -> None:
    door.node.answers.script = lambda submission: words('{"city": "Rome', '", "degrees": 20}')
    answer = await use(
        door.url,
        lambda client: client.chat.completions.parse(
            model="echo", messages=PROMPT, response_format=Weather
        ),
    )
    assert answer.choices[0].message.parsed == Weather(city="Rome", degrees=20)
    (asking,) = door.node.answers.asked
    assert isinstance(asking.submission.work, Generate)
    grammar = asking.submission.work.grammar
    assert grammar is not None
    assert grammar["type"] == "json_schema"
    assert sorted(grammar["schema"]["properties"]) == ["city", "degrees"]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"store": True}, "store"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
    ],
)
async def test_what_is_refused_names_its_field(
    door: Door, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await use(door.url, lambda client: create(client, **options))
    assert caught.value.param == param
    assert not door.node.answers.asked


async def test_a_client_that_leaves_in_the_middle_of_a_call(door: Door) -> None:
    piece = CallPiece(0, "weather", '{"ci')
    door.node.answers.script = lambda submission: [started(), Delta((1,), calls=(piece,)), HOLD]

    def leave(client: openai.OpenAI) -> None:
        with create(client, tools=TOOLS, stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].delta.tool_calls:
                    return

    await use(door.url, leave)
    (asking,) = door.node.answers.asked
    with trio.fail_after(60):
        await asking.cancelled.wait()
