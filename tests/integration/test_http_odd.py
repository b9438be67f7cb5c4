"""Odd requests on a raw socket: each has a sensible answer, and none hangs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from aiplat.domain.answers import Submission
from aiplat.domain.errors import InvalidRequest
from aiplat.http.settings import HttpSettings
from tests.integration.test_http_tls import bound_hits
from tests.support.fake_node import HOLD, TOKEN, Door, FakeNode, Step, finished, open_door, started

CLOSE = "connection: close\r\n"
HOST = "host: localhost\r\n"
KEY = f"{HOST}authorization: Bearer {TOKEN}\r\n"
JSON = "content-type: application/json\r\n"
BODY = '{"messages":[{"role":"user","content":"hi"}]}'
STREAM = BODY[:-1] + ',"stream":true}'
CHAT = "/v1/chat/completions"
QUICK = HttpSettings(keep_alive_seconds=1.0, body_seconds=1.0)


def post(*headers: str, body: str = BODY, version: str = "1.1") -> str:
    head = "".join(f"{header}\r\n" for header in headers)
    return f"POST {CHAT} HTTP/{version}\r\n{KEY}{JSON}{head}\r\n{body}"


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> str:
    head = "".join(f"{header}\r\n" for header in (headers or ("host: localhost",)))
    return f"{method} {target} HTTP/{version}\r\n{head}{CLOSE}\r\n"


def chunked(body: str = BODY) -> str:
    return f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"


@asynccontextmanager
async def connection(door: Door) -> AsyncIterator[trio.SocketStream]:
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", door.port) as stream:
            yield stream


async def answer(raw: str, settings: HttpSettings = QUICK) -> str:
    """All that comes until the door closes, which it has to."""
    async with open_door(FakeNode(), settings=settings) as door, connection(door) as stream:
        await stream.send_all(raw.encode("latin-1"))
        data = b""
        while part := await stream.receive_some():
            data += part
        async with connection(door) as other:  # the door lives
            await other.send_all(get("/healthz").encode())
            assert (await other.receive_some()).startswith(b"HTTP/1.1 200")
        return data.decode("latin-1")


def status(told: str) -> int:
    assert told.startswith("HTTP/1.1 "), told
    return int(told.split(" ", 2)[1])


# -- lengths of a body -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (post(f"content-length: {len(BODY)}", "content-length: 3"), 400),
        (post(f"content-length: {len(BODY)}", f"content-length: {len(BODY)}", CLOSE[:-2]), 200),
        (post("content-length: -5"), 400),
        (post("content-length: 0x2d"), 400),
        (post("content-length: 99999999999999999999999"), 400),
        (post("content-length: 3", "transfer-encoding: chunked", body=chunked()), 400),
        (post("transfer-encoding: gzip, chunked", body=chunked()), 501),
        (post("transfer-encoding: chunked", CLOSE[:-2], body=chunked()), 200),
        (post("transfer-encoding: chunked", body=f"zz\r\n{BODY}"), 400),
        (post("transfer-encoding: chunked", body="ffffffffffffffff\r\nx"), 408),
        (post("content-length: 4000000", body="x"), 413),
        (post("content-length: 500", body="{"), 408),
        (post(body="", version="1.1"), 400),  # no length: no body, which is no JSON
        (f"GET /healthz HTTP/1.1\r\n{HOST}content-length: 5\r\n{CLOSE}\r\nhello", 200),
    ],
)
async def test_lengths(raw: str, wanted: int) -> None:
    assert status(await answer(raw)) == wanted


async def test_who_waits_to_be_asked_for_its_body_is_asked() -> None:
    head, _, body = post("expect: 100-continue", f"content-length: {len(BODY)}").partition(
        "\r\n\r\n"
    )
    async with open_door(FakeNode()) as door, connection(door) as stream:
        await stream.send_all(f"{head}\r\n\r\n".encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(body.encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_and_is_told_when_it_is_refused_before() -> None:
    raw = post("expect: 100-continue", f"content-length: {len(BODY)}").replace(TOKEN, "wrong")
    told = await answer(raw.partition("\r\n\r\n")[0] + "\r\n\r\n")
    assert told.rpartition("HTTP/1.1 ")[2].startswith("401")
    assert "connection: close" in told.lower()


# -- names of the door -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (f"GET /healthz HTTP/1.1\r\n{CLOSE}\r\n", 400),
        (get("/healthz", "host: localhost", "host: localhost"), 400),
        (get("/healthz", "host: localhost", "host: evil.example"), 400),
        (get("/healthz", "host: "), 403),
        (get("http://localhost/healthz"), 200),
        (get("http://localhost:8777/healthz?x=http://a/b"), 200),
        (get("http://localhost/none"), 404),
        (get("http://evil.example/healthz"), 403),
        (get("http://localhost/healthz", "host: evil.example"), 200),
        (get("http://localhost@evil.example/healthz"), 403),
        (get("evil.example:443", method="CONNECT"), 404),
        (get("*", method="OPTIONS"), 404),
        ("GET /healthz HTTP/1.0\r\n\r\n", 403),
    ],
)
async def test_names(raw: str, wanted: int) -> None:
    assert status(await answer(raw)) == wanted


# -- paths and methods -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (get("/%68ealthz"), 200),
        (get("/healthz?a=b&c"), 200),
        (get("/healthz?" + "%00" * 50), 200),
        (get("/%zz%ff%00%0d%0a"), 404),
        (get("//healthz"), 404),
        (get("/v1/../healthz"), 401),
        (get("/v1/models/org%2Flarge", KEY[:-2]), 200),
        (get("/v1/models/org/large", KEY[:-2]), 200),
        (get("/v1/models/..%2F..%2Fetc", KEY[:-2]), 404),
        (get("/healthz", method="TRACE"), 405),
        (get("/healthz", method="get"), 200),
        (get("/healthz", method="M" * 200), 405),
        (get("/healthz", version="9.9"), 200),
        ("GET /healthz\r\n\r\n", 400),
        ("GET  /healthz HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_paths_and_methods(raw: str, wanted: int) -> None:
    told = await answer(raw)
    assert status(told) == wanted
    assert "\x00" not in told


@pytest.mark.parametrize(("path", "wanted"), [("/healthz", 200), ("/v1/models", 200), (CHAT, 405)])
async def test_head_has_no_body(path: str, wanted: int) -> None:
    told = await answer(get(path, KEY[:-2], method="HEAD"))
    assert status(told) == wanted
    assert "content-length: " in told
    assert told.endswith("\r\n\r\n")


# -- heads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "wanted", "words"),
    [
        (get("/" + "a" * 40_000), 431, "max_header_bytes"),
        (get("/healthz", HOST[:-2], "x: " + "a" * 40_000), 431, "max_header_bytes"),
        (get("/healthz", HOST[:-2], "x: " + "a" * 30_000), 200, ""),
        (get("/healthz", HOST[:-2], *[f"x{n}: 1" for n in range(99)]), 431, "max_headers"),
        (get("/healthz", HOST[:-2], *[f"x{n}: 1" for n in range(98)]), 200, ""),
        (get("/healthz", HOST[:-2], *["x: 1"] * 99), 431, "max_headers"),
        (get("/healthz", HOST[:-2], *["x: " + "y" * 10_000] * 20), 431, ""),
        (get("/healthz", HOST[:-2], "x: a", " b"), 200, ""),
        (get("/healthz", "host : localhost"), 400, ""),
        (get("/healthz", HOST[:-2], "x: a\0b"), 400, ""),
        (get("/healthz", HOST[:-2], "no colon"), 400, ""),
        ("GET /healthz HTTP/1.1\nhost: localhost\nconnection: close\n\n", 200, ""),
        (get("/v1/models", KEY[:-2], "authorization: Bearer wrong"), 401, "invalid_api_key"),
    ],
)
async def test_heads_over_their_bounds_and_of_odd_forms(raw: str, wanted: int, words: str) -> None:
    told = await answer(raw)
    assert status(told) == wanted
    assert words in told


async def test_a_head_in_drops_has_no_more_time_than_another() -> None:
    async with (
        open_door(settings=HttpSettings(keep_alive_seconds=0.5)) as door,
        connection(door) as stream,
    ):
        told: bytes | bytearray | None = None
        with contextlib.suppress(trio.BrokenResourceError):
            while told is None:  # as long as it is open; the deadline is that of `connection`
                await stream.send_all(b"x")
                with trio.move_on_after(0.02):
                    told = await stream.receive_some()
        assert not told


async def test_a_body_in_drops_has_no_more_time_than_another() -> None:
    async with (
        open_door(settings=HttpSettings(body_seconds=0.3)) as door,
        connection(door) as stream,
    ):
        await stream.send_all(post("content-length: 500000", body="{").encode())
        told = b""
        while not told:
            await stream.send_all(b" ")
            with trio.move_on_after(0.02):
                told = await stream.receive_some()
        assert told.startswith(b"HTTP/1.1 408")


# -- many on one connection --------------------------------------------------------------------


async def test_requests_that_come_at_once_are_answered_in_order() -> None:
    one = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n"
    told = await answer(one * 20 + post(f"content-length: {len(BODY)}") + get("/nothing"))
    assert told.count("HTTP/1.1 200") == 21
    assert told.rindex("HTTP/1.1 404") > told.rindex("HTTP/1.1 200")


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize("more", ["\r\n", get("/healthz"), "\0" * 100_000])
async def test_what_follows_a_last_request_is_passed_over(body: str, more: str) -> None:
    def held(submission: Submission) -> list[Step]:
        return [started(), HOLD, finished(1)]

    node = FakeNode(held)
    request = post(f"content-length: {len(body)}", CLOSE[:-2], body=body)
    async with open_door(node) as door, connection(door) as stream:
        await stream.send_all((request + more).encode())
        asking = await node.answers.next_asking()
        await stream.send_all(more.encode())
        asking.release()
        told = b""
        while part := await stream.receive_some():
            told += part
    assert told.startswith(b"HTTP/1.1 200 ")
    assert told.count(b"HTTP/1.1") == 1
    assert told.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n" if body is STREAM else b"}")


async def test_who_ends_behind_its_last_request_is_told_of_no_error() -> None:
    node = FakeNode(lambda submission: [started(), HOLD, finished(1)])
    request = post(f"content-length: {len(BODY)}", CLOSE[:-2])
    async with open_door(node) as door, connection(door) as stream:
        await stream.send_all((request + "\r\n").encode())
        asking = await node.answers.next_asking()
        await stream.send_eof()
        assert not await stream.receive_some()
        await asking.cancelled.wait()


async def test_who_is_refused_is_told_though_more_follows() -> None:
    one = f"POST /healthz HTTP/1.1\r\n{HOST}content-length: 2\r\n\r\nab"
    for _ in range(10):
        assert status(await answer(one + get("/healthz"))) == 405


async def test_old_clients_without_keep_alive() -> None:
    told = await answer(post(f"content-length: {len(BODY)}", version="1.0"))
    assert status(told) == 200
    told = await answer(post(f"content-length: {len(STREAM)}", body=STREAM, version="1.0"))
    assert told.endswith("data: [DONE]\n\n")
    assert "transfer-encoding" not in told.lower()


async def test_who_would_upgrade_is_answered_as_anyone() -> None:
    upgrade = (
        "upgrade: websocket\r\nconnection: upgrade, close\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    told = await answer(f"GET /v1/models HTTP/1.1\r\n{KEY}{upgrade}\r\n")
    assert status(told) == 200
    again = upgrade.replace(", close", "")
    told = await answer(f"GET /v1/realtime HTTP/1.1\r\n{KEY}{again}\r\n" + get("/healthz"))
    assert status(told) == 404
    assert told.count("HTTP/1.1 200") == 1  # it goes on
    assert "There is no /v1/realtime. There is: /v1/chat/completions," in told
    assert "/v1/responses/{id}/input_items." in told


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        ("GET /healthz HTTP/1.1\r\n\r\n", "unreadable_request", "Host: header."),
        ("NONSENSE\r\n\r\n", "unreadable_request", "illegal request line."),
        (get("/", HOST[:-2], "x y: secret"), "unreadable_request", "illegal header line."),
        (get("/", HOST[:-2], "x: sec\0ret"), "unreadable_request", "illegal header line."),
        (post("content-length: x"), "unreadable_request", "bad Content-Length."),
        (post("transfer-encoding: gzip"), "unknown_transfer_coding", "'chunked'"),
        (post("transfer-encoding: chunked", body="secret\r\n"), "unreadable_request", "chunk"),
    ],
)
async def test_what_is_no_request_is_told_why(raw: str, code: str, words: str) -> None:
    told = await answer(raw)
    head, _, body = told.partition("\r\n\r\n")
    assert status(told) == (501 if code == "unknown_transfer_coding" else 400)
    assert "connection: close" in head
    error = json.loads(body)["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert "ret" not in error["message"]


async def test_a_head_request_with_a_broken_body_is_told_the_status_alone() -> None:
    told = await answer(
        f"HEAD /healthz HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\nzzz\r\n"
    )
    assert status(told) == 400
    assert told.endswith("\r\n\r\n")


async def test_a_chunk_with_too_much_before_it_is_no_head_that_is_too_large() -> None:
    told = await answer(post("transfer-encoding: chunked", body="3;" + "x" * 40_000))
    assert status(told) == 400
    assert "has more than 32768 bytes: send the chunk" in told


async def test_a_head_that_is_not_whole_and_too_large_is_told_the_bound_and_counted() -> None:
    async with open_door(FakeNode(), settings=QUICK) as door, connection(door) as stream:
        await stream.send_all(b"GET /" + b"a" * 40_000)
        data = b""
        while part := await stream.receive_some():
            data += part
        assert data.startswith(b"HTTP/1.1 431 ")
        assert b"more than 32768 bytes" in data
        assert bound_hits(door, "http_head") == 1


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize("last", [(), (CLOSE[:-2],)])
async def test_who_sends_more_behind_its_request_and_leaves_cancels_it(
    body: str, last: tuple[str, ...]
) -> None:
    def held(submission: Submission) -> list[Step]:
        return [started(), HOLD, finished(1)]

    node = FakeNode(held)
    async with open_door(node) as door:
        async with connection(door) as stream:
            request = post(f"content-length: {len(body)}", *last, body=body)
            await stream.send_all(request.encode() * 2)
            asking = await node.answers.next_asking()
        with trio.fail_after(10):
            await asking.cancelled.wait()


# -- names ---------------------------------------------------------------------------------------

SAID = [{"role": "user", "content": "hi"}]
FORM = {"type": "json_schema", "name": "n", "schema": {"type": "foo"}}


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        (CHAT, {"messages": SAID, "response_format": {
            "type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}, "response_format"),
        ("/v1/responses", {"input": "x", "text": {"format": FORM}}, "text.format"),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": SAID,
                          "output_config": {"format": FORM}}, "output_config.format"),
        ("/api/chat", {"model": "m", "messages": SAID, "format": {"type": "foo"}}, "format"),
        ("/api/generate", {"model": "m", "prompt": "x", "format": {"type": "foo"}}, "format"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_form_names_the_field_that_was_sent(
    path: str, body: dict[str, object], name: str
) -> None:
    node = FakeNode()
    node.answers.refuse = InvalidRequest(
        "The schema of response_format cannot be kept to: no.", param="response_format"
    )
    async with open_door(node) as door, httpx.AsyncClient(base_url=door.url) as client:
        answer = await client.post(path, json=body, headers=door.headers)
    assert answer.status_code == 400
    assert f"The schema of {name} cannot be kept to" in answer.text
