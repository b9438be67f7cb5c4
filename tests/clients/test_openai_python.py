"""The official `openai` client for Python against a node with the real models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import openai
import pytest

from tests.support.served import CHAT, PERSON, QUESTION, TOOLS, VECTORS, WEATHER, Served
from tests.support.waiting import eventually

pytestmark = [pytest.mark.model, pytest.mark.slow]

ASKED: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(node: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=node.v1, api_key=node.key, max_retries=0) as made:
        yield made


def test_list(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {CHAT, VECTORS}
    assert client.models.retrieve(CHAT).object == "model"


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=ASKED, max_completion_tokens=50)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_with_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=CHAT, messages=ASKED, max_tokens=50)
    chunks = list(
        client.chat.completions.create(
            model=CHAT, messages=ASKED, max_tokens=50, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_tools(client: openai.OpenAI) -> None:
    tool: openai.types.chat.ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER},
    }
    answer = client.chat.completions.create(
        model=TOOLS, messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[tool], tool_choice="required", max_tokens=80,
    )  # fmt: skip
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    after = client.chat.completions.create(
        model=TOOLS,
        messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "tool_calls": [
                {"id": call.id, "type": "function", "function": {
                    "name": call.function.name, "arguments": call.function.arguments}}]},
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"},
        ],
        tools=[tool], max_tokens=40,
    )  # fmt: skip
    assert after.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_tools_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=TOOLS, messages=[{"role": "user", "content": "Weather in Oslo?"}], max_tokens=80,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER,
                                                 "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    ) as stream:  # fmt: skip
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls
    call = final.choices[0].message.tool_calls[0]
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_strict_tools_of_a_model_that_may_choose(client: openai.OpenAI) -> None:
    """It is shown calls with a wrong argument, and does alike unless it is held to the schema."""
    schema = WEATHER | {"properties": {"town": {"type": "string"}}, "required": ["town"]}
    shown: list[openai.types.chat.ChatCompletionMessageParam] = []
    for place, city in enumerate(("Paris", "Rome")):
        call = {"name": "weather", "arguments": json.dumps({"city": city})}
        shown += [
            {"role": "user", "content": f"What is the weather in {city}?"},
            {"role": "assistant", "tool_calls": [
                {"id": f"c{place}", "type": "function", "function": call}]},  # type: ignore[typeddict-item]  # a plain dict
            {"role": "tool", "tool_call_id": f"c{place}", "content": "18 degrees"},
            {"role": "assistant", "content": f"18 degrees in {city}."},
        ]  # fmt: skip
    found = {}
    for strict in (False, True):
        answer = client.chat.completions.create(
            model=TOOLS, messages=[*shown, {"role": "user", "content": "And in Berlin?"}],
            temperature=0, max_tokens=80, tools=[{"type": "function", "function": {
                "name": "weather", "parameters": schema, "strict": strict}}],
        )  # fmt: skip
        assert answer.choices[0].message.tool_calls
        called = answer.choices[0].message.tool_calls[0]
        assert called.type == "function"
        found[strict] = json.loads(called.function.arguments)
    assert found == {False: {"city": "Berlin"}, True: {"town": "Berlin"}}


def test_structured_output(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Invent a person."}], max_tokens=100,
        response_format={"type": "json_schema", "json_schema": {
            "name": "person", "schema": PERSON, "strict": True}},
    )  # fmt: skip
    person = json.loads(answer.choices[0].message.content or "")
    assert set(person) == {"name", "age"}
    assert 0 <= person["age"] <= 150


def test_completions_and_logprobs(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=CHAT, prompt="The capital of France is", max_tokens=5, logprobs=2, temperature=0
    )
    assert "Paris" in answer.choices[0].text
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.tokens or []) == 5


def test_embeddings(client: openai.OpenAI) -> None:
    texts = ["A cat sits on the mat.", "A kitten is on the rug.", "Stock markets fell today."]
    answer = client.embeddings.create(model=VECTORS, input=texts)
    cat, kitten, stocks = (one.embedding for one in answer.data)
    assert len(cat) == 384
    assert math.isclose(sum(x * x for x in cat), 1, abs_tol=1e-3)

    def near(one: list[float], other: list[float]) -> float:
        return sum(x * y for x, y in zip(one, other, strict=True))

    assert near(cat, kitten) > near(cat, stocks) + 0.2
    assert answer.usage.prompt_tokens > 10


def test_responses(client: openai.OpenAI) -> None:
    first = client.responses.create(model=CHAT, input=QUESTION, max_output_tokens=50)
    assert "Paris" in first.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    with client.responses.stream(
        model=CHAT, input="And of Italy?", previous_response_id=first.id, max_output_tokens=30
    ) as stream:
        events = list(stream)
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_errors(client: openai.OpenAI, node: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody-has-it", messages=ASKED)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError) as over:
        client.with_options(api_key=node.limited).chat.completions.create(
            model=CHAT, messages=ASKED
        )
    assert int(over.value.response.headers["retry-after"]) >= 1
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "word " * 20_000}]
        )
    assert long.value.code == "context_length_exceeded"


def test_who_leaves_in_mid_stream_leaves_the_node_idle(client: openai.OpenAI, node: Served) -> None:
    stream = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Tell a very long story."}],
        max_tokens=4000, temperature=1, stream=True, seed=3,
    )  # fmt: skip
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    assert not node.is_idle()
    stream.close()
    eventually(node.is_idle)
