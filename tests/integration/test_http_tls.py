"""The front door through TLS, on real sockets: its clients, its streams, its certificate, its end.

What is done to it on purpose is in test_http_tls_wrong.py; whole nodes beyond loopback are in
test_http_beyond.py.
"""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import openai
import pytest
import trio

from aiplat.http.certificate import Certificate
from aiplat.http.settings import HttpSettings
from tests.integration.test_http_streams import (
    CHAT,
    ask,
    endless,
    held,
    read_all,
    read_until,
    silent,
    until_closed,
    until_still,
)
from tests.support.certificates import Authority, Files, serial_of
from tests.support.fake_node import TOKEN, Door, FakeNode, open_door

HELLO = {"messages": [{"role": "user", "content": "a b"}]}
Tls = trio.SSLStream[trio.SocketStream]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> Files:
    return authority.pair("localhost", "127.0.0.1")


@pytest.fixture
def certificate(files: Files) -> Certificate:
    return Certificate(files.certificate, files.key)


@asynccontextmanager
async def secured(
    door: Door, authority: Authority, *alpn: str, context: ssl.SSLContext | None = None
) -> AsyncIterator[Tls]:
    """A connection through TLS that holds the other side to its last word."""
    context = context or authority.trusting()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with trio.fail_after(30):
        stream = await trio.open_tcp_stream("127.0.0.1", door.port)
        async with stream:
            tls = trio.SSLStream(stream, context, server_hostname="localhost")
            await tls.do_handshake()
            yield tls


def client_of(door: Door, authority: Authority, *, http2: bool = False) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=door.url, headers=door.headers, verify=authority.trusting(), http2=http2
    )


# -- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("http2", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
async def test_both_versions_of_http(
    certificate: Certificate, authority: Authority, http2: bool, version: str
) -> None:
    async with (
        open_door(certificate=certificate) as door,
        client_of(door, authority, http2=http2) as client,
    ):
        assert door.url == f"https://127.0.0.1:{door.port}"
        whole = await client.post(CHAT, json=HELLO)
        assert whole.http_version == version
        assert whole.json()["choices"][0]["message"]["content"] == "a b "
        streamed = await client.post(CHAT, json=HELLO | {"stream": True})
        assert streamed.text.count("data: ") > 2
        assert streamed.text.endswith("data: [DONE]\n\n")


async def test_a_client_that_names_no_protocol_speaks_http_1(
    certificate: Certificate, authority: Authority
) -> None:
    async with (
        open_door(certificate=certificate) as door,
        secured(door, authority) as tls,
    ):
        assert tls.selected_alpn_protocol() is None
        await tls.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b'{"status":"ok"}' in await read_until(tls, b"}")


async def test_the_official_client(certificate: Certificate, authority: Authority) -> None:
    async with open_door(certificate=certificate) as door:

        def talk() -> tuple[list[str], str]:
            with (
                openai.DefaultHttpxClient(verify=authority.trusting()) as http,
                openai.OpenAI(
                    base_url=f"{door.url}/v1", api_key=TOKEN, http_client=http, max_retries=0
                ) as client,
            ):
                models = [model.id for model in client.models.list()]
                stream = client.chat.completions.create(
                    model="echo", messages=[{"role": "user", "content": "a b"}], stream=True
                )
                return models, "".join(
                    chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices
                )

        models, text = await trio.to_thread.run_sync(talk)
        assert "echo" in models
        assert text == "a b "


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("option", "version"), [("--http1.1", b"1.1"), ("--http2", b"2")])
async def test_curl(
    certificate: Certificate, authority: Authority, option: str, version: bytes
) -> None:
    async with open_door(certificate=certificate) as door:
        words = [
            "curl", "-sS", "--noproxy", "*", "--max-time", "30", option,
            "--cacert", str(authority.path), "-H", f"Authorization: Bearer {TOKEN}",
            "-w", "\n%{http_version}", f"{door.url}/v1/models",
        ]  # fmt: skip
        done = await trio.run_process(words, capture_stdout=True, capture_stderr=True)
        body, _, spoken = done.stdout.rpartition(b"\n")
        assert b'"id":"echo"' in body
        assert spoken == version


async def test_a_page_of_the_doors_own_is_one_that_came_through_tls(
    certificate: Certificate, authority: Authority
) -> None:
    async with open_door(certificate=certificate) as door, client_of(door, authority) as client:
        for origin, status in (
            (door.url, 200),
            (door.url.replace("https:", "http:"), 403),
            ("https://evil.example", 403),
        ):
            answer = await client.get("/v1/models", headers={"origin": origin})
            assert answer.status_code == status, origin


async def test_a_name_of_the_certificate_is_one_of_the_doors(authority: Authority) -> None:
    files = authority.pair("gpu.example", "*.lab.example")
    certificate = Certificate(files.certificate, files.key)
    async with open_door(certificate=certificate) as door:
        assert door.url == f"https://gpu.example:{door.port}"
        for host, status in (
            (b"gpu.example", b"200"),
            (b"x.lab.example:8777", b"200"),
            (b"evil.example", b"403"),
            (b"lab.example", b"403"),
        ):
            context = authority.trusting()
            context.check_hostname = False
            async with secured(door, authority, context=context) as tls:
                await tls.send_all(b"GET /healthz HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
                assert (await read_until(tls, b"\r\n\r\n")).split()[1] == status, host


# -- what answers look like on the way -----------------------------------------------------------


async def test_who_leaves_in_mid_stream_stops_the_work(
    certificate: Certificate, authority: Authority
) -> None:
    async with open_door(FakeNode(held), certificate=certificate) as door:
        async with secured(door, authority) as tls:
            await tls.send_all(ask(stream=True))
            await read_until(tls, b"first ")
            asking = await door.node.answers.next_asking()
            assert not asking.cancelled.is_set()
        with trio.fail_after(60):
            await asking.cancelled.wait()


async def test_who_says_goodbye_properly_stops_the_work_too(
    certificate: Certificate, authority: Authority
) -> None:
    """TLS's last word alone: the connection below stays open."""
    async with (
        open_door(FakeNode(silent), certificate=certificate) as door,
        secured(door, authority) as tls,
    ):
        await tls.send_all(ask(stream=False))
        asking = await door.node.answers.next_asking()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tls.unwrap)  # waits for the door's last word
            with trio.fail_after(20):
                await asking.cancelled.wait()


def h2_client(door: Door) -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    return client


def h2_ask(client: h2.connection.H2Connection, *, stream: bool) -> int:
    body = ask(stream=stream).partition(b"\r\n\r\n")[2]
    number: int = client.get_next_available_stream_id()
    client.send_headers(
        number,
        [(":method", "POST"), (":path", CHAT), (":authority", "localhost"), (":scheme", "https"),
         ("authorization", f"Bearer {TOKEN}"), ("content-type", "application/json"),
         ("content-length", str(len(body)))],
    )  # fmt: skip
    client.send_data(number, body, end_stream=True)
    return number


async def h2_data(tls: Tls, client: h2.connection.H2Connection, mark: bytes) -> bytes:
    """Read until `mark` is in what came."""
    data = b""
    while mark not in data:
        part = await tls.receive_some()
        assert part, f"closed before {mark!r}: {data!r}"
        for event in client.receive_data(bytes(part)):
            if isinstance(event, h2.events.DataReceived):
                data += event.data or b""
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        await tls.send_all(client.data_to_send())
    return data


async def test_a_stream_of_http_2_that_its_client_resets_stops_the_work(
    certificate: Certificate, authority: Authority
) -> None:
    """Of two streams on one connection, that one alone."""
    async with (
        open_door(FakeNode(held), certificate=certificate) as door,
        secured(door, authority, "h2") as tls,
    ):
        assert tls.selected_alpn_protocol() == "h2"
        client = h2_client(door)
        first = h2_ask(client, stream=True)
        await tls.send_all(client.data_to_send())
        await h2_data(tls, client, b"first ")
        one = await door.node.answers.next_asking()
        h2_ask(client, stream=True)
        await tls.send_all(client.data_to_send())
        await h2_data(tls, client, b"first ")
        other = await door.node.answers.next_asking()
        client.reset_stream(first)
        await tls.send_all(client.data_to_send())
        with trio.fail_after(60):
            await one.cancelled.wait()
        other.release()
        assert b"last" in await h2_data(tls, client, b"[DONE]")
        assert not other.cancelled.is_set()


async def test_a_slow_reader_holds_back_only_itself(
    certificate: Certificate, authority: Authority
) -> None:
    async with (
        open_door(FakeNode(endless), certificate=certificate) as door,
        secured(door, authority) as tls,
    ):
        await tls.send_all(ask(stream=True))
        said = await until_still(door)
        assert said * 2000 < 32_000_000
        async with client_of(door, authority) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_a_reader_that_takes_nothing_is_cut(
    certificate: Certificate, authority: Authority
) -> None:
    async with (
        open_door(
            FakeNode(endless), HttpSettings(stalled_seconds=0.2), certificate=certificate
        ) as door,
        secured(door, authority) as tls,
    ):
        await tls.send_all(ask(stream=True))
        asking = await door.node.answers.next_asking()
        with trio.fail_after(60):
            await asking.cancelled.wait()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(tls)
        assert bound_hits(door, "http_stalled")


def bound_hits(door: Door, bound: str) -> float:
    found = door.metrics.registry.get_sample_value("aiplat_bound_hits_total", {"bound": bound})
    return found or 0.0


# -- the end -------------------------------------------------------------------------------------


async def test_an_end_is_said_in_tls_too(certificate: Certificate, authority: Authority) -> None:
    """Of an answer that ends with its connection nobody could tell else that it was not cut."""
    async with (
        open_door(certificate=certificate) as door,
        secured(door, authority) as tls,
    ):
        await tls.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert (await read_all(tls)).endswith(b'{"status":"ok"}')  # a cut would be an error


async def test_closing_lets_an_answer_end_and_says_so(
    certificate: Certificate, authority: Authority
) -> None:
    async with (
        open_door(FakeNode(held), certificate=certificate) as door,
        secured(door, authority) as tls,
        secured(door, authority) as idle,
    ):
        await tls.send_all(ask(stream=True))
        await read_until(tls, b"first ")
        await until_closed(door)
        assert await read_all(idle) == b""
        (await door.node.answers.next_asking()).release()
        rest = await read_all(tls)
        assert b"last" in rest
        assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_closing_lets_a_stream_of_http_2_end(
    certificate: Certificate, authority: Authority
) -> None:
    async with (
        open_door(FakeNode(held), certificate=certificate) as door,
        secured(door, authority, "h2") as tls,
    ):
        client = h2_client(door)
        h2_ask(client, stream=True)
        await tls.send_all(client.data_to_send())
        await h2_data(tls, client, b"first ")
        await until_closed(door)
        (await door.node.answers.next_asking()).release()
        events: list[h2.events.Event] = []
        while part := await tls.receive_some():  # to TLS's last word
            events += client.receive_data(bytes(part))
        kinds = [type(event) for event in events]
        data = b"".join(e.data or b"" for e in events if isinstance(e, h2.events.DataReceived))
        assert b"last" in data
        assert data.endswith(b"data: [DONE]\n\n")
        assert h2.events.StreamEnded in kinds
        assert h2.events.ConnectionTerminated in kinds


# -- a certificate that changes ------------------------------------------------------------------


async def shown_to(door: Door, authority: Authority) -> int:
    async with secured(door, authority) as tls:
        der: bytes = tls.getpeercert(True)
        return serial_of(der)


async def test_a_new_certificate_is_shown_without_a_restart(
    certificate: Certificate, authority: Authority, files: Files
) -> None:
    settings = HttpSettings(tls_reload_seconds=0.01)
    async with (
        open_door(FakeNode(held), settings, certificate) as door,
        secured(door, authority) as tls,
    ):
        await tls.send_all(ask(stream=True))
        await read_until(tls, b"first ")
        before = await shown_to(door, authority)
        files.certificate.write_bytes(b"no certificate")  # is not taken
        await trio.sleep(0.05)
        assert await shown_to(door, authority) == before
        authority.pair("localhost", files=files)
        with trio.fail_after(30):
            while (after := await shown_to(door, authority)) == before:
                await trio.sleep(0.01)
        assert after != before
        (await door.node.answers.next_asking()).release()  # what was under way goes on
        assert b"last" in await read_until(tls, b"[DONE]")
