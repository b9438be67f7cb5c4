"""Requests of Ollama's API, turned into ours. Knows no socket.

Source: Ollama's API reference, and the request types of its published client.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aiplat.domain.chat import MAX_INPUTS, Embed, Generate, Message, Sampling, check_embed
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.http.neutral import refuse_wanted
from aiplat.http.ollama_api.conversation import parse_conversation
from aiplat.http.ollama_api.options import check_machine, parse_options
from aiplat.http.ollama_api.unsupported import CHAT, EMBED, GENERATE
from aiplat.http.openai_api.schemas import check_schema
from aiplat.http.openai_api.tools import parse_tools
from aiplat.http.reading import Fields, parse_object, shown

_LOAD = Generate((Message("user", ""),), Sampling(max_tokens=1), only_count=True)
"""What has a model loaded, and says nothing."""


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how the answer is wanted; `loads` wants the model loaded, and none."""

    work: Generate
    model: str
    stream: bool
    loads: bool = False


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    work: Embed
    model: str


def parse_chat(body: bytes) -> GenerateRequest:
    """Parse a request to ``/api/chat``.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_wanted(fields, CHAT)
    messages, tools = parse_conversation(fields), parse_tools(fields)  # as OpenAI writes them
    work = Generate(messages, parse_options(fields), tools=tools, grammar=_grammar(fields))
    return _asked(fields, work, loads=not messages)


def parse_generate(body: bytes) -> GenerateRequest:
    """Parse a request to ``/api/generate``.

    Raises:
        InvalidRequest, UnsupportedParameter: as `parse_chat`.
    """
    fields = Fields(parse_object(body))
    refuse_wanted(fields, GENERATE)
    prompt, system = fields.text("prompt") or "", fields.text("system") or ""
    sampling, grammar = parse_options(fields), _grammar(fields)
    if fields.flag("raw"):
        if system:
            raise InvalidRequest(
                "system is only allowed when raw is not: a raw prompt has no template that would "
                "hold it.",
                param="system",
            )
        work = Generate((), sampling, grammar=grammar, prompt=prompt)
    else:
        said = (Message("system", system),) if system else ()
        work = Generate((*said, Message("user", prompt)), sampling, grammar=grammar)
    return _asked(fields, work, loads=not prompt)


def parse_embed(body: bytes) -> EmbedRequest:
    """Parse a request to ``/api/embed``. Texts are cut to the model's context unless it says not.

    Raises:
        InvalidRequest, UnsupportedParameter: as `parse_chat`.
    """
    fields = Fields(parse_object(body))
    truncate = fields.flag("truncate")
    work = Embed(_inputs(fields), fields.integer("dimensions"), truncate is not False)
    return _embedding(fields, work)


def parse_embeddings(body: bytes) -> EmbedRequest:
    """Parse a request to the older ``/api/embeddings``, which has one text.

    Raises:
        InvalidRequest, UnsupportedParameter: as `parse_chat`.
    """
    fields = Fields(parse_object(body))
    prompt = fields.text("prompt")
    if not prompt:
        raise InvalidRequest("prompt is missing or empty: send a text.", param="prompt")
    return _embedding(fields, Embed((prompt,), truncate=True))


def parse_model(fields: Fields) -> str:
    """The name of the model that is asked; `name` is an older name of the field.

    Raises:
        InvalidRequest: none is named.
    """
    model = fields.text("model") or fields.text("name")
    if not model:
        raise InvalidRequest("model is missing: name one of /api/tags.", param="model")
    return model


def _asked(fields: Fields, work: Generate, *, loads: bool) -> GenerateRequest:
    model, keep = parse_model(fields), fields.raw("keep_alive")
    _check_keep_alive(fields)
    if loads and keep in (0, 0.0, "0", "0s"):
        raise UnsupportedParameter(
            "keep_alive 0 without a prompt asks to unload the model, but here its processor's "
            "owner decides how long a model stays loaded.",
            param="keep_alive",
        )
    stream = fields.flag("stream")
    return GenerateRequest(
        work=_LOAD if loads else work, model=model, stream=stream is not False, loads=loads
    )


def _check_keep_alive(fields: Fields) -> None:
    """It is taken: how long a model stays loaded is decided by its processor's owner."""
    if not isinstance(fields.raw("keep_alive"), int | float | str | None):
        raise fields.wrong("keep_alive", "a number of seconds, or a duration such as '5m'")


def _embedding(fields: Fields, work: Embed) -> EmbedRequest:
    refuse_wanted(fields, EMBED)
    _check_keep_alive(fields)
    options = fields.inner("options")
    if options is not None:
        check_machine(options)
    check_embed(work)
    return EmbedRequest(work=work, model=parse_model(fields))


def _inputs(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("input")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise fields.wrong("input", "a string or an array of strings")
    if len(texts) > MAX_INPUTS:
        raise InvalidRequest(
            f"input may hold at most {MAX_INPUTS} texts, but holds {len(texts)}.", param="input"
        )
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            path = f"input[{place}]"
            raise InvalidRequest(f"{path} must be a string, but is {shown(text)}.", param=path)
    return tuple(texts)


def _grammar(fields: Fields) -> dict[str, Any] | None:
    value = fields.raw("format")
    match value:
        case None | "":
            return None
        case "json":
            return {"type": "json_object"}
        case dict():
            return {"type": "json_schema", "schema": check_schema(value, "format")}
    raise fields.wrong("format", "'json' or a JSON Schema, an object")
