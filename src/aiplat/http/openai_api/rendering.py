"""OpenAI's shapes of an answer: the whole completion, and the parts that its chunks share.

Source: the published schemas `CreateChatCompletionResponse` and its stream's. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import (
    AnswerEvent,
    Delta,
    Failed,
    Finished,
    Logprobs,
    Started,
    TokenLogprob,
)
from aiplat.domain.errors import ShuttingDown
from aiplat.domain.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls"]
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
    """What the model said."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


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


def together(usages: Sequence[Usage]) -> Usage:
    """What the choices of one request came to: its prompt counts once."""
    return Usage(
        max(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        min(usage.cached_tokens for usage in usages),  # the others' was read for the first
        all(usage.exact for usage in usages),
    )


def reason_of(finished: Finished) -> FinishReason:
    """Why it ended.

    Raises:
        ShuttingDown: it was cancelled, and not by its reader, who would not ask.
    """
    if finished.reason == "cancelled":
        raise ShuttingDown("The answer was cancelled inside the network before its end. Ask again.")
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
            token.text, _finite(token.logprob), _bytes(token),
            [TopLogprob(one.text, _finite(one.logprob), _bytes(one)) for one in top],
        )  # fmt: skip


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else _LEAST_LOGPROB


def _bytes(token: TokenLogprob) -> list[int]:
    return list(token.raw or token.text.encode("utf-8", "replace"))


class WholeAnswer:
    """Gathers the events of one request's choices to one completion.

    Arguments:
        request_id: names it.
        created: Unix time, in seconds.
        choices: how many there are.
    """

    def __init__(self, request_id: str, created: int, choices: int = 1) -> None:
        self._id = request_id
        self._created = created
        self._deltas: list[list[Delta]] = [[] for _ in range(choices)]
        self._ends: dict[int, Finished] = {}
        self._started: Started | None = None

    @property
    def attempts(self) -> int | None:
        """How many were tried; None while nobody works on it."""
        return None if self._started is None else self._started.attempts

    @property
    def is_complete(self) -> bool:
        """Whether all choices have ended."""
        return len(self._ends) == len(self._deltas)

    def take(self, event: AnswerEvent, index: int = 0) -> None:
        """Gather the next event of a choice.

        Raises:
            AiplatError: it failed.
        """
        match event:
            case Delta():
                self._deltas[index].append(event)
            case Started():  # a later one, after a move, has the last word
                self._started = event
            case Failed():
                raise event.error()
            case Finished():
                reason_of(event)
                self._ends[index] = event

    def body(self, model: str) -> bytes:
        """The completion's JSON; `model` is the name that was asked for."""
        started = self._started
        usage = together([end.usage for end in self._ends.values()])
        return msgspec.json.encode(
            Completion(
                id=completion_id(self._id),
                created=self._created,
                model=started.manifest.name if started else model,
                system_fingerprint=fingerprint(started) if started else None,
                choices=tuple(self._choice(index) for index in range(len(self._deltas))),
                usage=usage_of(usage),
            )
        )

    def _choice(self, index: int) -> Choice:
        deltas = self._deltas[index]
        text = "".join(delta.text for delta in deltas)
        reason = reason_of(self._ends[index])
        return Choice(AnswerMessage(text), reason, logprobs_of(deltas), index)
