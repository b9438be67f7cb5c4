"""OpenAI's shapes of an answer: the whole completion, and the parts that its chunks share.

Source: the published schemas `CreateChatCompletionResponse` and its stream's. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import Delta, Finished, Logprobs, Started, TokenLogprob
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.calls import Function, FunctionCall, calls_of
from aiplat.http.said import Said, refuse_cancelled, together

FinishReason = Literal["stop", "length", "tool_calls", "function_call"]
_LEAST_LOGPROB = -9999.0  # OpenAI's, for what JSON cannot say: minus infinity


class TopLogprob(msgspec.Struct, frozen=True):
    """A token that could have stood in a token's place."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TopLogprob, frozen=True):
    """A token of the answer, with the likeliest in its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(msgspec.Struct, frozen=True):
    """The logprobs of a choice, or of a chunk of it."""

    content: list[ContentLogprob]
    refusal: None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """Of the prompt's tokens, those whose work was done before."""

    cached_tokens: int


class CompletionUsage(msgspec.Struct, frozen=True):
    """Tokens. `exact_tokens` is there only where the engine gave no token ids, and false then."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    exact_tokens: bool | msgspec.UnsetType = msgspec.UNSET


class AnswerMessage(msgspec.Struct, frozen=True):
    """What the model said; its content is null where it called tools and said nothing besides."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    tool_calls: list[FunctionCall] | msgspec.UnsetType = msgspec.UNSET
    function_call: Function | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct, frozen=True):
    """A choice of a whole answer."""

    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None = None
    index: int = 0


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str | None
    choices: tuple[Choice, ...]
    usage: CompletionUsage


def completion_id(request_id: str) -> str:
    """The answer's id: the request's, behind OpenAI's prefix."""
    return f"chatcmpl-{request_id.removeprefix('req-')}"


def fingerprint(started: Started) -> str:
    """What OpenAI calls the system fingerprint is our numerics class."""
    return f"fp_{started.manifest.numerics}"


def usage_of(usage: Usage) -> CompletionUsage:
    """Tokens in OpenAI's words."""
    return CompletionUsage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        PromptDetails(usage.cached_tokens),
        msgspec.UNSET if usage.exact else False,
    )


def reason_of(finished: Finished, is_old: bool = False) -> FinishReason:
    """Why it ended; `is_old` has a call told in the way from before there were tools.

    Raises:
        ShuttingDown: it was cancelled, and not by its reader, who would not ask.
    """
    refuse_cancelled(finished)
    assert finished.reason != "cancelled"
    if is_old and finished.reason == "tool_calls":
        return "function_call"
    return finished.reason


def logprobs_of(deltas: Iterable[Delta]) -> ChoiceLogprobs | None:
    """The logprobs of some deltas; None where none were asked for."""
    content: list[ContentLogprob] = []
    some = False
    for delta in deltas:
        if delta.logprobs is not None:
            some = True
            content += _content(delta.logprobs)
    return ChoiceLogprobs(content) if some else None


def _content(logprobs: Logprobs) -> Iterable[ContentLogprob]:
    for place, token in enumerate(logprobs.tokens):
        if not token.text:
            continue  # it ends the answer, and is no content
        top = logprobs.top[place] if place < len(logprobs.top) else ()
        yield ContentLogprob(
            token.text, finite(token.logprob), _bytes(token),
            [TopLogprob(one.text, finite(one.logprob), _bytes(one)) for one in top],
        )  # fmt: skip


def finite(logprob: float) -> float:
    """A logprob as JSON can hold it."""
    return logprob if math.isfinite(logprob) else _LEAST_LOGPROB


def _bytes(token: TokenLogprob) -> list[int]:
    return list(token.raw or token.text.encode("utf-8", "replace"))


def completion_body(
    request_id: str, model: str, created: int, said: Sequence[Said], is_old: bool = False
) -> bytes:
    """The JSON of a whole completion.

    Arguments:
        request_id: names it.
        model: the name that was asked for.
        created: Unix time, in seconds.
        said: its choices, all complete.
        is_old: tells of a call as `function_call`.
    """
    started = said[-1].started
    return msgspec.json.encode(
        Completion(
            id=completion_id(request_id),
            created=created,
            model=started.manifest.name if started else model,
            system_fingerprint=fingerprint(started) if started else None,
            choices=tuple(
                [_choice(one, index, request_id, is_old) for index, one in enumerate(said)]
            ),
            usage=usage_of(together([one.end.usage for one in said])),
        )
    )


def _choice(said: Said, index: int, request_id: str, is_old: bool) -> Choice:
    reason = reason_of(said.end, is_old)
    message = _message(said.text, calls_of(said.calls, request_id, index), is_old)
    return Choice(message, reason, logprobs_of(said.deltas), index)


def _message(text: str, calls: list[FunctionCall], is_old: bool) -> AnswerMessage:
    if not calls:
        return AnswerMessage(text)
    if is_old:
        return AnswerMessage(text or None, function_call=calls[0].function)
    return AnswerMessage(text or None, tool_calls=calls)
