"""The official `anthropic` client for Python against a node with the real models."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from tests.support.served import CHAT, QUESTION, TOOLS, WEATHER, Served
from tests.support.waiting import eventually

pytestmark = [pytest.mark.model, pytest.mark.slow]

ASKED: list[anthropic.types.MessageParam] = [{"role": "user", "content": QUESTION}]
TOOL: anthropic.types.ToolParam = {
    "name": "weather", "description": "The weather.", "input_schema": WEATHER,
}  # fmt: skip


@pytest.fixture(scope="module")
def client(node: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=node.url, api_key=node.key, max_retries=0) as made:
        yield made


def test_list(client: anthropic.Anthropic) -> None:
    assert CHAT in {model.id for model in client.models.list()}


def test_chat_and_count(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=CHAT, max_tokens=50, messages=ASKED)
    assert answer.content[0].type == "text"
    assert "Paris" in answer.content[0].text
    assert answer.stop_reason == "end_turn"
    counted = client.messages.count_tokens(model=CHAT, messages=ASKED)
    assert counted.input_tokens == answer.usage.input_tokens + (
        answer.usage.cache_read_input_tokens or 0
    )


def test_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=CHAT, max_tokens=50, messages=ASKED) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "Paris" in text
    assert final.usage.output_tokens > 0


def test_tools(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(
        model=TOOLS, max_tokens=80, tools=[TOOL], tool_choice={"type": "any"},
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
    )  # fmt: skip
    assert answer.stop_reason == "tool_use"
    (use,) = [block for block in answer.content if block.type == "tool_use"][:1]
    assert use.name == "weather"
    assert isinstance(use.input, dict)
    after = client.messages.create(
        model=TOOLS, max_tokens=40, tools=[TOOL],
        messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": use.id, "content": "18 degrees"}]},
        ],
    )  # fmt: skip
    assert after.usage.output_tokens > 0


def test_a_stop_sequence_is_named(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(
        model=CHAT, max_tokens=50, messages=ASKED, stop_sequences=["Paris"]
    )
    assert answer.stop_reason == "stop_sequence"
    assert answer.stop_sequence == "Paris"


def test_errors(client: anthropic.Anthropic, node: Served) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-wrong").messages.create(
            model=CHAT, max_tokens=5, messages=ASKED
        )
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nobody-has-it", max_tokens=5, messages=ASKED)
    with pytest.raises(anthropic.RateLimitError):
        client.with_options(api_key=node.limited).messages.create(
            model=CHAT, max_tokens=5, messages=ASKED
        )
    with pytest.raises(anthropic.BadRequestError, match="tokens"):
        client.messages.create(
            model=CHAT, max_tokens=5, messages=[{"role": "user", "content": "word " * 20_000}]
        )


def test_who_leaves_in_mid_stream_leaves_the_node_idle(
    client: anthropic.Anthropic, node: Served
) -> None:
    with client.messages.stream(
        model=CHAT, max_tokens=4000,
        messages=[{"role": "user", "content": "Tell a very long story."}],
    ) as stream:  # fmt: skip
        next(iter(stream.text_stream))
        assert not node.is_idle()
    eventually(node.is_idle)
