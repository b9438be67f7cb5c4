"""An upstream's answers on a real socket: what passes through, and what goes wrong."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from aiplat.domain.answers import MAX_PIECE_CHARS, Queued
from aiplat.domain.chat import Generate, Message
from aiplat.domain.errors import AiplatError, EngineFailed, Overloaded, PermissionDenied
from aiplat.domain.usage import Usage
from aiplat.engine.backends.upstream.key import Key
from tests.support.collector import living, no_collector
from tests.support.upstreams import (
    DONE,
    ScriptedUpstream,
    Talk,
    answering,
    chunk,
    event,
    models,
    saying,
    usage,
)
from tests.unit.engine.hearing import asking
from tests.unit.engine.upstream.running import SECONDS, Waited, answered, running

SECRET = "sk-very-secret-0123"


async def test_an_answer_passes_through_with_the_upstreams_own_count() -> None:
    with ScriptedUpstream(models("m", max_model_len=512, owned_by="vllm")) as server:
        server.chats(saying(chunk("Hel"), chunk("lo"), chunk(None, "length"), usage(5, 2)))
        async with running(server.url) as found:
            engine = await found.ready()
            heard = await answered(engine, asking("hi", seed=4))
            again = await answered(engine, asking("hi"))
        assert heard.text == again.text == "Hello"
        assert heard.finished.reason == "length"
        assert heard.finished.usage == Usage(5, 2, exact=False)
        assert not heard.started.exact
        assert heard.started.manifest.backend == "upstream-vllm"
        assert heard.started.manifest.context == 512
        assert server.chatted[0].body["seed"] == 4
        assert "authorization" not in server.chatted[0].headers


async def test_what_was_sent_is_gone_with_the_answer() -> None:
    looked = threading.Event()

    def slowly(talk: Talk) -> None:
        talk.stream(chunk("Hello"))
        assert looked.wait(SECONDS)
        talk.stream_on(chunk(None, "stop"), DONE)

    with ScriptedUpstream() as server:
        server.chats(slowly)
        async with running(server.url, refresh_seconds=60) as found:
            engine, heard = await found.ready(), Waited()
            with no_collector():
                engine.submit(asking("hi"), heard)
                await heard.until(lambda: heard.text == "Hello")
                assert any(asked(server.url, found) for found in living(httpx.Request))
                looked.set()
                await heard.until(lambda: heard.ended)
                with trio.fail_after(SECONDS):  # its connection ends a little after its end
                    while any(asked(server.url, found) for found in living(httpx.Request)):
                        await trio.sleep(0.01)


def asked(server: str, request: httpx.Request) -> bool:
    return str(request.url).startswith(server) and request.url.path.endswith("/completions")


async def test_calls_of_tools_pass_through() -> None:
    def part(*calls: Any) -> bytes:
        return event({"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]})

    first = {"index": 0, "id": "x", "function": {"name": "now", "arguments": '{"zo'}}
    more = {"index": 0, "function": {"arguments": 'ne": "' + "U" * 200 + '"}'}}
    with ScriptedUpstream() as server:
        server.chats(saying(chunk("I look."), part(first), part(more), chunk(None, "tool_calls")))
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            work = Generate((Message("user", "hi"),), tools=({"name": "now"},))
            request = engine.submit(replace(asking("hi", credit=600), work=work), heard)
            await heard.until(lambda: sum(delta.cost for delta in heard.deltas) > 300)
            request.accept(1, 4000)
            await heard.until(lambda: heard.ended)
            assert set(engine.offer().can) >= {"tools", "grammar"}
    pieces = [piece for delta in heard.deltas for piece in delta.calls]
    assert heard.text == "I look."
    assert [piece.name for piece in pieces if piece.name] == ["now"]
    assert "".join(piece.arguments for piece in pieces) == '{"zone": "' + "U" * 200 + '"}'
    assert all(piece.chars <= MAX_PIECE_CHARS for piece in pieces)
    assert heard.finished.reason == "tool_calls"


async def test_a_bare_prompt_goes_to_the_older_door() -> None:
    def script(talk: Talk) -> None:
        talk.stream(
            event({"choices": [{"index": 0, "text": " a time", "finish_reason": "stop"}]}), DONE
        )

    with ScriptedUpstream() as server:
        server.scripts["POST /v1/completions"] = script
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            work = Generate((), prompt="Once upon")
            engine.submit(replace(asking("hi"), work=work), heard)
            await heard.until(lambda: heard.ended)
    assert heard.text == " a time"


async def test_nothing_is_read_beyond_credit_and_the_upstream_is_held_back() -> None:
    pieces, sent = [chunk("x" * 1000)] * 4000, threading.Event()

    def script(talk: Talk) -> None:
        talk.stream(*pieces, chunk("", "stop"), DONE)
        sent.set()

    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            request = engine.submit(asking("hi", credit=1000), heard)
            await heard.until(lambda: len(heard.text) == 250)
            await trio.testing.wait_all_tasks_blocked()
            assert request._stage.deadline == math.inf  # type: ignore[attr-defined]  # an Exchange
            assert sum(delta.cost for delta in heard.deltas) == 1000
            assert not sent.is_set()
            while not heard.ended:
                taken = len(heard.text)
                request.accept(0, 2_000_000)
                await heard.until(partial(_went_on, heard, taken))
    assert len(heard.text) == 4_000_000
    assert sent.is_set()


def _went_on(heard: Waited, taken: int) -> bool:
    return heard.ended or len(heard.text) > taken


@pytest.mark.parametrize("credit", [1000, 8])  # with room for more, and while it waits for some
async def test_a_cancel_closes_the_connection_at_once(credit: int) -> None:
    left = threading.Event()

    def script(talk: Talk) -> None:
        talk.stream(chunk("aa" if credit == 1000 else "aaa"))
        if talk.wait_until_left():
            left.set()

    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            request = engine.submit(asking("hi", credit=credit), heard)
            await heard.until(lambda: heard.text == "aa")
            request.cancel()
            await heard.end()
            assert heard.finished.reason == "cancelled"
            assert heard.finished.usage == Usage(0, 1, exact=False)
            assert await trio.to_thread.run_sync(left.wait, SECONDS)
            assert engine.offer().running == 0


@pytest.mark.parametrize(
    ("before", "limit", "said"),
    [
        ((), {"first_token_seconds": 0.1}, "for the first word .*upstream.first_token_seconds"),
        ((chunk("a"),), {"next_token_seconds": 0.1}, "more of its answer.*next_token_seconds"),
        ((chunk("a"),), {"whole_seconds": 20.0}, "upstream.whole_seconds. and 1 pieces"),
    ],
)
async def test_a_stall_has_a_deadline_that_is_named(
    before: tuple[bytes, ...], limit: dict[str, Any], said: str
) -> None:
    def script(talk: Talk) -> None:
        talk.stream(*before, b": alive\n\n")
        talk.wait_until_left()

    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url, **limit) as found:
            heard = await answered(await found.ready(), asking("hi"))
    assert heard.failed.code == "deadline_exceeded"
    with pytest.raises(AiplatError, match=said):
        raise heard.failed.error()


async def test_usage_that_never_comes_holds_no_answer_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiplat.engine.backends.upstream.exchange.LAST_WORDS_SECONDS", 0.05)

    def script(talk: Talk) -> None:
        talk.stream(chunk("a", "stop"))
        talk.wait_until_left()

    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url, next_token_seconds=3600) as found:
            heard = await answered(await found.ready(), asking("hi"))
    assert (heard.text, heard.finished.reason) == ("a", "stop")


def _short(talk: Talk) -> None:
    talk.head(200, content_type="text/event-stream", content_length="900")
    talk.raw(chunk("a"))


def _cut(talk: Talk) -> None:
    talk.head(200, content_type="text/event-stream", transfer_encoding="chunked")
    talk.raw(b"ffff\r\n" + chunk("a"))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_short, "sent less than it announced .*expected 900"),
        (_cut, "broke off in the middle"),
        (lambda talk: talk.stream(chunk("a")), "ended in the middle of its answer"),
        (lambda talk: None, "closed the connection without an answer"),
        (lambda talk: talk.raw(b"220 smtp ready\r\n\r\n"), "does not speak HTTP"),
        (answering(200, b"<html>hi</html>", content_type="text/html"),
         "sent no stream of events: status 200, text/html"),
        (answering(200, {"error": {"message": "quota"}}), "no stream of events: quota"),
        (answering(200, b"x", content_type="text/event-stream", content_encoding="gzip"),
         "no stream of events"),
        (answering(302, b"", location="http://127.0.0.1:1/"), "redirect"),
        (answering(500, {"error": {"message": f"{SECRET} leaked"}}), r"failed: \[key\] leaked"),
        (answering(401, {"error": {"message": f"bad {SECRET}"}}), "refuses the key .*variable KEY"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_told_in_a_sentence_and_may_go_well_elsewhere(
    script: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedUpstream() as server:
        server.chats(script)  # type: ignore[arg-type]  # lambdas
        async with running(server.url, key=Key("KEY", SECRET)) as found:
            heard = await answered(await found.ready(), asking("hi"))
        assert server.chatted[0].headers["authorization"] == f"Bearer {SECRET}"
    assert (heard.failed.code, heard.failed.recoverable) == ("engine_failed", True)
    with pytest.raises(AiplatError, match=said):
        raise heard.failed.error()
    assert SECRET not in str(heard.events)
    assert SECRET not in caplog.text


async def test_what_came_before_a_failure_is_said() -> None:
    with ScriptedUpstream() as server:
        server.chats(lambda talk: talk.stream(chunk("a") + event({"error": "out of memory"})))
        async with running(server.url) as found:
            heard = await answered(await found.ready(), asking("hi"))
    assert heard.text == "a"
    assert heard.failed.message == "The upstream of m failed: out of memory."
    assert heard.failed.usage == Usage(0, 1, exact=False)


async def test_a_servers_dialect_is_learnt_from_what_it_refuses() -> None:
    with ScriptedUpstream() as server:
        options = answering(400, {"error": {"message": "unknown field: stream_options"}})
        limit = answering(400, {"error": {"message": "Use 'max_completion_tokens' instead."}})
        server.chats(options, limit, saying(chunk("a", "stop")))
        async with running(server.url) as found:
            engine = await found.ready()
            heard = [await answered(engine, asking("hi", max_tokens=5)) for _ in range(2)]
            assert [one.text for one in heard] == ["a", "a"]
            server.chats(limit)  # about something else by now: no endless tries
            assert (await answered(engine, asking("hi"))).failed.code == "invalid_request"
        sent = [set(talk.body) & {"stream_options", "max_tokens", "max_completion_tokens"}
                for talk in server.chatted]  # fmt: skip
        assert sent[:4] == [{"stream_options", "max_tokens"}, {"max_tokens"},
                            {"max_completion_tokens"}, {"max_completion_tokens"}]  # fmt: skip
        assert len(sent) == 5


async def test_a_prompt_that_is_quoted_in_a_refusal_teaches_nothing() -> None:
    with ScriptedUpstream() as server:
        quoted = answering(422, {"detail": [{"input": "stream_options, max_completion_tokens"}]})
        server.chats(quoted, quoted, quoted, saying(chunk("a", "stop")))
        async with running(server.url) as found:
            engine = await found.ready()
            refused = await answered(engine, asking("hi", max_tokens=5))
            assert refused.failed.code == "invalid_request"
            assert (await answered(engine, asking("hi", max_tokens=5))).text == "a"
        assert {"stream_options", "max_tokens"} <= set(server.chatted[-1].body)


async def test_connecting_and_listing_have_deadlines_that_are_named() -> None:
    with socket.socket() as full, ExitStack() as clients:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # what its queue holds; the next is let wait
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        async with running(f"http://127.0.0.1:{port}", "m", connect_seconds=0.1) as found:
            await found.until(lambda: found.state() == "failed")
            assert "within 0.1 s (upstream.connect_seconds)" in found.note()
    with ScriptedUpstream() as server:
        server.scripts["GET /v1/models"] = Talk.wait_until_left
        async with running(server.url, "m", list_seconds=0.1) as found:
            await found.until(lambda: found.state() == "failed")
            assert "within 0.1 s (upstream.list_seconds)" in found.note()


async def test_what_may_not_leave_the_machine_or_the_network_does_not() -> None:
    with ScriptedUpstream() as server:
        async with running(server.url) as found:
            engine = await found.ready()
            assert engine.offer().reach == ""
    for private, reach, may in ((False, "any", ()), (True, "network", ("network",))):
        away = "http://gpu.invalid:9"
        async with running(away, "m", private=private) as found:
            engine = found.engines["m"]
            assert engine.offer().reach == reach
            for privacy in ("machine", "network"):
                refusal = EngineFailed if privacy in may else PermissionDenied
                with pytest.raises(refusal) as told:
                    engine.submit(asking("hi", privacy=privacy), Waited())
                if privacy not in may:
                    assert "m runs on another server (gpu.invalid:9)" in str(told.value)


async def test_slots_then_a_queue_then_a_refusal() -> None:
    go = threading.Event()

    def script(talk: Talk) -> None:
        talk.stream(chunk("a"))
        go.wait(SECONDS)
        talk.raw(chunk("", "stop") + DONE)

    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url, slots=1, max_waiting=1) as found:
            engine, first, second = await found.ready(), Waited(), Waited()
            engine.submit(asking("hi"), first)
            await first.until(lambda: first.text)
            waiting = engine.submit(asking("hi"), second)
            await second.until(lambda: second.events)
            assert isinstance(second.events[0], Queued)
            assert (engine.offer().running, engine.offer().waiting) == (1, 1)
            with pytest.raises(Overloaded, match="2 requests, as many as it takes"):
                engine.submit(asking("hi"), Waited())
            assert found.metrics.bound_hits.labels("engine_queue")._value.get() == 1
            waiting.cancel()
            await second.end()
            assert second.finished.usage == Usage(0, 0)
            third = Waited()
            engine.submit(asking("hi"), third)
            go.set()
            await first.end()
            await third.end()
        assert (first.text, third.text) == ("a", "a")
        assert len(server.chatted) == 2


async def test_a_node_that_ends_ends_its_answers() -> None:
    def script(talk: Talk) -> None:
        talk.stream(chunk("a"))
        talk.wait_until_left()

    heard = Waited()
    with ScriptedUpstream() as server:
        server.chats(script)
        async with running(server.url) as found:
            (await found.ready()).submit(asking("hi"), heard)
            await heard.until(lambda: heard.text)
    assert heard.failed.code == "shutting_down"


async def test_a_certificate_that_is_not_valid_gets_no_key(tmp_path: Path) -> None:
    with ScriptedUpstream(tls=_self_signed(tmp_path)) as server:
        async with running(server.url, "m", key=Key("KEY", SECRET)) as found:
            await found.until(lambda: found.state() == "failed")
            assert "certificate that is not valid" in found.note()
        assert server.talks == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - day).not_valid_after(now + day).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(made.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
