"""A server that is away, comes, goes and changes its models; and one that is found."""

from __future__ import annotations

import json
import re

import pytest
import trio

from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.engine.backends.upstream.address import check_places
from aiplat.engine.backends.upstream.finding import find
from aiplat.engine.backends.upstream.upstream import NOBODY
from tests.support.upstreams import (
    ScriptedUpstream,
    Talk,
    answering,
    chunk,
    free_port,
    models,
    saying,
)
from tests.unit.engine.hearing import asking
from tests.unit.engine.upstream.running import Waited, answered, running


async def test_away_at_the_start_there_later_and_gone_again() -> None:
    port = free_port()
    async with running(f"http://127.0.0.1:{port}", "m") as found:
        await found.until(lambda: found.state() == "failed")
        assert found.note() == "the upstream does not answer (connection refused)"
        with pytest.raises(AiplatError, match=r"does not answer here now: .*refused") as told:
            found.engines["m"].submit(asking("hi"), Waited())
        assert told.value.recoverable
        with ScriptedUpstream(port=port) as server:
            server.chats(saying(chunk("a", "stop")))
            assert (await answered(await found.ready(), asking("hi"))).text == "a"
        await found.until(lambda: found.state() == "failed")


async def test_one_that_is_away_from_the_start_says_so_without_a_model() -> None:
    port = free_port()
    async with running(f"http://127.0.0.1:{port}") as found:
        await found.until(lambda: found.state(NOBODY) == "failed")
        assert found.note(NOBODY) == "the upstream does not answer (connection refused)"
        with ScriptedUpstream(models(), port=port) as server:
            await found.until(lambda: "lists no model" in found.note(NOBODY))
            server.lists(models("m"))
            await found.ready("m")
            assert set(found.engines) == {"m"}


async def test_one_that_dies_in_use_is_found_out_by_the_request_itself() -> None:
    server = ScriptedUpstream()
    with server:
        server.chats(saying(chunk("a", "stop")))
        async with running(server.url, refresh_seconds=3600) as found:
            engine = await found.ready()
            server.stop()
            heard = await answered(engine, asking("hi"))
            assert (heard.failed.code, heard.failed.recoverable) == ("engine_failed", True)
            await found.until(lambda: found.state() == "failed")


async def test_models_appear_and_go() -> None:
    with ScriptedUpstream(models("a", owned_by="vllm")) as server:
        async with running(server.url, max_models=2) as found:
            await found.ready("a")
            server.lists(models("b", "c", owned_by="vllm", max_model_len=9))
            engine = await found.ready("b")
            assert engine.offer().manifest == engine.manifest
            assert engine.manifest.context == 9
            await found.until(lambda: found.state("a") == "failed")
            assert found.note("a") == "the upstream offers it no more"
            server.lists(models("new", "a", "b", owned_by="vllm"))
            await found.ready("a")
            assert set(found.engines) == {"a", "b"}  # no more than max_models
            assert found.metrics.bound_hits.labels("upstream_models")._value.get() >= 1


async def test_a_list_that_cannot_be_had_is_no_matter_when_the_model_is_named() -> None:
    with ScriptedUpstream(None) as server:
        server.chats(
            answering(404, {"error": {"message": "no such model"}}), saying(chunk("a", "stop"))
        )
        async with running(server.url, "m") as found:
            heard = await answered(await found.ready(), asking("hi"))
            assert (heard.failed.code, heard.failed.recoverable) == ("model_not_found", False)
            await found.until(lambda: found.state() == "failed")
            assert "no such model" in found.note()
            server.lists(models("m"))
            assert (await answered(await found.ready(), asking("hi"))).text == "a"


@pytest.mark.parametrize(
    ("status", "body", "state", "note"),
    [
        (503, {"error": {"message": "Loading model"}}, "loading", "not ready .*: Loading model"),
        (401, {}, "failed", "wants a key .*--upstream-key-env"),
        (200, {"data": [{"id": "x", "owned_by": "vllm"}]}, "failed", "no such model; it lists x"),
        (200, {"data": [{"id": "x", "owned_by": "me"}]}, "ready", ""),
        (200, {"html": 1}, "ready", ""),
    ],
)
async def test_what_its_list_says_of_a_model_that_was_named(
    status: int, body: dict[str, object], state: str, note: str
) -> None:
    with ScriptedUpstream(None) as server:
        server.scripts["GET /v1/models"] = answering(status, body)
        async with running(server.url, "m") as found:
            await found.until(lambda: "being asked" not in found.note())
            assert found.state() == state
            assert re.search(note, found.note()) if note else not found.note()


# -- finding -------------------------------------------------------------------------------------


async def test_servers_of_this_machine_are_told_by_what_they_say() -> None:
    with ScriptedUpstream(None) as ollama, ScriptedUpstream() as llama, ScriptedUpstream() as other:
        ollama.scripts["GET /api/version"] = answering(200, {"version": "0.40.1"})
        tags = {"models": [{"name": "a"}, {"name": "b"}]}
        ollama.scripts["GET /api/tags"] = answering(200, tags)
        llama.lists(models("x", owned_by="llamacpp"))
        nobody = f"http://127.0.0.1:{free_port()}"
        found = await find((nobody, other.url, ollama.url, llama.url), 30)
        assert list(map(str, found)) == ["Ollama with 2 models", "a llama.cpp server with 1 model"]
        assert [one.url for one in found] == [f"{ollama.url}/v1", f"{llama.url}/v1"]
        ollama.scripts["GET /api/tags"] = answering(200, json.dumps("what").encode())
        assert await find((ollama.url,), 30) == []


async def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with ScriptedUpstream() as silent:
        silent.scripts["GET /api/version"] = Talk.wait_until_left
        with trio.fail_after(30):  # by itself it would say nothing for twice as long
            assert await find((silent.url,), 0.1) == []


def test_nothing_is_looked_for_elsewhere() -> None:
    check_places(("http://localhost:1", "http://[::1]:2"))
    with pytest.raises(ConfigError, match="not on this machine"):
        check_places(("http://10.0.0.1:11434",))
