"""One chunk of an upstream's stream, read. Pure: a server may send anything.

Source: OpenAI's `CreateChatCompletionStreamResponse`, and the chunks of its completions, which have
their text beside no delta. Fields that other servers add are passed
over, those that they leave out or set to null count as absent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from aiplat.domain.answers import TokenLogprob
from aiplat.domain.usage import Usage

NO_ID = -1
"""Of a token whose id the upstream does not tell."""

_MAX_TOKENS = 2**40
_LEAST_LOGPROB = -9999.0


class Unreadable(Exception):
    """The data is no chunk; says why, in words without the data itself."""


class Scored(msgspec.Struct, frozen=True):
    """A token with its log-probability, and the likeliest in its place."""

    token: TokenLogprob
    top: tuple[TokenLogprob, ...] = ()


class CallPart(msgspec.Struct, frozen=True):
    """More of a call of a tool, as the upstream cuts it: the name whole, the arguments in any way.

    `arguments` is JSON text; `place` is the upstream's own number of the call.
    """

    place: int
    name: str = ""
    arguments: str = ""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says.

    `finish` is the upstream's own word, empty while the answer goes on; `error` its error message.
    `thinks` tells that it sent text beside the answer's, as models do that think first.
    """

    text: str = ""
    scored: tuple[Scored, ...] = ()
    calls: tuple[CallPart, ...] = ()
    finish: str = ""
    usage: Usage | None = None
    error: str | None = None
    thinks: bool = False


class _Top(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    id: int = NO_ID


class _Token(_Top):
    top_logprobs: list[_Top] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    message: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_ERROR: msgspec.json.Decoder[_Error | str] = msgspec.json.Decoder(_Error | str)


def read_chunk(data: bytes) -> Chunk:
    """Read the data of one event.

    Raises:
        Unreadable: it is no JSON, or no chunk.
    """
    try:
        body = _BODY.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise Unreadable(str(fault)) from None
    if bytes(body.error) != b"null":
        return Chunk(error=_message(body.error))
    choice = next((one for one in body.choices or () if one.index == 0), _Choice())
    delta = choice.delta or _Delta()
    return Chunk(
        text=delta.content or choice.text or "",
        calls=_calls(delta.tool_calls or ()),
        scored=_scored(choice.logprobs),
        finish=choice.finish_reason or "",
        usage=_usage(body.usage),
        thinks=bool(delta.reasoning_content or delta.reasoning),
    )


def _calls(told: Sequence[_Call]) -> tuple[CallPart, ...]:
    """Some servers number no calls, and give the arguments as an object."""
    parts = []
    for at, one in enumerate(told):
        function = one.function or _Function()
        given = function.arguments
        arguments = msgspec.json.encode(given).decode() if isinstance(given, dict) else given or ""
        place = at if one.index is None else one.index
        parts.append(CallPart(place, function.name or "", arguments))
    return tuple(parts)


def _message(raw: msgspec.Raw) -> str:
    try:
        error = _ERROR.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return error if isinstance(error, str) else error.message or ""


def _scored(logprobs: _Logprobs | None) -> tuple[Scored, ...]:
    if logprobs is None or not logprobs.content:
        return ()
    return tuple(
        Scored(_token(one), tuple(_token(top) for top in one.top_logprobs or ()))
        for one in logprobs.content
    )


def _token(told: _Top) -> TokenLogprob:
    value = told.logprob
    logprob = _LEAST_LOGPROB if value is None or not math.isfinite(value) else value
    return TokenLogprob(told.id, told.token, logprob)


def _usage(usage: _Usage | None) -> Usage | None:
    """Tokens as the upstream counts them; none of ours, so not exact."""
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    details = usage.prompt_tokens_details or _Details()
    counts = (usage.prompt_tokens, usage.completion_tokens, details.cached_tokens or 0)
    if not all(0 <= count <= _MAX_TOKENS for count in counts):
        return None
    return Usage(*counts, exact=False)
