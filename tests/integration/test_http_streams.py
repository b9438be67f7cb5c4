"""What happens on the door's sockets: clients that leave, that do not read, that send nonsense."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import h2.config
import h2.connection
import httpx
import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aiplat.domain.answers import Delta, Queued, Submission
from aiplat.http.serving import serve_public
from aiplat.http.settings import HttpSettings
from tests.support.fake_node import HOLD, TOKEN, Door, FakeNode, Step, finished, open_door, started

CHAT = "/v1/chat/completions"


def ask(*, stream: bool) -> bytes:
    body = msgspec.json.encode({"messages": [{"role": "user", "content": "x"}], "stream": stream})
    return (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


@asynccontextmanager
async def connection(door: Door) -> AsyncIterator[trio.SocketStream]:
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", door.port) as stream:
            yield stream


async def read_until(stream: trio.abc.ReceiveStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        part = await stream.receive_some()
        assert part, f"closed before {mark!r}: {data!r}"
        data += part
    return data


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    data = b""
    while part := await stream.receive_some():
        data += part
    return data


async def healthy(door: Door) -> bool:
    async with httpx.AsyncClient(base_url=door.url) as client:
        return (await client.get("/healthz")).status_code == 200


def held(submission: Submission) -> list[Step]:
    return [Queued(), started(), Delta((1,), "first "), HOLD, Delta((2,), "last"), finished(2)]


def silent(submission: Submission) -> list[Step]:
    return [Queued(place=2), HOLD, started(), Delta((1,), "late"), finished(1)]


def endless(submission: Submission) -> Iterator[Step]:
    yield started()
    for token in itertools.count():
        yield Delta((token % 1000,), "x" * 2000)


# -- clients that leave ------------------------------------------------------------------------


async def test_who_leaves_in_mid_stream_cancels_the_answer() -> None:
    async with open_door(FakeNode(held)) as door:
        async with connection(door) as stream:
            await stream.send_all(ask(stream=True))
            await read_until(stream, b"first ")
            asking = await door.node.answers.next_asking()
            assert not asking.cancelled.is_set()
        with trio.fail_after(60):
            await asking.cancelled.wait()


async def test_who_leaves_before_a_whole_answer_cancels_it_too() -> None:
    async with open_door(FakeNode(silent)) as door:
        async with connection(door) as stream:
            await stream.send_all(ask(stream=False))
            asking = await door.node.answers.next_asking()
        with trio.fail_after(60):
            await asking.cancelled.wait()


async def test_an_answer_that_ended_is_not_cancelled() -> None:
    async with open_door() as door, connection(door) as stream:
        for _ in range(2):  # the connection is kept
            await stream.send_all(ask(stream=True))
            await read_until(stream, b"[DONE]\n\n\r\n0\r\n\r\n")
        assert not any(asking.cancelled.is_set() for asking in door.node.answers.asked)


# -- waiting -----------------------------------------------------------------------------------


async def test_a_stream_that_waits_is_kept_alive_by_comments() -> None:
    async with (
        open_door(FakeNode(silent), HttpSettings(comment_seconds=0.02)) as door,
        connection(door) as stream,
    ):
        await stream.send_all(ask(stream=True))
        data = await read_until(stream, b": queued, 2 before it\n\n")
        assert data.startswith(b"HTTP/1.1 200")
        (await door.node.answers.next_asking()).release()
        assert b"late" in await read_until(stream, b"[DONE]")


async def test_an_answer_past_its_deadline_is_a_504_and_is_cancelled() -> None:
    async with open_door(FakeNode(silent)) as door:
        headers = {**door.headers, "x-aiplat-deadline-ms": "20"}
        body = {"messages": [{"role": "user", "content": "x"}]}
        async with httpx.AsyncClient(base_url=door.url, headers=headers) as client:
            answer = await client.post(CHAT, json=body)
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "deadline_exceeded"
        assert "0.02 seconds" in answer.json()["error"]["message"]
        assert door.node.answers.asked[0].cancelled.is_set()


async def test_a_stream_past_its_deadline_ends_with_the_error() -> None:
    async with open_door(FakeNode(held)) as door:
        headers = {**door.headers, "x-aiplat-deadline-ms": "2000"}
        body = {"messages": [{"role": "user", "content": "x"}], "stream": True}
        async with httpx.AsyncClient(base_url=door.url, headers=headers) as client:
            answer = await client.post(CHAT, json=body)
        assert answer.status_code == 200
        assert '"code":"deadline_exceeded"' in answer.text
        assert "[DONE]" not in answer.text


async def test_one_answer_more_than_the_bound_is_refused() -> None:
    async with (
        open_door(FakeNode(silent), HttpSettings(max_requests=1)) as door,
        connection(door) as first,
        connection(door) as second,
    ):
        await first.send_all(ask(stream=False))
        asking = await door.node.answers.next_asking()
        await second.send_all(ask(stream=False))
        refusal = await read_until(second, b"}}")
        assert refusal.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1\r\n" in refusal
        asking.release()
        await read_until(first, b"late")
        await wait_all_tasks_blocked()
        await second.send_all(ask(stream=False))  # there is room again
        (await door.node.answers.next_asking()).release()
        await read_until(second, b"late")


# -- readers that stop -------------------------------------------------------------------------


@contextmanager
def a_reader() -> Iterator[socket.socket]:
    """The socket of a client that will take little."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield sock


def ask_and_stop(reader: socket.socket, door: Door) -> None:
    """Ask for a stream, and take nothing of it."""
    reader.connect(("127.0.0.1", door.port))
    reader.sendall(ask(stream=True))


async def until_still(door: Door) -> int:
    """Wait until the node says nothing more to its one reader; gives what it said, in tokens."""
    asking = await door.node.answers.next_asking()
    said = -1
    with trio.fail_after(60):
        while asking.said != said or said == 0:
            said = asking.said
            await trio.sleep(0.05)  # two looks at the kernel's buffers, apart
    return said


async def test_a_slow_reader_holds_back_only_itself() -> None:
    with a_reader() as reader:
        async with open_door(FakeNode(endless)) as door:
            ask_and_stop(reader, door)
            said = await until_still(door)
            assert said * 2000 < 32_000_000  # the buffers of the kernel and the credit, no more
            assert await healthy(door)


async def test_a_reader_that_takes_nothing_is_cut() -> None:
    settings = HttpSettings(stalled_seconds=0.2)
    with a_reader() as reader:
        async with open_door(FakeNode(endless), settings) as door:
            ask_and_stop(reader, door)
            asking = await door.node.answers.next_asking()
            with trio.fail_after(60):
                await asking.cancelled.wait()
            assert await healthy(door)
            assert door.metrics.registry.get_sample_value(
                "aiplat_bound_hits_total", {"bound": "http_stalled"}
            )


async def test_such_a_reader_does_not_hold_up_the_end() -> None:
    with a_reader() as reader:  # which stays longer than the door
        rescue = threading.Timer(20, reader.close)  # nothing else ends a shielded send
        async with open_door(FakeNode(endless)) as door:
            ask_and_stop(reader, door)
            await until_still(door)
            rescue.start()
        rescue.cancel()
        assert reader.fileno() != -1


# -- closing -----------------------------------------------------------------------------------


async def refuses(door: Door) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", door.port)).aclose()
    except OSError:
        return True
    return False


async def until_closed(door: Door) -> None:
    door.closing.set()
    with trio.fail_after(60):
        while not await refuses(door):
            await trio.lowlevel.checkpoint()


async def test_closing_lets_an_answer_end_and_no_new_one_begin() -> None:
    async with (
        open_door(FakeNode(held)) as door,
        connection(door) as stream,
        connection(door) as idle,
    ):
        await stream.send_all(ask(stream=True))
        await read_until(stream, b"first ")
        await until_closed(door)
        assert await idle.receive_some() == b""
        (await door.node.answers.next_asking()).release()
        rest = await read_all(stream)
        assert b"last" in rest
        assert b"[DONE]" in rest


async def test_serving_returns_when_all_is_closed() -> None:
    async with open_door() as door:
        app_settings = HttpSettings(bind=f"127.0.0.1:{door.port}")
        await until_closed(door)
        closing = trio.Event()
        closing.set()
        with trio.fail_after(60):  # the port is free again, and an idle door ends at once

            async def nothing(*args: object) -> None:
                raise AssertionError

            await serve_public(nothing, app_settings, shutdown_trigger=closing.wait)


# -- bytes that are wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",  # no Host
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: h2c\r\nhttp2-settings: !!\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 50,
    ],
)
async def test_garbage_ends_its_own_connection_alone(garbage: bytes) -> None:
    async with open_door() as door:
        async with connection(door) as stream:
            await stream.send_all(garbage)
            await stream.send_eof()
            try:
                data = await read_all(stream)
            except trio.BrokenResourceError:
                data = b""
        assert not data.startswith(b"HTTP/1.1 2")
        assert not data.startswith(b"HTTP/1.1 500")
        assert await healthy(door)


async def test_frames_that_trip_hypercorn_end_their_own_connection_alone() -> None:
    """A body that goes on after its stream was answered: a KeyError in hypercorn 0.18."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    head = [(":method", "POST"), (":path", "/x"), (":authority", "localhost"), (":scheme", "http")]
    client.send_headers(1, head)
    client.send_data(1, b"x")
    async with open_door() as door:
        async with connection(door) as stream:
            await stream.send_all(client.data_to_send())
            await read_until(stream, b"There is nothing at /")
            client.send_data(1, b"x")
            await stream.send_all(client.data_to_send())
            with pytest.raises((trio.BrokenResourceError, AssertionError)):
                await read_until(stream, b"never")
        assert await healthy(door)


async def test_a_large_body_that_is_refused_is_still_answered() -> None:
    """By announced length, and by what comes; both read the answer, and nothing is left behind."""
    async with open_door() as door:
        async with httpx.AsyncClient(base_url=door.url, headers=door.headers) as client:
            headers = {"content-type": "application/json"}
            answer = await client.post(CHAT, content=b" " * 5_000_000, headers=headers)
            assert answer.status_code == 413

            async def parts() -> AsyncIterator[bytes]:
                for _ in range(80):
                    yield b" " * 65_536

            answer = await client.post(CHAT, content=parts(), headers=headers)
            assert answer.status_code == 413
            answer = await client.request("GET", "/healthz", content=b" " * 5_000_000)
            assert answer.status_code == 200
        assert await healthy(door)
        with trio.fail_after(60):
            await until_closed(door)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with (
        open_door(settings=HttpSettings(body_seconds=0.05)) as door,
        connection(door) as stream,
    ):
        await stream.send_all(ask(stream=False)[:-5])
        data = await read_until(stream, b"}}")
        assert data.startswith(b"HTTP/1.1 408")


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    async with (
        open_door(settings=HttpSettings(keep_alive_seconds=1.0)) as door,
        connection(door) as stream,
    ):
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: lo")
        assert await read_all(stream) == b""


async def test_one_connection_more_than_the_bound_is_told_so() -> None:
    async with (
        open_door(settings=HttpSettings(max_connections=1)) as door,
        connection(door) as first,
    ):
        await first.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await read_until(first, b"ok")
        async with connection(door) as second:
            data = await read_until(second, b"}}")
            assert data.startswith(b"HTTP/1.1 503")
            assert b"max_connections" in data


async def test_http_2_works_where_a_client_begins_with_it() -> None:
    async with open_door() as door:
        async with httpx.AsyncClient(
            base_url=door.url, headers=door.headers, http1=False, http2=True
        ) as client:
            answer = await client.post(
                CHAT, json={"messages": [{"role": "user", "content": "a b"}]}
            )
        assert answer.http_version == "HTTP/2"
        assert answer.json()["choices"][0]["message"]["content"] == "a b "
