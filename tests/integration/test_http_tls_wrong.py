"""What a stranger may do to a door that speaks TLS: he loses his own connection, and no more."""

from __future__ import annotations

import shutil
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from aiplat.http.certificate import Certificate
from aiplat.http.settings import HttpSettings
from tests.integration.test_http_streams import (
    ask,
    connection,
    held,
    read_all,
    read_until,
    until_closed,
)
from tests.integration.test_http_tls import bound_hits, client_of, secured
from tests.support.certificates import Authority, Files
from tests.support.fake_node import Door, FakeNode, open_door

GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> Files:
    return authority.pair("localhost", "127.0.0.1")


@pytest.fixture
def certificate(files: Files) -> Certificate:
    return Certificate(files.certificate, files.key)


async def serves(door: Door, authority: Authority) -> bool:
    with trio.fail_after(20):
        async with client_of(door, authority) as client:
            return (await client.get("/healthz")).status_code == 200


async def ends(stream: trio.SocketStream) -> bytes:
    """What comes until the other side closes, in whichever way."""
    data = b""
    try:
        while part := await stream.receive_some():
            data += part
    except trio.BrokenResourceError:
        pass
    return data


def first_words() -> bytes:
    """A client's first message of a TLS handshake."""
    going = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), going, server_hostname="localhost"
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return going.read()


# -- another language than the door's ------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        GET,
        ask(stream=True),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 1000,
        b"\xff" * 100_000,
        b"\x16\x03\x01\xff\xff" + b"\x01" * 70_000,
        b"SSH-2.0-OpenSSH_9.0\r\n",
    ],
)
async def test_who_speaks_no_tls_is_closed(
    certificate: Certificate, authority: Authority, said: bytes
) -> None:
    async with open_door(FakeNode(held), certificate=certificate) as door:
        async with connection(door) as stream:
            with trio.move_on_after(10) as limit:
                try:
                    await stream.send_all(said)
                except trio.BrokenResourceError:
                    pass
                answer = await ends(stream)
            assert not limit.cancelled_caught
            assert not answer.startswith(b"HTTP")
        assert await serves(door, authority)
        assert not door.node.answers.asked


async def test_tls_at_a_plain_door_is_an_error_and_no_more(authority: Authority) -> None:
    async with open_door() as door:
        with pytest.raises(trio.BrokenResourceError):
            async with secured(door, authority):
                raise AssertionError
        async with connection(door) as stream:
            await stream.send_all(GET)
            assert b"ok" in await read_until(stream, b"}")


def speaking(version: ssl.TLSVersion, ciphers: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_are_not_spoken(
    certificate: Certificate, authority: Authority, version: ssl.TLSVersion
) -> None:
    async with open_door(certificate=certificate) as door:
        context = speaking(version, "ALL:@SECLEVEL=0")
        with pytest.raises(trio.BrokenResourceError):
            async with secured(door, authority, context=context):
                raise AssertionError
        assert await serves(door, authority)


@pytest.mark.parametrize(
    ("version", "ciphers", "is_spoken"),
    [
        (ssl.TLSVersion.TLSv1_3, "DEFAULT", True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+CHACHA20", True),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", False),
    ],
)
async def test_what_is_spoken(
    certificate: Certificate,
    authority: Authority,
    version: ssl.TLSVersion,
    ciphers: str,
    is_spoken: bool,
) -> None:
    context = speaking(version, ciphers)
    async with open_door(certificate=certificate) as door:
        if not is_spoken:
            with pytest.raises(trio.BrokenResourceError):
                async with secured(door, authority, context=context):
                    raise AssertionError
            return
        async with secured(door, authority, context=context) as tls:
            assert tls.version() == version.name.replace("_", ".")
            await tls.send_all(GET)
            assert b"ok" in await read_until(tls, b"}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--tls-max", "1.1", "--insecure"], 35),
        ([], 60),  # it does not know the authority
    ],
)
async def test_curl_is_refused(
    certificate: Certificate, authority: Authority, options: list[str], code: int
) -> None:
    async with open_door(certificate=certificate) as door:
        words = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            *options,
            f"{door.url}/healthz",
        ]
        done = await trio.run_process(words, capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == code, done.stderr
        assert not done.stdout
        assert await serves(door, authority)


async def test_no_new_handshake_in_the_middle(
    certificate: Certificate, authority: Authority
) -> None:
    """Under TLS 1.2 a client could ask for one after the other, which costs the server more."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    async with open_door(certificate=certificate) as door:
        words = [openssl, "s_client", "-tls1_2", "-connect", f"127.0.0.1:{door.port}",
                 "-legacy_renegotiation"]  # fmt: skip
        with trio.fail_after(20):
            done = await trio.run_process(
                words, stdin=b"R\n", capture_stdout=True, capture_stderr=True, check=False
            )
        assert b"no renegotiation" in done.stderr
        assert await serves(door, authority)


# -- half a handshake ------------------------------------------------------------------------------


@asynccontextmanager
async def half_open(door: Door, count: int, said: bytes) -> AsyncIterator[list[trio.SocketStream]]:
    """Connections that begin a handshake and do no more."""
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(count):
            stream = await trio.open_tcp_stream("127.0.0.1", door.port)
            await stack.enter_async_context(stream)
            await stream.send_all(said)
            streams.append(stream)
        yield streams


@pytest.mark.parametrize("part", [0, 1, 20, -1])
async def test_many_half_handshakes_hold_nobody_up_and_are_cut(
    certificate: Certificate, authority: Authority, part: int
) -> None:
    settings = HttpSettings(tls_handshake_seconds=1.0)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        half_open(door, 100, first_words()[:part]) as streams,
    ):
        assert await serves(door, authority)  # while they wait
        with trio.fail_after(20):
            for stream in streams:
                assert await ends(stream) == b""
        assert bound_hits(door, "http_handshake") == 100


async def test_who_answers_half_of_a_handshake_is_cut_too(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(tls_handshake_seconds=0.2)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        half_open(door, 1, first_words()) as streams,
    ):
        with trio.fail_after(20):
            assert await ends(streams[0])  # the door's half
        assert bound_hits(door, "http_handshake") == 1
        assert await serves(door, authority)


async def in_drops(stream: trio.SocketStream, words: bytes) -> None:
    """Send so that each drop is well within the time that the whole may take, and all are not."""
    for byte in words:
        await stream.send_all(bytes([byte]))
        await trio.sleep(0.02)


async def test_a_handshake_in_drops_has_no_more_time_than_another(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(tls_handshake_seconds=0.3)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        connection(door) as stream,
    ):
        with pytest.raises(trio.BrokenResourceError):
            await in_drops(stream, first_words())
        assert bound_hits(door, "http_handshake") == 1


async def test_half_handshakes_count_as_connections(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(max_connections=3, tls_handshake_seconds=1.0)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        half_open(door, 3, b"") as streams,
    ):
        async with connection(door) as fourth:
            assert await ends(fourth) == b""  # at once: the others' second is not over
        assert bound_hits(door, "http_connections") == 1
        assert bound_hits(door, "http_handshake") == 0
        with trio.fail_after(20):
            for stream in streams:
                await ends(stream)
        assert await serves(door, authority)  # there is room again


async def test_half_handshakes_do_not_hold_up_the_end(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(tls_handshake_seconds=600)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        half_open(door, 3, first_words()[:50]) as streams,
    ):
        assert await serves(door, authority)
        await until_closed(door)
        with trio.fail_after(20):
            for stream in streams:
                await ends(stream)


@pytest.mark.parametrize("part", [0, 50, -1])
async def test_who_leaves_in_the_middle_of_a_handshake_is_gone(
    certificate: Certificate, authority: Authority, part: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_door(settings=HttpSettings(max_connections=1), certificate=certificate) as door:
        for _ in range(2):
            async with half_open(door, 1, first_words()[:part]):
                pass
            with trio.fail_after(20):
                while not await is_let_in(door, authority):
                    await trio.sleep(0.01)
        assert bound_hits(door, "http_handshake") == 0
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_who_comes_and_goes_often_has_one_connection_at_a_time(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(max_connections=1)
    async with open_door(settings=settings, certificate=certificate) as door:
        with trio.fail_after(15):  # it took 1 s each while gone connections were kept
            for _ in range(40):
                while not await is_let_in(door, authority, GET):
                    await trio.sleep(0.01)


async def is_let_in(door: Door, authority: Authority, said: bytes = b"") -> bool:
    try:
        async with secured(door, authority) as tls:
            if said:
                await tls.send_all(said)
                await read_until(tls, b"}")
            return True
    except trio.BrokenResourceError:
        return False


# -- after the handshake ---------------------------------------------------------------------------


async def test_who_says_nothing_after_it_is_cut(
    certificate: Certificate, authority: Authority
) -> None:
    settings = HttpSettings(keep_alive_seconds=0.3)
    async with (
        open_door(settings=settings, certificate=certificate) as door,
        secured(door, authority) as silent,
        secured(door, authority, "h2") as other,
        secured(door, authority) as half,
    ):
        await half.send_all(GET[:10])
        assert await read_all(silent) == b""
        assert await read_all(half) == b""
        await read_all(other)  # after the settings of HTTP/2


async def test_garbage_in_the_middle_ends_its_own_connection_alone(
    certificate: Certificate, authority: Authority
) -> None:
    async with open_door(FakeNode(held), certificate=certificate) as door:
        async with secured(door, authority) as tls:
            await tls.send_all(ask(stream=True))
            await read_until(tls, b"first ")
            await tls.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
            await ends(tls.transport_stream)
        asking = await door.node.answers.next_asking()
        with trio.fail_after(20):
            await asking.cancelled.wait()
        assert await serves(door, authority)


async def test_a_reset_in_the_middle_of_a_stream_stops_the_work(
    certificate: Certificate, authority: Authority
) -> None:
    async with open_door(FakeNode(held), certificate=certificate) as door:
        async with secured(door, authority) as tls:
            await tls.send_all(ask(stream=True))
            await read_until(tls, b"first ")
            asking = await door.node.answers.next_asking()
            linger = tls.transport_stream.socket
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            linger.close()
        with trio.fail_after(20):
            await asking.cancelled.wait()
        assert await serves(door, authority)


async def test_a_plain_door_says_why_it_refuses_and_not_to_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiplat.http.connections._REFUSING", 1)
    async with (
        open_door(settings=HttpSettings(max_connections=1)) as door,
        connection(door) as first,
    ):
        await first.send_all(GET)
        await read_until(first, b"ok")
        async with connection(door) as second:
            assert b"http.max_connections" in await read_until(second, b"}}")
            async with connection(door) as third:  # while the second still reads
                assert await ends(third) == b""
        assert bound_hits(door, "http_connections") == 2
