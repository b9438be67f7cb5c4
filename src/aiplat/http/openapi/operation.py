"""What is told of one method of one path. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from aiplat.http.openapi.schemas import Schema

Access = Literal["open", "key", "admin"]
Errors = Literal["openai", "anthropic", "ollama", "either", "health"]

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation.

    Arguments:
        method: of HTTP, in small letters.
        path: with the names of its parameters in braces.
        tag: the API that it belongs to.
        summary: in a line.
        text: more of it.
        access: what it asks for: nothing, an API key, or one with the scope ``admin``.
        sent: the schema of its body; None for none.
        example: such a body.
        query: parameters behind the path, by name.
        answer: a type that `msgspec` knows the schema of, several of them, or a schema.
        media: what the answer is.
        stream: what it is when it is streamed; empty when it never is.
        errors: the shape of its errors.
    """

    method: Literal["get", "post", "delete"]
    path: str
    tag: str
    summary: str
    text: str = ""
    access: Access = "key"
    sent: Schema | None = None
    example: dict[str, Any] | None = None
    query: dict[str, Schema] | None = None
    answer: Any = None
    media: str = "application/json"
    stream: str = ""
    errors: Errors = "openai"

    @property
    def name(self) -> str:
        """A name for it that nothing else has."""
        words = [word.strip("{}") for word in self.path.replace(".", "/").split("/") if word]
        return "_".join([self.method, *words])
