"""Errors in Anthropic's shape, on its paths. Pure.

Source: "Errors" of Anthropic's API reference. 529 is its status for a server that has too much to
do; who waits for a processor, or for a node that begins or ends, hears the same: ask again later.
"""

from __future__ import annotations

import msgspec

from aiplat.http.asgi import Request
from aiplat.http.errors import Problem

VERSION_HEADER = b"anthropic-version"
"""Anthropic's clients send it. Its value is not looked at: there is one version, 2023-06-01."""
_OVERLOADED = 529
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class AnthropicWording:
    """How Anthropic's API tells of errors (`Wording`)."""

    def refuse(self, request: Request, error: Exception, problem: Problem) -> tuple[int, bytes]:
        """The status and the JSON of an answer that is an error."""
        status = _OVERLOADED if problem.status == 503 else problem.status
        return status, _body(request, problem)

    def last_event(self, request: Request, error: Exception, problem: Problem) -> bytes:
        """What ends a stream which was begun and then went wrong."""
        return b"event: error\ndata: " + _body(request, problem) + b"\n\n"


class WordingByClient:
    """On a path that two APIs share: Anthropic's words for its clients, OpenAI's for others."""

    def refuse(self, request: Request, error: Exception, problem: Problem) -> tuple[int, bytes]:
        """The status and the JSON of an answer that is an error."""
        if is_anthropics(request):
            return AnthropicWording().refuse(request, error, problem)
        return problem.status, problem.body()

    def last_event(self, request: Request, error: Exception, problem: Problem) -> bytes:
        """The same as an event."""
        if is_anthropics(request):
            return AnthropicWording().last_event(request, error, problem)
        return b"data: " + problem.body() + b"\n\n"


def is_anthropics(request: Request) -> bool:
    """Whether a client of Anthropic's API asks."""
    return VERSION_HEADER in request.headers


def name_request(request: Request) -> None:
    """Have the answer name its request under Anthropic's header too, whatever it will be."""
    others = request.more_headers
    request.more_headers = lambda of: ((b"request-id", of.id.encode()), *others(of))


def _body(request: Request, problem: Problem) -> bytes:
    usual = "invalid_request_error" if problem.status < 500 else "api_error"
    error = {"type": _TYPES.get(problem.status, usual), "message": problem.message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request.id})
