"""Calls an ASGI application without a socket, for what does not need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from aiplat.http.asgi import App, Message
from tests.support.fake_node import TOKEN

GOOD = {"host": "127.0.0.1:8777", "authorization": f"Bearer {TOKEN}"}
JSON = {**GOOD, "content-type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error = self.json["error"]
        assert sorted(error) == ["code", "message", "param", "type"]
        return dict(error)


def scope(method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "scheme": "http",
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8777),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


async def call(
    app: App, method: str, path: str, headers: dict[str, str] = GOOD, body: bytes = b""
) -> Answer:
    """Make one request; the client stays until its answer is whole."""
    sent: list[Message] = []
    to_app = [{"type": "http.request", "body": body, "more_body": False}]
    if body:
        headers = {**headers, "content-length": str(len(body))}

    async def receive() -> Message:
        if to_app:
            return to_app.pop(0)
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    with trio.fail_after(20):
        await app(scope(method, path, headers), receive, send)
    assert [message["type"] for message in sent[:1]] == ["http.response.start"]
    assert not sent[-1].get("more_body", False)
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert head["x-request-id"].startswith("req-")
    return Answer(sent[0]["status"], head, b"".join(part["body"] for part in sent[1:]))
