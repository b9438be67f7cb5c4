"""What the tests of calls share: the tools, and a call as each family of models writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiplat.engine.calling.bodies import Call
from aiplat.engine.calling.finding import Finder
from aiplat.engine.calling.formats import (
    CODER,
    FUNCTION,
    HERMES,
    LLAMA,
    MISTRAL,
    SMOLLM,
    TEKKEN,
    Format,
)

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["city"],
    },
}
CLOCK: dict[str, Any] = {"name": "now"}
TOOLS = (WEATHER, CLOCK)
SCHEMAS: dict[str, dict[str, Any]] = {"get_weather": WEATHER["parameters"], "now": {}}

ONE: dict[str, tuple[Format, str]] = {
    "hermes": (
        HERMES,
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    ),
    "smollm": (
        SMOLLM,
        '<tool_call>[{"name": "get_weather", "arguments": {"city": "Paris"}}]</tool_call>',
    ),
    "coder": (
        CODER,
        (
            "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n"
            "</function>\n</tool_call>"
        ),
    ),
    "function": (FUNCTION, '<function=get_weather>{"city": "Paris"}</function>'),
    "llama": (LLAMA, '{"name": "get_weather", "parameters": {"city": "Paris"}}'),
    "llama with its tag": (
        LLAMA,
        '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}',
    ),
    "mistral": (
        MISTRAL,
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    ),
    "tekken": (TEKKEN, '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}'),
}
"""A call of the weather in Paris."""

PARIS = Call("get_weather", '{"city": "Paris"}')


def found(form: Format, parts: Iterable[str]) -> tuple[str, list[Call]]:
    """The text and the calls of an answer that comes in these parts."""
    finder = Finder(form, SCHEMAS)
    said = "".join([finder.push(part) for part in parts]) + finder.flush()
    calls = finder.take()
    assert finder.count == len(calls)
    return said, calls


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in parts, cut at these places."""
    at = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]
