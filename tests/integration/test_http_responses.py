"""The official `openai` client's Responses against the real door: streams, calls, forms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import openai
import pydantic
import pytest
import trio

from aiplat.domain.answers import CallPiece, Delta, Failed, Logprobs, Submission, TokenLogprob
from aiplat.domain.chat import Generate
from aiplat.domain.errors import NoProcessor, ProcessorLost
from tests.support.fake_node import HOLD, TOKEN, Door, Step, finished, open_door, started, words

Result = TypeVar("Result")
TOOLS: list[Any] = [
    {"type": "function", "name": "look", "strict": True,
     "parameters": {"type": "object", "properties": {"at": {"type": "string"}},
                    "required": ["at"], "additionalProperties": False}}
]  # fmt: skip


class Thing(pydantic.BaseModel):
    """A form that is asked for."""

    word: str


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


async def use(door: Door, work: Callable[[openai.OpenAI], Result]) -> Result:
    """Let the blocking client work in a thread."""

    def run() -> Result:
        with openai.OpenAI(
            base_url=f"{door.url}/v1", api_key=TOKEN, max_retries=0, timeout=60
        ) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)


def say_calls(_: Submission) -> list[Step]:
    """A text, then two calls, the arguments in pieces."""
    pieces = [CallPiece(0, "look", '{"at"'), CallPiece(0, "", ':"a"}')]
    return [
        started(), Delta((1,), "I look."), *(Delta((2,), calls=(piece,)) for piece in pieces),
        Delta((3,), calls=(CallPiece(1, "look", '{"at":"b"}'),)), finished(4),
    ]  # fmt: skip


async def test_calls_come_as_a_stream_and_whole(door: Door) -> None:
    door.node.answers.script = say_calls

    def work(client: openai.OpenAI) -> tuple[list[str], Any, Any]:
        with client.responses.stream(model="echo", input="look", tools=TOOLS) as stream:
            done = [
                event.arguments for event in stream
                if event.type == "response.function_call_arguments.done"
            ]  # fmt: skip
            final = stream.get_final_response()
        return done, final, client.responses.create(model="echo", input="look", tools=TOOLS)

    done, final, whole = await use(door, work)
    assert done == ['{"at":"a"}', '{"at":"b"}']
    for answer in (final, whole):
        assert [item.type for item in answer.output] == [
            "message", "function_call", "function_call",
        ]  # fmt: skip
        assert [item.arguments for item in answer.output[1:]] == done
        assert answer.output_text == "I look."
    work_done = door.node.answers.asked[0].submission.work
    assert isinstance(work_done, Generate)
    assert work_done.tools[0]["name"] == "look"


async def test_a_form_is_asked_for_by_a_class_and_parsed(door: Door) -> None:
    door.node.answers.script = lambda _: words('{"word":', ' "yes"}')
    parsed = await use(
        door,
        lambda client: client.responses.parse(model="echo", input="one", text_format=Thing),
    )
    assert parsed.output_parsed == Thing(word="yes")
    work_done = door.node.answers.asked[0].submission.work
    assert isinstance(work_done, Generate)
    assert work_done.grammar is not None
    assert work_done.grammar["schema"]["required"] == ["word"]

    def stream(client: openai.OpenAI) -> object:
        with client.responses.stream(model="echo", input="one", text_format=Thing) as stream:
            return stream.get_final_response().output_parsed

    assert await use(door, stream) == Thing(word="yes")


async def test_log_probabilities_are_told(door: Door) -> None:
    told = Logprobs((TokenLogprob(1, "a", -0.5),), ((TokenLogprob(2, "b", -1.5),),))
    door.node.answers.script = lambda _: [started(), Delta((1,), "a", told), finished(1)]
    answer = await use(
        door,
        lambda client: client.responses.create(
            model="echo", input="x", top_logprobs=1, include=["message.output_text.logprobs"]
        ),
    )
    (item,) = answer.output
    assert item.type == "message"
    (part,) = item.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert [one.token for one in part.logprobs[0].top_logprobs] == ["b"]


async def test_text_arrives_before_the_end_and_the_end_of_the_reader_is_that_of_the_answer(
    door: Door,
) -> None:
    door.node.answers.script = lambda _: [started(), Delta((1,), "first"), HOLD]

    def work(client: openai.OpenAI) -> str:
        stream = client.responses.create(model="echo", input="x", stream=True)
        for event in stream:
            if event.type == "response.output_text.delta":
                stream.close()
                return event.delta
        raise AssertionError

    assert await use(door, work) == "first"
    (asking,) = door.node.answers.asked
    with trio.fail_after(30):
        await asking.cancelled.wait()


async def test_a_failure_amid_a_stream_is_an_event_and_before_it_an_error(door: Door) -> None:
    door.node.answers.script = lambda _: [
        started(), Delta((1,), "half"), Failed.of(ProcessorLost("It left.")),
    ]  # fmt: skip

    def work(client: openai.OpenAI) -> Any:
        return list(client.responses.create(model="echo", input="x", stream=True))[-1]

    last = await use(door, work)
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert last.response.error.message == "It left."
    door.node.answers.script = lambda _: [Failed.of(NoProcessor("Nobody is there."))]
    with pytest.raises(openai.InternalServerError) as caught:
        await use(door, work)
    assert (caught.value.status_code, caught.value.code) == (503, "no_processor")
