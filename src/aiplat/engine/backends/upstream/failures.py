"""What an upstream's refusals are here. Pure: a status, headers and a body in, an error out.

Nothing names the upstream's host: who asks may be a stranger. The node's log does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from aiplat.domain.errors import (
    AiplatError,
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RequestTooLarge,
    clip,
)

MAX_SENTENCE = 300
"""Characters that are shown of what an upstream says."""

RETRY_SECONDS = 5.0
_LONGEST_RETRY = 3600.0
_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG_WORDS = re.compile(
    r"context (length|size|window)|maximum context|longer than the (maximum )?model|"
    r"input is too long|prompt is too long",
    re.IGNORECASE,
)


class Told(msgspec.Struct, frozen=True):
    """An error body, read: the upstream's sentence, and its own words for the kind."""

    message: str = ""
    kinds: tuple[str, ...] = ()
    param: str | None = None


def read_told(body: bytes) -> Told:
    """Read an error's body: OpenAI's form, FastAPI's ``detail``, or a bare sentence in JSON."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Told()
    if isinstance(value, dict):
        value = value.get("error") or value.get("detail") or value
    if isinstance(value, str):
        return Told(value)
    if isinstance(value, list):  # FastAPI's own: a list of what is wrong where
        value = value[0] if value and isinstance(value[0], dict) else {}
    if not isinstance(value, dict):
        return Told()
    message = value.get("message") or value.get("msg")
    param = value.get("param")
    return Told(
        message if isinstance(message, str) else "",
        tuple(k for k in (value.get("code"), value.get("type")) if isinstance(k, str)),
        param if isinstance(param, str) and param.isprintable() and len(param) <= 100 else None,
    )


def refusal(
    model: str, status: int, headers: Mapping[str, str], body: bytes, key_env: str
) -> AiplatError:
    """The error that an answer with a status from 300 on stands for.

    Arguments:
        model: whose upstream it is.
        headers: of the answer, by names in lower case.
        body: the beginning of its body.
        key_env: the variable that holds the key; empty where none is sent.
    """
    who = f"The upstream of {model}"
    if 300 <= status < 400:
        return EngineFailed(
            f"{who} answers with a redirect (status {status}), which is not followed, because the "
            "key would go with it: set upstream.url to where it leads.",
        )
    if status in (401, 403):
        return EngineFailed(f"{who} {refused_key(status, key_env)}.")
    told = read_told(body)
    said = _said(told.message) or _instead(status, headers)
    if status == 429:
        return Overloaded(f"{who} has too much to do: {said}", retry_after=_retry(headers))
    if status in (408, 502, 503, 504):
        return EngineFailed(f"{who} cannot answer now: {said}", retry_after=_retry(headers))
    if (not told.message and status != 422) or status >= 500:  # that one is FastAPI's own
        return EngineFailed(f"{who} failed: {said}")
    if any(kind in _TOO_LONG for kind in told.kinds) or _TOO_LONG_WORDS.search(told.message):
        return ContextLengthExceeded(f"{who} refuses the length: {said}", param=told.param)
    if status == 404:
        return ModelNotFound(f"{who} does not have it: {said}", param="model")
    if status == 413:
        return RequestTooLarge(f"{who} takes no request of that size: {said}")
    if status == 402:
        return EngineFailed(f"{who} wants to be paid: {said}")
    return InvalidRequest(f"{who} refuses the request: {said}", param=told.param)


def refused_key(status: int, key_env: str) -> str:
    """What is told of a key that is not taken; neither it nor the upstream's words about it."""
    if not key_env:
        return (
            f"wants a key (status {status}): name the environment variable that holds it with "
            "--upstream-key-env"
        )
    return (
        f"refuses the key of this node (status {status}): set another in the environment variable "
        f"{key_env}, and start the node again"
    )


def not_a_stream(model: str, status: int, headers: Mapping[str, str], body: bytes) -> AiplatError:
    """The error of an answer that is none, though its status says that all is well."""
    said = _said(read_told(body).message) or _instead(status, headers)
    return EngineFailed(f"The upstream of {model} sent no stream of events: {said}")


def _said(message: str) -> str:
    return clip(message.strip(), MAX_SENTENCE)


def _instead(status: int, headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip()
    what = f"{clip(kind, 60)} without a word of why" if kind else "no content type and no reason"
    return f"status {status}, {what}."


def _retry(headers: Mapping[str, str]) -> float:
    """Seconds; the form with a date is taken for the usual."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return RETRY_SECONDS
    return min(_LONGEST_RETRY, max(0.0, seconds)) if seconds == seconds else RETRY_SECONDS
