"""A chat request of OpenAI's, turned into ours. Knows no socket."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from aiplat.domain.chat import (
    MAX_BIASES,
    Generate,
    Message,
    Sampling,
    Speaker,
    check_messages,
    check_sampling,
)
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.openai_api.unsupported import refuse_in_message, refuse_unsupported
from aiplat.http.reading import Fields, parse_object, shown

_SPEAKERS: dict[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TOOL_SPEAKERS = ("tool", "function")


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and how the answer is wanted. An empty model takes the first.

    `choices` answers are wanted, each of which is asked for by itself (`works`).
    """

    work: Generate
    choices: int = 1
    model: str
    stream: bool
    include_usage: bool

    def works(self) -> list[Generate]:
        """What is asked for each choice: with a seed, the next one for each."""
        work, seed = self.work, self.work.sampling.seed
        if seed is None:
            return [work] * self.choices
        return [
            replace(work, sampling=replace(work.sampling, seed=_wrapped(seed + place)))
            for place in range(self.choices)
        ]


def _wrapped(seed: int) -> int:
    """A whole number of 64 bits, with its sign."""
    return (seed + 2**63) % 2**64 - 2**63


def parse_chat(body: bytes, most_choices: int = 1) -> ChatRequest:
    """Parse a request to ``/v1/chat/completions`` that asks for at most so many choices.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a field that exists, but that nothing here can honour.
    """
    fields = Fields(parse_object(body))
    refuse_unsupported(fields)
    stream = bool(fields.flag("stream"))
    messages = _messages(fields)
    check_messages(messages)
    return ChatRequest(
        work=Generate(messages, _sampling(fields)),
        choices=_choices(fields, most_choices),
        model=fields.text("model") or "",
        stream=stream,
        include_usage=_include_usage(fields, stream),
    )


def _include_usage(fields: Fields, stream: bool) -> bool:
    options = fields.inner("stream_options")
    if options is None:
        return False
    if not stream:
        raise InvalidRequest(
            "stream_options is only allowed when stream is true.", param="stream_options"
        )
    if options.flag("include_obfuscation"):
        raise UnsupportedParameter(
            "stream_options.include_obfuscation is not supported here: leave it out.",
            param="stream_options.include_obfuscation",
        )
    return bool(options.flag("include_usage"))


# -- messages --------------------------------------------------------------------------------


def _messages(fields: Fields) -> tuple[Message, ...]:
    values = fields.array("messages")
    if values is None:
        raise InvalidRequest("messages is missing: send at least one message.", param="messages")
    return tuple(_message(value, f"messages[{place}]") for place, value in enumerate(values))


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where} must be an object, but is {shown(value)}.", param=where)
    fields = Fields(value, where)
    role = fields.text("role")
    if role in _TOOL_SPEAKERS:
        raise UnsupportedParameter(
            f"{where} has the role {role!r}, but tools are not supported here.",
            param=fields.path("role"),
        )
    if role is None or role not in _SPEAKERS:
        raise fields.wrong("role", "system, developer, user or assistant")
    refuse_in_message(fields)
    return Message(_SPEAKERS[role], _content(fields))


def _content(fields: Fields) -> str:
    value = fields.raw("content")
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise fields.wrong("content", "a string or an array of text parts")
    return "\n".join(
        _part(part, f"{fields.path('content')}[{place}]") for place, part in enumerate(value)
    )


def _part(value: object, where: str) -> str:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where} must be an object, but is {shown(value)}.", param=where)
    fields = Fields(value, where)
    kind = fields.text("type")
    if kind is None:
        raise fields.wrong("type", "'text'")
    if kind != "text":
        raise UnsupportedParameter(
            f"{where} is of type {clip(kind)!r}, but the models here take text only.", param=where
        )
    text = fields.text("text")
    if text is None:
        raise fields.wrong("text", "a string")
    return text


# -- sampling --------------------------------------------------------------------------------


def _sampling(fields: Fields) -> Sampling:
    limit_name, limit = _max_tokens(fields)
    sampling = Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        max_tokens=limit,
        seed=fields.integer("seed"),
        stop=_stop(fields),
        top_k=_top_k(fields),
        min_p=fields.number("min_p"),
        repetition_penalty=fields.number("repetition_penalty"),
        presence_penalty=fields.number("presence_penalty") or None,
        frequency_penalty=fields.number("frequency_penalty") or None,
        logit_bias=_logit_bias(fields),
        logprobs=_logprobs(fields),
    )
    try:
        check_sampling(sampling)
    except InvalidRequest as error:
        sent = {"max_tokens": limit_name, "logprobs": "top_logprobs"}.get(error.param or "")
        if sent is None or sent == error.param:
            raise
        raise InvalidRequest(str(error).replace(error.param or "", sent, 1), param=sent) from None
    return sampling


def _top_k(fields: Fields) -> int | None:
    """The parameter is vLLM's, and so is -1 for all tokens."""
    count = fields.integer("top_k")
    return 0 if count == -1 else count


def _choices(fields: Fields, most: int) -> int:
    count = fields.integer("n")
    if count is None:
        return 1
    if not 1 <= count <= most:
        raise InvalidRequest(
            f"n must be from 1 to {most} (http.max_choices), but is {count}.", param="n"
        )
    return count


def _max_tokens(fields: Fields) -> tuple[str, int | None]:
    old, new = fields.integer("max_tokens"), fields.integer("max_completion_tokens")
    if old is not None and new is not None and old != new:
        raise InvalidRequest(
            f"max_tokens is {old} and max_completion_tokens is {new}: send one of them.",
            param="max_tokens",
        )
    if new is not None:
        return "max_completion_tokens", new
    return "max_tokens", old


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise fields.wrong("stop", "a string or an array of strings")
    for place, text in enumerate(value):
        if not isinstance(text, str):
            raise InvalidRequest(
                f"stop[{place}] must be a string, but is {shown(text)}.", param="stop"
            )
    return tuple(value)


def _logprobs(fields: Fields) -> int | None:
    wanted, top = fields.flag("logprobs"), fields.integer("top_logprobs")
    if not wanted:
        if top:
            raise InvalidRequest(
                f"top_logprobs is {top}, but is only allowed when logprobs is true.",
                param="top_logprobs",
            )
        return None
    return top or 0


def _logit_bias(fields: Fields) -> dict[str, float] | None:
    biases = fields.inner("logit_bias")
    value = fields.raw("logit_bias")
    if biases is None or not isinstance(value, dict) or not value:
        return None
    if len(value) > MAX_BIASES:
        raise InvalidRequest(
            f"logit_bias may name at most {MAX_BIASES} tokens, but names {len(value)}.",
            param="logit_bias",
        )
    found: dict[str, float] = {}
    for token in value:
        bias = biases.number(token)
        if not (token.isascii() and token.isdigit() and len(token) <= 10):
            raise InvalidRequest(
                f"logit_bias has the key {clip(token)!r}, but its keys must be token ids.",
                param="logit_bias",
            )
        if bias is None or not -100 <= bias <= 100:
            raise InvalidRequest(
                f"logit_bias must be from -100 to 100, but is {shown(value[token])} for the "
                f"token {token}.",
                param="logit_bias",
            )
        found[token] = bias
    return found
