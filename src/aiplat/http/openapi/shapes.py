"""Answers of the door that are built where they are sent, as types: for the description alone.

A test holds that what is sent fits them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.http.ollama_api.models import Listed, Running


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong; the table of codes is in docs/api.md."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error, as OpenAI's clients read it."""

    error: ErrorDetail


class AnthropicErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong."""

    type: str
    message: str


class AnthropicError(msgspec.Struct, frozen=True, kw_only=True):
    """An error, as Anthropic's clients read it."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


class OllamaError(msgspec.Struct, frozen=True, kw_only=True):
    """An error, as Ollama's clients read it."""

    error: str


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The node's loop turns."""

    status: Literal["ok"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it can serve, and what is missing for that."""

    status: Literal["ready", "not ready"]
    missing: list[str]


class TokenCount(msgspec.Struct, frozen=True, kw_only=True):
    """How long a prompt is."""

    input_tokens: int


class InputTokens(TokenCount, frozen=True, kw_only=True):
    """The same, of the Responses API."""

    object: Literal["response.input_tokens"]


class DeletedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is stored no more."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class OllamaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The version of Ollama's API that is spoken."""

    version: str


class OllamaVector(msgspec.Struct, frozen=True, kw_only=True):
    """A text as a vector."""

    embedding: list[float]


class OllamaTags(msgspec.Struct, frozen=True, kw_only=True):
    """The models that can be asked."""

    models: list[Listed]


class OllamaRunning(msgspec.Struct, frozen=True, kw_only=True):
    """Those that are loaded."""

    models: list[Running]
