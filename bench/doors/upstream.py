"""A server that speaks OpenAI's chat API and takes no time to think: what the doors stand before.

    .venv/bin/python bench/doors/upstream.py TOKENS_PER_SECOND

A program of its own; it prints its port. An answer has as many tokens, each a word, as `max_tokens`
says (8 when it says nothing), one chunk each. With a rate each comes when it is due; with 0 all
leave in one write. Nothing is checked: it is the least that any upstream could cost.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

_WORDS = tuple(f"word{number} " for number in range(10))
"""LiteLLM takes an answer that repeats one word for a fault, and ends it."""
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n"
_MODEL = "echo"


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 8, "completion_tokens": tokens, "total_tokens": 8 + tokens}


def _whole(tokens: int) -> bytes:
    choice = {
        "index": 0, "finish_reason": "stop", "logprobs": None,
        "message": {"role": "assistant", "content": "".join(map(_word, range(tokens)))},
    }  # fmt: skip
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": _MODEL,
        "choices": [choice], "usage": _usage(tokens),
    }).encode()  # fmt: skip


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    body = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": _MODEL,
        "choices": [choice],
    }  # fmt: skip
    return b"data: " + json.dumps(body | more).encode() + b"\n\n"


_FIRST = _chunk({"role": "assistant", "content": ""})
_TOKENS = tuple(_chunk({"content": word}) for word in _WORDS)
_LAST = _chunk({}, "stop")


def _word(number: int) -> str:
    return _WORDS[number % len(_WORDS)]


def _token(number: int) -> bytes:
    return _TOKENS[number % len(_TOKENS)]


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _end(tokens: int, wants_usage: bool) -> bytes:
    usage = _chunk({}, None, choices=[], usage=_usage(tokens)) if wants_usage else b""
    return _framed(_LAST + usage + b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream:
    """The server.

    Arguments:
        rate: tokens a second of each stream; 0 makes no pause.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                await self._answer(head.split(b" ", 2)[1], body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        if not path.startswith(b"/v1/chat/completions"):
            self._small(path, writer)
            return
        asked = json.loads(body)
        tokens = asked.get("max_tokens") or asked.get("max_completion_tokens") or 8
        if not asked.get("stream"):
            self._plain(_whole(tokens), writer)
            return
        wants = bool((asked.get("stream_options") or {}).get("include_usage"))
        writer.write(_HEAD % (b"text/event-stream", b"transfer-encoding: chunked\r\n"))
        if not self._rate:
            writer.write(
                _framed(_FIRST + b"".join(map(_token, range(tokens)))) + _end(tokens, wants)
            )
            await writer.drain()
            return
        await self._paced(tokens, writer)
        writer.write(_end(tokens, wants))

    async def _paced(self, tokens: int, writer: asyncio.StreamWriter) -> None:
        began = time.perf_counter()
        writer.write(_framed(_FIRST))
        for number in range(tokens):
            due = began + number / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_framed(_token(number)))
            await writer.drain()

    def _small(self, path: bytes, writer: asyncio.StreamWriter) -> None:
        """What a gateway asks of its servers before it sends them anything."""
        model = {"id": _MODEL, "object": "model", "created": 1, "owned_by": "bench"}
        said: dict[str, Any] = {"status": "ok"}
        if path.startswith(b"/v1/models"):
            said = {"object": "list", "data": [model]}
        self._plain(json.dumps(said).encode(), writer)

    def _plain(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD % (b"application/json", b"content-length: %d\r\n" % len(body)) + body)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Upstream(float(sys.argv[1])).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
