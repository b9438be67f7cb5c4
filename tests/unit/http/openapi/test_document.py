"""The description of the API: of every route, of each field that is read, and of no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from aiplat.http.anthropic_api.parsing import parse_count, parse_message
from aiplat.http.anthropic_api.unsupported import REQUEST
from aiplat.http.app import make_public_app
from aiplat.http.errors import _KINDS, HttpError
from aiplat.http.ollama_api import unsupported as ollama
from aiplat.http.ollama_api.parsing import (
    parse_chat as parse_ollama_chat,
)
from aiplat.http.ollama_api.parsing import (
    parse_embed,
    parse_embeddings,
    parse_generate,
    parse_model,
)
from aiplat.http.openai_api import unsupported as openai
from aiplat.http.openai_api.completion_parsing import parse_completion
from aiplat.http.openai_api.embedding_parsing import parse_embedding
from aiplat.http.openai_api.parsing import parse_chat
from aiplat.http.openai_api.responses import refused
from aiplat.http.openai_api.responses.parsing import parse_request
from aiplat.http.openapi import openai_requests, other_requests
from aiplat.http.openapi.document import document
from aiplat.http.openapi.operations import OPERATIONS
from aiplat.http.openapi.page import STYLE
from aiplat.http.reading import Fields
from aiplat.http.routing import Router
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode
from tests.unit.http.asgi_client import call

DOCUMENT = document(OPERATIONS)
ROUTER = make_public_app(FakeNode(), HttpSettings(), TOKEN, Metrics())
REFUSING = re.compile(r"^/(v1|api)/$|^/api/(pull|create|copy|push|delete|blobs/)$")
"""Routes that say why there is nothing."""


def test_it_is_openapi() -> None:
    validate(DOCUMENT)


def test_operations_have_names_of_their_own() -> None:
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_route_is_described_and_nothing_else() -> None:
    assert isinstance(ROUTER, Router)
    there = {
        (method.lower(), f"{route.path}{{id}}" if route.path.endswith("/") else route.path)
        for route in ROUTER.routes
        if not REFUSING.match(route.path) and not _is_a_page(route.path)
        for method in route.handlers
        if method not in ("HEAD", "OPTIONS")
    }
    there.discard(("post", "/v1/responses/{id}"))  # it says that nothing can be cancelled
    there.add(("get", "/v1/responses/{id}/input_items"))  # of that route too
    assert {(one.method, one.path) for one in OPERATIONS} == there


def _is_a_page(path: str) -> bool:
    """The dashboard's are for people; so are this page's own parts."""
    return not path.startswith(("/v1", "/api", "/health", "/readyz", "/metrics", "/openapi")) and (
        path != "/docs"
    )


def test_every_status_of_an_error_is_there() -> None:
    wanted = {kind[0] for kind in _KINDS.values()} | {
        one.kind[0] for one in HttpError.__subclasses__()
    }
    told = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert {int(status) for status in told} == wanted | {200, 500}


# -- the fields that are read ---------------------------------------------------------------------


class Watched(dict[str, object]):
    """A request's object that remembers which of its fields were looked at."""

    def __init__(self, values: dict[str, object]) -> None:
        super().__init__(values)
        self.seen: set[str] = set()

    def get(self, key: str, default: object = None) -> object:
        self.seen.add(key)
        return super().get(key, default)


MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SHOWN = {"type": "json_object"}
Case = tuple[Callable[[bytes], object], dict[str, Any], list[dict[str, Any]], Iterable[str]]
CASES: dict[str, Case] = {
    "chat": (
        parse_chat, openai_requests.CHAT,
        [{"messages": MESSAGES}, {"messages": MESSAGES, "tools": [TOOL]},
         {"messages": MESSAGES, "functions": [TOOL["function"]], "function_call": "auto"}],
        openai._CHAT,
    ),
    "completion": (
        parse_completion, openai_requests.COMPLETION, [{"prompt": "x"}], openai._COMPLETION,
    ),
    "embedding": (
        parse_embedding, openai_requests.EMBEDDING, [{"input": "x"}], openai._EMBEDDING,
    ),
    "response": (
        lambda body: parse_request(body, "req-1"), openai_requests.RESPONSE,
        [{"input": "x"}, {"input": "x", "tools": [{"type": "function", "name": "f"}]}],
        [*refused._NEUTRAL, *refused._OF_CHAT],
    ),
    "messages": (
        parse_message, other_requests.MESSAGES,
        [{"model": "m", "messages": MESSAGES, "max_tokens": 1}], REQUEST,
    ),
    "count": (
        parse_count, other_requests.COUNT, [{"model": "m", "messages": MESSAGES}], REQUEST,
    ),
    "ollama chat": (
        parse_ollama_chat, other_requests.OLLAMA_CHAT,
        [{"model": "m", "messages": MESSAGES}, {"name": "m", "messages": MESSAGES}], ollama.CHAT,
    ),
    "ollama generate": (
        parse_generate, other_requests.OLLAMA_GENERATE,
        [{"model": "m", "prompt": "x"}, {"name": "m", "prompt": "x"}], ollama.GENERATE,
    ),
    "ollama embed": (
        parse_embed, other_requests.OLLAMA_EMBED,
        [{"model": "m", "input": "x"}, {"name": "m", "input": "x"}], ollama.EMBED,
    ),
    "ollama embeddings": (
        parse_embeddings, other_requests.OLLAMA_EMBEDDINGS,
        [{"model": "m", "prompt": "x"}, {"name": "m", "prompt": "x"}], ollama.EMBED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_field_that_is_read_is_described_and_no_other(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, schema, bodies, unsupported = CASES[name]
    read: set[str] = set()
    for body in bodies:
        watched = Watched(body)
        module = parse.__globals__ if name != "response" else parse_request.__globals__
        monkeypatch.setitem(module, "parse_object", lambda _, watched=watched: watched)
        parse(msgspec.json.encode(body))
        read |= watched.seen
    described = set(schema["properties"])
    assert described <= read, "described, and never read"
    assert read - set(unsupported) <= described, "read, and not described"


def test_the_model_that_is_shown() -> None:
    for name in other_requests.OLLAMA_SHOW["properties"]:
        assert parse_model(Fields({name: "m"})) == "m"


def test_what_is_needed_is_needed() -> None:
    for parse, schema, bodies, _ in CASES.values():
        for field in schema.get("required", ()):
            if field in bodies[0] and field != "messages":
                less = {key: value for key, value in bodies[0].items() if key != field}
                with pytest.raises(Exception, match=field):
                    parse(msgspec.json.encode(less))


# -- how it is given -------------------------------------------------------------------------------


async def test_it_is_open_and_tells_itself() -> None:
    answer = await call(ROUTER, "GET", "/openapi.json", {"host": "localhost"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == DOCUMENT
    assert (await call(ROUTER, "GET", "/openapi.json", {"host": "evil.example"})).status == 403


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    answer = await call(ROUTER, "GET", "/docs", {"host": "localhost"})
    page = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script" not in policy
    assert not re.search(r"<script|\sstyle=|\son\w+=|@import|https?://", page + STYLE.decode())
    for link in re.findall(r'(?:href|src)="([^"#]+)"', page):
        assert (await call(ROUTER, "GET", link, {"host": "localhost"})).status == 200, link
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page
    for one in OPERATIONS:
        assert f"{one.method.upper()} {one.path}</code>" in page
        for field in (one.sent or {}).get("properties", ()):
            assert f"<code>{field}</code>" in page
