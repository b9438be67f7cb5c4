"""Errors as HTTP shows them. The one place where a leaf gets its status, type and code."""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec

from aiplat.domain.errors import AiplatError

Kind = tuple[int, str, str | None]

_KINDS: dict[str, Kind] = {
    "invalid_request": (400, "invalid_request_error", None),
    "unsupported_parameter": (400, "invalid_request_error", "unsupported_parameter"),
    "context_length_exceeded": (400, "invalid_request_error", "context_length_exceeded"),
    "invalid_api_key": (401, "authentication_error", "invalid_api_key"),
    "permission_denied": (403, "permission_error", "permission_denied"),
    "not_a_member": (403, "permission_error", "not_a_member"),
    "user_disabled": (403, "permission_error", "user_disabled"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "request_too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit_exceeded": (429, "rate_limit_error", "rate_limit_exceeded"),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota"),
    "config_error": (500, "api_error", "config_error"),
    "no_peer": (502, "api_error", "no_peer"),
    "processor_lost": (502, "api_error", "processor_lost"),
    "gateway_lost": (502, "api_error", "gateway_lost"),
    "engine_failed": (502, "api_error", "engine_failed"),
    "overloaded": (503, "service_unavailable_error", "overloaded"),
    "no_processor": (503, "service_unavailable_error", "no_processor"),
    "shutting_down": (503, "service_unavailable_error", "shutting_down"),
    "not_ready": (503, "service_unavailable_error", "not_ready"),
    "deadline_exceeded": (504, "api_error", "deadline_exceeded"),
}
_INTERNAL: Kind = (500, "api_error", "internal")

_RETRY_AFTER = {429: 1.0, 503: 2.0}
"""Seconds to say when the error itself names none."""
_LONGEST_RETRY = 31 * 86_400  # until the next month


class HttpError(AiplatError):
    """What is wrong with a request as HTTP alone knows it. Never leaves the doors."""

    kind: ClassVar[Kind] = (400, "invalid_request_error", None)
    headers: tuple[tuple[bytes, bytes], ...] = ()


class NoSuchRoute(HttpError):
    """Nothing lives at this path."""

    kind = (404, "invalid_request_error", "not_found")


class WrongMethod(HttpError):
    """The path exists, the method does not; `allowed` are those that do."""

    kind = (405, "invalid_request_error", "method_not_allowed")

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.headers = ((b"allow", allowed.encode()),)


class SlowBody(HttpError):
    """The body did not arrive in time."""

    kind = (408, "invalid_request_error", "request_timeout")


class WrongMediaType(HttpError):
    """The body is not JSON, or is packed."""

    kind = (415, "invalid_request_error", "unsupported_media_type")


class HeadTooLarge(HttpError):
    """The request's line and headers are too large, or too many."""

    kind = (431, "invalid_request_error", "headers_too_large")


class UnreadableRequest(HttpError):
    """It is no request of HTTP."""

    kind = (400, "invalid_request_error", "unreadable_request")


class UnknownCoding(HttpError):
    """The body comes in a form that is not known here."""

    kind = (501, "invalid_request_error", "unknown_transfer_coding")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error, ready to be sent: a status, the four keys, and the headers that go with it."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self) -> bytes:
        """The error's JSON, in the shape that OpenAI's clients read."""
        inner = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": inner})


def statuses() -> dict[int, str]:
    """Every status that an error may have, with the codes that come with it."""
    found: dict[int, list[str]] = {}
    for (status, _, code), name in [
        *((kind, name) for name, kind in _KINDS.items()),
        *((one.kind, "") for one in HttpError.__subclasses__()),
        (_INTERNAL, ""),
    ]:
        found.setdefault(status, []).append(code or name)
    return {
        status: "Codes: " + ", ".join(dict.fromkeys(filter(None, names))) + "."
        for status, names in sorted(found.items())
    }


def problem_of(error: Exception) -> Problem:
    """Say how `error` looks from outside; what nobody foresaw is named no further."""
    if not isinstance(error, AiplatError):
        return Problem(
            status=500, type="api_error", code="internal",
            message="Something went wrong inside the node. Its log has more under this "
            "answer's x-request-id.",
        )  # fmt: skip
    if isinstance(error, HttpError):
        (status, kind, code), headers = error.kind, error.headers
    else:
        (status, kind, code), headers = _KINDS.get(error.code, _INTERNAL), ()
    if status in _RETRY_AFTER:
        seconds = _RETRY_AFTER[status] if error.retry_after is None else error.retry_after
        headers += ((b"retry-after", str(_whole_seconds(seconds)).encode()),)
    if status == 401:
        headers += ((b"www-authenticate", b'Bearer realm="aiplat"'),)
    return Problem(
        status=status, type=kind, code=code, message=printable(str(error)), param=error.param,
        headers=headers,
    )  # fmt: skip


def _whole_seconds(seconds: float) -> int:
    """Round up: to come back early is to be refused again."""
    if not math.isfinite(seconds):
        return 3600
    return max(1, min(_LONGEST_RETRY, math.ceil(seconds)))


def printable(text: str) -> str:
    """What JSON can hold: a lone surrogate, from a stranger's bytes, is replaced."""
    return text.encode("utf-8", "replace").decode()
