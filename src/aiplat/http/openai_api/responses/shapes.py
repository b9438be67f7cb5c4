"""The object that an answer of the Responses API is. Pure.

Source: OpenAI's published schema `Response`, and the types of its clients.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aiplat.domain.errors import AiplatError
from aiplat.domain.usage import Usage
from aiplat.http.errors import problem_of
from aiplat.http.openai_api.responses.items import OutputItem
from aiplat.http.openai_api.responses.parsing import ResponseRequest

ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class ResponseError(msgspec.Struct, frozen=True):
    """Why an answer failed, in the few codes that the API has."""

    code: ErrorCode
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why an answer is cut."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class InputDetails(msgspec.Struct, frozen=True):
    """Of the prompt's tokens, those whose work was done before. Nobody pays for writing them."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct, frozen=True):
    """Of the answer's tokens, those of reasoning: none is told apart here."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """Tokens. `exact_tokens` is there only where the engine gave no token ids, and false then."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int
    exact_tokens: bool | msgspec.UnsetType = msgspec.UNSET


class NoReasoning(msgspec.Struct, frozen=True):
    """How it was reasoned."""

    effort: None = None
    summary: None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. Times are in seconds since 1970 (UTC)."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus
    background: Literal[False] = False
    completed_at: int | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    model: str
    output: tuple[OutputItem, ...] = ()
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: NoReasoning = NoReasoning()
    safety_identifier: str | None
    service_tier: Literal["default"] = "default"
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: tuple[dict[str, Any], ...]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    user: str | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, str]


class ErrorEvent(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The end of a stream that has no answer to tell of."""

    code: str | None
    message: str
    param: str | None
    sequence_number: int


def response_id(request: str) -> str:
    """The answer's id: the request's, behind OpenAI's prefix."""
    return f"resp_{request.removeprefix('req-')}"


def begun(asked: ResponseRequest, request: str, created: int) -> Response:
    """An answer at its beginning.

    Arguments:
        request: the request's id.
        created: seconds since 1970.
    """
    sampling, labels = asked.sampling, asked.labels
    return Response(
        id=response_id(request),
        created_at=created,
        status="in_progress",
        instructions=asked.instructions,
        max_output_tokens=sampling.max_tokens,
        model=asked.model,
        parallel_tool_calls=asked.parallel,
        previous_response_id=asked.previous or None,
        prompt_cache_key=labels.get("prompt_cache_key"),
        safety_identifier=labels.get("safety_identifier"),
        store=asked.store,
        temperature=sampling.temperature,
        text=asked.told_text,
        tool_choice=asked.tooling.told_choice,
        tools=asked.tooling.told_tools,
        top_logprobs=sampling.logprobs or 0,
        top_p=sampling.top_p,
        user=labels.get("user", msgspec.UNSET),
        metadata=asked.metadata,
    )


def usage_of(usage: Usage) -> ResponseUsage:
    """Tokens in the API's words."""
    return ResponseUsage(
        usage.prompt_tokens,
        InputDetails(usage.cached_tokens),
        usage.completion_tokens,
        OutputDetails(),
        usage.total_tokens,
        msgspec.UNSET if usage.exact else False,
    )


def error_of(error: Exception) -> ResponseError:
    """An error in the API's codes; what nobody foresaw is named no further."""
    problem = problem_of(error)
    code: ErrorCode = "server_error"
    if isinstance(error, AiplatError):
        if problem.status == 429:
            code = "rate_limit_exceeded"
        elif 400 <= problem.status < 500:
            code = "invalid_prompt"
    return ResponseError(code, problem.message)
