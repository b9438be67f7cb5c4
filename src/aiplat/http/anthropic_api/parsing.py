"""A request to Anthropic's Messages API, turned into ours. Knows no socket.

Source: `MessageCreateParams` and `MessageCountTokensParams` of Anthropic's published client.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiplat.domain.chat import MAX_STOPS, Generate, Sampling, ToolChoice
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.anthropic_api.conversation import parse_conversation
from aiplat.http.anthropic_api.unsupported import OUTPUT, REQUEST, THINKING, TOOL
from aiplat.http.neutral import refuse_wanted
from aiplat.http.openai_api.sampling import check_as_sent
from aiplat.http.openai_api.schemas import check_schema
from aiplat.http.openai_api.tolerated import MAX_LABEL_CHARS
from aiplat.http.openai_api.tools import bound_tools, distinct, known, parse_function, parse_name
from aiplat.http.reading import Fields, object_at, parse_object, shown

Tools = tuple[dict[str, Any], ...]


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and whether the answer is streamed."""

    work: Generate
    model: str
    stream: bool = False


def parse_message(body: bytes) -> MessagesRequest:
    """Parse a request to ``/v1/messages``.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    work, model = _asked(fields, _sampling(fields))
    return MessagesRequest(work=work, model=model, stream=bool(fields.flag("stream")))


def parse_count(body: bytes) -> MessagesRequest:
    """Parse a request to ``/v1/messages/count_tokens``, which has nothing about the answer.

    Raises:
        InvalidRequest, UnsupportedParameter: as `parse_message`.
    """
    fields = Fields(parse_object(body))
    work, model = _asked(fields, Sampling(max_tokens=1))
    return MessagesRequest(work=msgspec.structs.replace(work, only_count=True), model=model)


def _asked(fields: Fields, sampling: Sampling) -> tuple[Generate, str]:
    refuse_wanted(fields, REQUEST)
    _check_tolerated(fields)
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is missing: name one of /v1/models.", param="model")
    tools = _tools(fields)
    choice, tool, one_call = _choice(fields, tools)
    work = Generate(
        parse_conversation(fields),
        sampling,
        tools=tools,
        grammar=_grammar(fields),
        tool_choice=choice,
        tool=tool,
        one_call=one_call,
    )
    return work, model


def _check_tolerated(fields: Fields) -> None:
    """Look at what is taken and has no effect, and at thinking."""
    fields.inner("cache_control")
    if fields.text("service_tier") not in (None, "auto", "standard_only"):
        raise fields.wrong("service_tier", "'auto' or 'standard_only'")
    metadata = fields.inner("metadata")
    user = metadata.text("user_id") if metadata is not None else None
    if user is not None and len(user) > MAX_LABEL_CHARS:
        raise InvalidRequest(
            f"metadata.user_id may have at most {MAX_LABEL_CHARS} characters, but has {len(user)}.",
            param="metadata.user_id",
        )
    thinking = fields.inner("thinking")
    if thinking is not None and thinking.text("type") not in THINKING:
        raise UnsupportedParameter(
            f"thinking.type is {shown(thinking.raw('type'))}, but the models here show no thoughts "
            "of their own: leave thinking out, or set its type to 'disabled'.",
            param="thinking",
        )


# -- sampling --------------------------------------------------------------------------------


def _sampling(fields: Fields) -> Sampling:
    limit = fields.integer("max_tokens")
    if limit is None:
        raise InvalidRequest(
            "max_tokens is missing: say how many tokens the answer may have.", param="max_tokens"
        )
    temperature = fields.number("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise InvalidRequest(
            f"temperature must be from 0 to 1, but is {temperature!r}.", param="temperature"
        )
    sampling = Sampling(
        temperature=temperature,
        top_p=fields.number("top_p"),
        top_k=fields.integer("top_k"),
        max_tokens=limit,
        stop=_stops(fields),
    )
    check_as_sent(sampling, {"stop": "stop_sequences"})
    return sampling


def _stops(fields: Fields) -> tuple[str, ...]:
    values = fields.array("stop_sequences") or []
    if len(values) > MAX_STOPS:
        raise InvalidRequest(
            f"stop_sequences may hold at most {MAX_STOPS} strings, but holds {len(values)}.",
            param="stop_sequences",
        )
    for place, value in enumerate(values):
        if not isinstance(value, str):
            path = f"stop_sequences[{place}]"
            raise InvalidRequest(f"{path} must be a string, but is {shown(value)}.", param=path)
    return tuple([value for value in values if isinstance(value, str)])


# -- tools, and the form of the answer -------------------------------------------------------


def _tools(fields: Fields) -> Tools:
    values = fields.array("tools") or []
    bound_tools(values, "tools")
    found = [_tool(object_at(value, f"tools[{place}]")) for place, value in enumerate(values)]
    return distinct(found, "tools")


def _tool(fields: Fields) -> dict[str, Any]:
    kind = fields.text("type")
    if kind not in (None, "custom"):
        raise UnsupportedParameter(
            f"{fields.path('type')} is {clip(kind or '')!r}: tools that Anthropic defines or runs "
            "are not supported here, only those of type 'custom' with an input_schema.",
            param=fields.path("type"),
        )
    refuse_wanted(fields, TOOL)
    fields.inner("cache_control")
    fields.flag("eager_input_streaming")
    if fields.raw("input_schema") is None:
        raise fields.wrong("input_schema", "a JSON Schema, an object")
    return parse_function(fields, "input_schema")


def _choice(fields: Fields, tools: Tools) -> tuple[ToolChoice, str, bool]:
    """Whether a tool is called, the only one (or empty), and whether at most one."""
    choice = fields.inner("tool_choice")
    if choice is None:
        return "auto", "", False
    kind, one_call = choice.text("type"), bool(choice.flag("disable_parallel_tool_use"))
    match kind:
        case "none":
            return "none", "", False
        case "auto":
            return "auto", "", one_call and bool(tools)
        case "any" | "tool" if not tools:
            raise InvalidRequest(
                "tool_choice wants a call, but there are no tools.", param="tool_choice"
            )
        case "any":
            return "required", "", one_call
        case "tool":
            tool = known(parse_name(choice), tools, "tool_choice.name")
            return "required", tool, one_call
    raise choice.wrong("type", "'auto', 'any', 'tool' or 'none'")


def _grammar(fields: Fields) -> dict[str, Any] | None:
    """`output_config.format`, or what was called `output_format` while it was new."""
    config = fields.inner("output_config")
    wanted = fields.inner("output_format")
    if config is not None:
        refuse_wanted(config, OUTPUT)
        wanted = config.inner("format") or wanted
    if wanted is None:
        return None
    if wanted.text("type") != "json_schema":
        raise wanted.wrong("type", "'json_schema'")
    schema = check_schema(wanted.raw("schema"), wanted.path("schema"))
    return {"type": "json_schema", "schema": schema}
