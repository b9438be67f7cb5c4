"""What is asked of a model: messages and how to sample, with the bounds of each."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aiplat.domain.errors import InvalidRequest, clip

Speaker = Literal["system", "user", "assistant", "tool"]

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_MESSAGES = 4096
MAX_BIASES = 1024
MAX_TOOLS = 128
MAX_CALLS = 128
MAX_NAME = 64
"""Characters of a tool's name."""
MAX_INPUTS = 2048


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A call that a model made: of the tool `name`, with `arguments` as JSON text."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message of a conversation. `content` is plain text, never markup.

    Arguments:
        calls: what tools an assistant's message called.
        call_id: of a tool's message, the call that it answers.
        name: of a tool's message, the tool; empty where it is not said.
    """

    role: Speaker
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the next token is chosen, and when to stop.

    What is None is left to the model's own defaults (its catalogue entry or generation
    config); an engine refuses by name what it cannot honour.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    n: int = 1


_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, 1_000_000),
    "seed": (-(2**63), 2**63 - 1),
    "top_k": (0, 1_000_000),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "logprobs": (0, 20),
    "n": (1, 128),
}


def check_sampling(sampling: Sampling) -> None:
    """Raise `InvalidRequest` for the first value out of its bounds, with both."""
    for name, (low, high) in _BOUNDS.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:  # also refuses NaN
            raise InvalidRequest(
                f"{name} must be from {low} to {high}, but is {value!r}.", param=name
            )
    if len(sampling.stop) > MAX_STOPS:
        raise InvalidRequest(
            f"stop may hold at most {MAX_STOPS} strings, but holds {len(sampling.stop)}.",
            param="stop",
        )
    for text in sampling.stop:
        if not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InvalidRequest(
                f"A stop string must have 1 to {MAX_STOP_CHARS} characters, but one has "
                f"{len(text)}.",
                param="stop",
            )


def check_messages(messages: tuple[Message, ...]) -> None:
    """Raise `InvalidRequest` when there is nothing to answer, or too much."""
    if not messages:
        raise InvalidRequest("messages is empty: send at least one message.", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequest(
            f"messages holds {len(messages)} messages, but at most {MAX_MESSAGES} are taken.",
            param="messages",
        )


ToolChoice = Literal["auto", "none", "required"]


class Generate(msgspec.Struct, frozen=True, omit_defaults=True, tag="generate"):
    """Continue a conversation.

    Arguments:
        messages: the conversation; empty where there is a `prompt`.
        tools: functions that may be called, each ``{"name", "description"?, "parameters"?,
            "strict"?}`` with a JSON Schema of its arguments, and whether they must keep to it
            where the model chooses to call.
        grammar: what form the answer must have: ``{"type": "json_object"}``, or ``{"type":
            "json_schema", "schema": {…}}``.
        prompt: text that is continued as it is, without a template, in place of messages.
        tool_choice: whether a tool may be called, must not, or must be.
        tool: the only one that may be called; empty for any.
        one_call: at most one tool is called.
        only_count: nothing is generated: `Started` tells how long the prompt is, and the answer
            ends. Asked for with ``max_tokens`` 1, as an older processor answers it.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[dict[str, Any], ...] = ()
    grammar: dict[str, Any] | None = None
    prompt: str | None = None
    tool_choice: ToolChoice = "auto"
    tool: str = ""
    one_call: bool = False
    only_count: bool = False


class Embed(msgspec.Struct, frozen=True, omit_defaults=True, tag="embed"):
    """Turn texts into vectors of length 1.

    Arguments:
        inputs: the texts.
        dimensions: numbers that a vector shall have, fewer than the model's; None for all.
        truncate: whether a text over the model's context is cut rather than refused.
    """

    inputs: tuple[str, ...]
    dimensions: int | None = None
    truncate: bool = False


def check_generate(work: Generate) -> None:
    """Raise `InvalidRequest` for the first thing that is out of its bounds, with both."""
    if work.prompt is None:
        check_messages(work.messages)
    elif work.messages or work.tools:
        raise InvalidRequest("A prompt that is continued as it is has no messages and no tools.")
    check_sampling(work.sampling)
    _check_tools(work)


def _check_tools(work: Generate) -> None:
    if len(work.tools) > MAX_TOOLS:
        raise InvalidRequest(
            f"tools may hold at most {MAX_TOOLS} tools, but holds {len(work.tools)}.", param="tools"
        )
    names = [tool.get("name") for tool in work.tools]
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise InvalidRequest(
                f"A tool's name must have 1 to {MAX_NAME} characters.", param="tools"
            )
    if len(set(names)) < len(names):
        raise InvalidRequest("Two tools have the same name.", param="tools")
    if work.tool and work.tool not in names:
        raise InvalidRequest(
            f"tool_choice names {clip(work.tool)!r}, which is none of the tools.",
            param="tool_choice",
        )
    if work.tool_choice == "required" and not work.tools:
        raise InvalidRequest(
            "tool_choice wants a call, but there are no tools.", param="tool_choice"
        )
    for message in work.messages:
        if len(message.calls) > MAX_CALLS:
            raise InvalidRequest(
                f"A message may hold at most {MAX_CALLS} calls, but one holds "
                f"{len(message.calls)}.",
                param="messages",
            )


def check_embed(work: Embed) -> None:
    """Raise `InvalidRequest` for the first thing that is out of its bounds, with both."""
    if not 1 <= len(work.inputs) <= MAX_INPUTS:
        raise InvalidRequest(
            f"input must hold 1 to {MAX_INPUTS} texts, but holds {len(work.inputs)}.", param="input"
        )
    if not all(work.inputs):
        raise InvalidRequest("input holds an empty text: leave it out.", param="input")
    if work.dimensions is not None and not 1 <= work.dimensions <= 65_536:
        raise InvalidRequest(
            f"dimensions must be from 1 to 65536, but is {work.dimensions}.", param="dimensions"
        )
