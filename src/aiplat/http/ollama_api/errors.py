"""Errors in Ollama's shape, on its paths. Pure."""

from __future__ import annotations

import msgspec

from aiplat.http.asgi import Request
from aiplat.http.errors import Problem


class OllamaWording:
    """How Ollama's API tells of errors (`Wording`)."""

    def refuse(self, request: Request, error: Exception, problem: Problem) -> tuple[int, bytes]:
        """The status and the JSON of an answer that is an error."""
        return problem.status, _body(problem)

    def last_event(self, request: Request, error: Exception, problem: Problem) -> bytes:
        """The line that ends a stream which was begun and then went wrong."""
        return _body(problem) + b"\n"


def _body(problem: Problem) -> bytes:
    return msgspec.json.encode({"error": problem.message})
