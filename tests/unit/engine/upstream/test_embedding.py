"""Vectors of an upstream on a real socket: asked for in slices, given length 1, never trusted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel

from aiplat.domain.usage import Usage
from aiplat.engine.backends.upstream.abilities import read_abilities
from tests.support.upstreams import ScriptedUpstream, Talk, answering, models, saying
from tests.support.upstreams import chunk as chat_chunk
from tests.unit.engine.hearing import Heard, asking
from tests.unit.engine.test_vector_desk import embed
from tests.unit.engine.upstream.running import SECONDS, Waited, answered, running

PATH = "/v1/embeddings"


def body(*vectors: list[float], prompt: int = 3, **more: Any) -> dict[str, Any]:
    """An answer, as OpenAI writes it."""
    data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
    return {"data": data, "usage": {"prompt_tokens": prompt, "total_tokens": prompt}} | more


def numbers(heard: Heard) -> list[tuple[float, ...]]:
    return [
        struct.unpack(f"<{len(vector) // 4}f", vector)
        for delta in heard.deltas
        for vector in delta.vectors
    ]


def each(talk: Talk) -> None:
    """Give each text a vector by its number."""
    vectors = [[3.0, 4.0 * int(text)] for text in talk.body["input"]]
    talk.answer(200, body(*vectors, prompt=len(vectors)))


async def heard_of(script: Callable[[Talk], object], *inputs: str, **more: Any) -> Heard:
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = script
        async with running(server.url) as found:
            engine = await found.ready()
            return await answered(engine, embed(*(inputs or ("a",)), **more))


async def test_they_pass_through_with_the_upstreams_own_count() -> None:
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = answering(200, body([3.0, 4.0], [0.0, 2.0], prompt=5))
        async with running(server.url) as found:
            engine = await found.ready()
            assert {"generate", "embed"} <= set(engine.offer().can)
            heard = await answered(engine, embed("one", "two", dimensions=2))
        (talk,) = [talk for talk in server.talks if talk.path == PATH]
        assert talk.body == {
            "model": "m", "input": ["one", "two"], "encoding_format": "float", "dimensions": 2,
        }  # fmt: skip
    assert numbers(heard) == [pytest.approx((0.6, 0.8)), (0.0, 1.0)]
    assert heard.finished.usage == Usage(5, 0, exact=False)
    assert not heard.started.exact


async def test_many_texts_go_in_slices_and_come_in_order() -> None:
    texts = [str(number) for number in range(70)]
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = each
        async with running(server.url) as found:
            heard = await answered(await found.ready(), embed(*texts, credit=10**6))
        asked = [len(talk.body["input"]) for talk in server.talks if talk.path == PATH]
    assert asked == [32, 32, 6]
    ratios = [y / x for x, y in numbers(heard)]
    assert ratios == [pytest.approx(4 * number / 3) for number in range(70)]
    assert heard.finished.usage == Usage(70, 0, exact=False)


async def test_no_slice_is_asked_for_before_the_last_was_taken() -> None:
    texts = [str(number) for number in range(64)]
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = each
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            under_way = engine.submit(embed(*texts, credit=16), heard)
            with trio.fail_after(SECONDS):
                while len(numbers(heard)) < 2:
                    await trio.sleep(0.01)
            for _ in range(31):
                assert [talk.path for talk in server.talks].count(PATH) == 1
                under_way.accept(1, 8)
                await trio.lowlevel.checkpoint()
            under_way.accept(1, 1000)
            await heard.end()
    assert len(numbers(heard)) == 64


async def test_rows_are_put_in_order_by_their_index() -> None:
    answer = body([1.0, 0.0], [0.0, 1.0])
    answer["data"].reverse()
    heard = await heard_of(answering(200, answer), "one", "two")
    assert numbers(heard) == [(1.0, 0.0), (0.0, 1.0)]


def huge(talk: Talk) -> None:
    talk.head(200, content_type="application/json")
    try:
        for _ in range(40):
            talk.raw(b" " * (1 << 20))
    except OSError:
        pass  # it is not read to the end


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (answering(200, b"<html>"), "sent what is no list of embeddings"),
        (answering(200, b"[" * 100_000), "sent what is no list of embeddings"),
        (answering(200, {"data": [{"embedding": "AAAA"}]}), "sent what is no list of embeddings"),
        (answering(200, body()), "sent 0 vectors for 1 texts"),
        (answering(200, body([1.0], [1.0])), "sent 2 vectors for 1 texts"),
        (answering(200, body([])), "sent a vector of 0 numbers"),
        (answering(200, body([0.0, 0.0])), "sent a vector that has no length"),
        (answering(200, body([1e300, 1e300])), "sent a vector that has no length"),
        (answering(200, {"data": [{"embedding": [1.0], "index": 7}]}), "which vector is of which"),
        (huge, "sent more than 16777216 bytes"),
    ],
)
async def test_what_are_no_vectors_fails(script: Callable[[Talk], object], words: str) -> None:
    heard = await heard_of(script)
    assert heard.failed.code == "engine_failed"
    assert words in heard.failed.message
    assert heard.deltas == []


async def test_vectors_of_two_sizes_fail() -> None:
    heard = await heard_of(answering(200, body([1.0, 2.0], [1.0])), "a", "b")
    assert "sent a vector of 1 numbers" in heard.failed.message


async def test_dimensions_that_are_not_honoured_are_told() -> None:
    heard = await heard_of(answering(200, body([1.0, 2.0, 3.0])), dimensions=2)
    assert (heard.failed.code, heard.failed.param) == ("unsupported_parameter", "dimensions")


async def test_a_window_that_holds_no_two_vectors_is_refused() -> None:
    heard = await heard_of(answering(200, body([1.0] * 200)), credit=1000)
    assert (heard.failed.code, heard.failed.param) == ("invalid_request", "credit")


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (404, {"error": {"message": "no such route"}}, "unsupported_parameter"),
        (501, {"error": "This server does not support embeddings."}, "unsupported_parameter"),
        (400, {"error": {"message": "this model is not for embeddings"}}, "invalid_request"),
        (500, {"error": {"message": "broke"}}, "engine_failed"),
        (429, {"error": {"message": "slower"}}, "overloaded"),
    ],
)
async def test_what_it_refuses_is_passed_on_and_its_model_still_answers(
    status: int, told: dict[str, Any], code: str
) -> None:
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = answering(status, told)
        server.chats(saying(chat_chunk("hi"), chat_chunk(None, "stop")))
        async with running(server.url) as found:
            engine = await found.ready()
            heard = await answered(engine, embed("a"))
            assert heard.failed.code == code
            assert found.state() == "ready"
            assert (await answered(engine, asking("hello"))).text == "hi"


async def test_a_cancel_leaves_the_upstream() -> None:
    left: list[bool] = []

    def waits(talk: Talk) -> None:
        left.append(talk.wait_until_left())

    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = waits
        async with running(server.url) as found:
            engine, heard = await found.ready(), Waited()
            under_way = engine.submit(embed("a"), heard)
            with trio.fail_after(SECONDS):
                while not any(talk.path == PATH for talk in server.talks):
                    await trio.sleep(0.01)
            under_way.cancel()
            await heard.end()
            with trio.fail_after(SECONDS):
                while not left:
                    await trio.sleep(0.01)
    assert heard.finished.reason == "cancelled"
    assert left == [True]


async def test_one_that_does_not_answer_in_time_is_late() -> None:
    with ScriptedUpstream(models("m")) as server:
        server.scripts[f"POST {PATH}"] = lambda talk: talk.wait_until_left()
        async with running(server.url, first_token_seconds=0.2) as found:
            heard = await answered(await found.ready(), embed("a"))
    assert heard.failed.code == "deadline_exceeded"
    assert "upstream.first_token_seconds" in heard.failed.message


def test_only_what_is_needed_is_sent() -> None:
    from aiplat.engine.backends.upstream.vectors import request_body

    work = embed("a", truncate=True).work
    assert json.loads(request_body("m", work, 0, "vllm"))["truncate_prompt_tokens"] == -1  # type: ignore[arg-type]  # it is one
    assert "truncate_prompt_tokens" not in json.loads(request_body("m", work, 0, "ollama"))  # type: ignore[arg-type]  # it is one


# -- what Ollama says of its models ----------------------------------------------------------------


def shows(talk: Talk) -> None:
    """As Ollama answers ``/api/show``."""
    does = {"chats": ["completion", "tools"], "embeds": ["embedding"], "odd": ["vision"]}
    told = does.get(talk.body["model"])
    talk.answer(200, {"modelfile": "x" * 1000} | ({} if told is None else {"capabilities": told}))


async def test_an_ollama_tells_what_each_model_does_and_is_asked_once() -> None:
    listed = models("chats", "embeds", "odd", "old", owned_by="library")
    with ScriptedUpstream(listed) as server:
        server.scripts["POST /api/show"] = shows
        async with running(server.url) as found:
            can = {}
            for name in ("chats", "embeds", "odd", "old"):
                can[name] = (await found.ready(name)).offer().can
            looks = [talk.path for talk in server.talks].count("/v1/models")
            with trio.fail_after(SECONDS):  # looked at again, and not asked again
                while [talk.path for talk in server.talks].count("/v1/models") < looks + 3:
                    await trio.sleep(0.01)
        asked = [talk.body["model"] for talk in server.talks if talk.path == "/api/show"]
    assert can["chats"] == ("generate", "tools", "grammar")
    assert can["embeds"] == ("embed",)
    assert can["odd"] == can["old"] == ("generate", "tools", "grammar", "embed")
    assert asked == ["chats", "embeds", "odd", "old"]


async def test_one_that_shows_nothing_may_do_all() -> None:
    with ScriptedUpstream(models("m", owned_by="library")) as server:
        async with running(server.url) as found:
            assert len((await found.ready()).offer().can) == 4


async def test_another_server_is_not_asked() -> None:
    with ScriptedUpstream(models("m", owned_by="vllm")) as server:
        async with running(server.url) as found:
            await found.ready()
        assert {talk.path for talk in server.talks} == {"/v1/models"}


@pytest.mark.parametrize("data", [b"", b"[", b"[1]", b'{"capabilities": 7}', b"{}"])
def test_what_says_nothing(data: bytes) -> None:
    assert read_abilities(data) == ()
