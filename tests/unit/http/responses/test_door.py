"""The door's routes of the Responses API, before a fake node: asked, stored, read and deleted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.answers import CallPiece, Delta, Failed, Submission
from aiplat.domain.chat import Generate, Message
from aiplat.domain.errors import NoProcessor, NotReady, ProcessorLost
from aiplat.http.app import make_public_app
from aiplat.http.asgi import App
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import HOLD, TOKEN, FakeNode, Step, say_prompt, started, words
from tests.unit.http.asgi_client import GOOD, JSON, Answer, call, scope
from tests.unit.http.responses.helpers import exact_events, exact_response

PATH = "/v1/responses"


class House:
    """A front door before a fake node."""

    def __init__(self, **settings: Any) -> None:
        self.node = FakeNode()
        self.metrics = Metrics()
        self.app: App = make_public_app(
            self.node, replace(HttpSettings(), **settings), TOKEN, self.metrics
        )

    async def ask(self, *, key: str = "", path: str = PATH, **fields: Any) -> Answer:
        body = msgspec.json.encode({"model": "echo"} | fields)
        return await call(self.app, "POST", path, keyed(key, JSON), body)

    async def get(self, path: str, *, key: str = "", method: str = "GET") -> Answer:
        return await call(self.app, method, f"{PATH}/{path}", keyed(key, GOOD))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the last request showed to a model."""
        return self.work.messages

    @property
    def work(self) -> Generate:
        work = self.node.answers.asked[-1].submission.work
        assert isinstance(work, Generate)
        return work

    def let_in(self, *keys: str) -> None:
        self.node.keys |= dict.fromkeys(keys, ("inference",))


def keyed(key: str, headers: dict[str, str]) -> dict[str, str]:
    return headers | ({"authorization": f"Bearer {key}"} if key else {})


ANN, ANN_TOO, BOB = "sk-aip-ann-1", "sk-aip-ann-2", "sk-aip-bob-1"


async def test_a_whole_answer_is_stored_as_it_was_given() -> None:
    house = House()
    answer = await house.ask(input="one two", metadata={"a": "b"})
    assert answer.status == 200
    body = exact_response(answer.body)
    assert body["id"].removeprefix("resp_") == answer.headers["x-request-id"].removeprefix("req-")
    assert body["output"][0]["content"][0]["text"] == "one two "
    assert answer.headers["x-aiplat-attempts"] == "1"
    assert (await house.get(body["id"])).json == body
    assert [one.state for one in house.node.stored.puts] == ["ended"]


async def test_a_stream_ends_with_what_is_stored_then() -> None:
    house = House()
    answer = await house.ask(input="one two", stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert b"[DONE]" not in answer.body
    events = exact_events(answer.body)
    assert (await house.get(events[0]["response"]["id"])).json == events[-1]["response"]
    assert [one.state for one in house.node.stored.puts] == ["running"]


@pytest.mark.parametrize("stream", [True, False])
async def test_what_shall_not_be_stored_is_not(stream: bool) -> None:
    house = House()
    house.node.stored.not_ready = NotReady("The file is broken.")
    answer = await house.ask(input="one", stream=stream, store=False)
    assert answer.status == 200
    assert house.node.stored.puts == []
    house.node.stored.not_ready = None
    if not stream:
        assert (await house.get(answer.json["id"])).status == 404
        assert (await house.ask(input="x", previous_response_id=answer.json["id"])).status == 400


async def test_what_cannot_be_stored_is_refused_before_anybody_works_on_it() -> None:
    house = House()
    house.node.stored.not_ready = NotReady("The file is broken.", retry_after=5)
    answer = await house.ask(input="one")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert house.node.answers.asked == []


async def test_an_answer_goes_on_from_another() -> None:
    house = House()
    first = (await house.ask(input="one", instructions="Be brief.")).json["id"]
    second = (await house.ask(input="two", previous_response_id=first)).json
    assert second["previous_response_id"] == first
    assert house.messages == (
        Message("user", "one"), Message("assistant", "one "), Message("user", "two"),
    )  # fmt: skip
    await house.ask(
        input=[{"role": "user", "content": "three"}], previous_response_id=second["id"],
        instructions="Be kind.", stream=True,
    )  # fmt: skip
    assert house.messages[0] == Message("system", "Be kind.")
    assert [message.content for message in house.messages[1:]] == [
        "one", "one ", "two", "two ", "three",
    ]  # fmt: skip


async def test_a_call_is_answered_by_going_on() -> None:
    house = House()
    house.node.answers.script = lambda _: [
        started(), Delta((1,), calls=(CallPiece(0, "look", "{}"),)), words()[-1],
    ]  # fmt: skip
    tools = [{"type": "function", "name": "look"}]
    first = exact_response((await house.ask(input="look", tools=tools)).body)
    (item,) = first["output"]
    refused = await house.ask(input="and?", tools=tools, previous_response_id=first["id"])
    assert "No tool output found" in refused.error["message"]
    house.node.answers.script = say_prompt
    output = {"type": "function_call_output", "call_id": item["call_id"], "output": "seen"}
    await house.ask(input=[output], tools=tools, previous_response_id=first["id"])
    assert house.messages[-1] == Message("tool", "seen", call_id=item["call_id"], name="look")


async def test_a_users_answers_are_there_for_each_of_its_keys_and_nobody_elses() -> None:
    house = House()
    house.let_in(ANN, ANN_TOO, BOB)
    name = (await house.ask(input="one", key=ANN)).json["id"]
    assert (await house.get(name, key=ANN_TOO)).status == 200
    for key in (BOB, ""):
        theirs, none = await house.get(name, key=key), await house.get("resp_none", key=key)
        assert (theirs.status, none.status) == (404, 404)
        assert theirs.body.replace(name.encode(), b"") == none.body.replace(b"resp_none", b"")
        assert (await house.get(f"{name}/input_items", key=key)).status == 404
        assert (await house.get(name, key=key, method="DELETE")).status == 404
        assert (await house.ask(path=f"{PATH}/{name}/cancel", key=key)).status == 404
        refused = await house.ask(input="x", previous_response_id=name, key=key)
        assert (refused.status, refused.error["code"]) == (400, "previous_response_not_found")
    assert (await house.get(name, key=ANN)).status == 200


async def test_a_deleted_answer_is_gone_and_nobody_goes_on_from_it() -> None:
    house = House()
    first = (await house.ask(input="one")).json["id"]
    second = (await house.ask(input="two", previous_response_id=first)).json["id"]
    gone = await house.get(first, method="DELETE")
    assert gone.json == {"id": first, "object": "response", "deleted": True}
    assert (await house.get(first, method="DELETE")).status == 404
    refused = await house.ask(input="three", previous_response_id=second)
    assert refused.status == 400 and first in refused.error["message"]
    assert (await house.get(second)).status == 200


async def test_input_items_are_given_page_by_page() -> None:
    house = House()
    first = (await house.ask(input="one")).json["id"]
    second = await house.ask(
        input=[{"role": "user", "content": "two"}, {"role": "user", "content": "three"}],
        previous_response_id=first,
    )  # fmt: skip
    name = second.json["id"]
    page = (await house.get(f"{name}/input_items?order=asc")).json
    texts = [item["content"][0]["text"] for item in page["data"]]
    assert texts == ["one", "one ", "two", "three"]
    assert (page["object"], page["has_more"]) == ("list", False)
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    newest = (await house.get(f"{name}/input_items?limit=3")).json
    assert newest["data"] == page["data"][:0:-1]
    assert newest["has_more"]
    rest = (await house.get(f"{name}/input_items?limit=3&after={newest['last_id']}")).json
    assert rest["data"] == page["data"][:1]
    assert not rest["has_more"]
    end = (await house.get(f"{name}/input_items?after={rest['last_id']}")).json
    assert (end["data"], end["first_id"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
        ("limit=²", "limit"), ("order=up", "order"), ("after=msg_9", "after"),
        ("include=everything", "include[0]"), ("include[]=everything", "include[][0]"),
        ("limit=1&limit=2", "limit"), ("&".join(f"a{n}=1" for n in range(200)), None),
    ],
)  # fmt: skip
async def test_a_wrong_query_is_named(query: str, param: str | None) -> None:
    house = House()
    name = (await house.ask(input="one")).json["id"]
    answer = await house.get(f"{name}/input_items?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


async def test_what_is_not_given_of_a_stored_answer() -> None:
    house = House()
    name = (await house.ask(input="one")).json["id"]
    streamed = await house.get(f"{name}?stream=true")
    assert streamed.error["code"] == "unsupported_parameter"
    assert (await house.get(f"{name}?include[]=message.output_text.logprobs")).status == 200
    cancelled = await house.ask(path=f"{PATH}/{name}/cancel")
    assert cancelled.status == 400 and "cannot be cancelled" in cancelled.error["message"]
    assert (await house.get(f"{name}/elsewhere")).status == 404
    assert (await house.get("")).status == 404
    assert (await house.ask(path=f"{PATH}/{name}")).status == 405
    assert (await house.get("", method="PUT")).status == 405


async def test_tokens_are_counted_and_nothing_is_stored() -> None:
    house = House()
    first = (await house.ask(input="one")).json["id"]
    answer = await house.ask(path=f"{PATH}/input_tokens", input="two", previous_response_id=first)
    assert answer.json == {"object": "response.input_tokens", "input_tokens": 5}
    assert house.work.only_count and house.work.sampling.max_tokens == 1
    assert len(house.messages) == 3
    assert len(house.node.stored.puts) == 1


async def test_a_failure_before_the_first_token_is_a_plain_error_and_nothing_is_stored() -> None:
    house = House()
    house.node.answers.script = lambda _: [started(), Failed.of(NoProcessor("Nobody."))]
    for stream in (True, False):
        answer = await house.ask(input="one", stream=stream)
        assert (answer.status, answer.error["code"]) == (503, "no_processor")
    assert house.node.stored.puts == []


async def test_a_failure_amid_a_stream_is_its_last_event_and_is_stored() -> None:
    house = House()

    def script(_: Submission) -> list[Step]:
        return [started(), Delta((1,), "half"), Failed.of(ProcessorLost("It left."))]

    house.node.answers.script = script
    answer = await house.ask(input="one", stream=True)
    events = exact_events(answer.body)
    assert events[-1]["type"] == "response.failed"
    stored = (await house.get(events[0]["response"]["id"])).json
    assert stored == events[-1]["response"]
    refused = await house.ask(input="x", previous_response_id=stored["id"])
    assert "its status is failed" in refused.error["message"]


async def test_who_leaves_finds_what_had_come() -> None:
    house = House()

    def script(_: Submission) -> list[Step]:
        return [started(), Delta((1,), "half"), HOLD, *words("rest")[-2:]]

    house.node.answers.script = script
    body = msgspec.json.encode({"input": "one", "stream": True})
    seen, sent = trio.Event(), list[bytes]()
    to_app = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if to_app:
            return to_app.pop()
        await seen.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if b"half" in sent[-1]:
            seen.set()

    headers = JSON | {"content-length": str(len(body))}
    with trio.fail_after(20):
        await house.app(scope("POST", PATH, headers), receive, send)
    name = exact_events(b"".join(sent))[0]["response"]["id"]
    stored = exact_response((await house.get(name)).body)
    assert stored["status"] == "cancelled"
    assert stored["output"][0]["content"][0]["text"] == "half"
    assert house.node.answers.asked[0].cancelled.is_set()
    house.node.answers.script = say_prompt
    assert (await house.ask(input="go on", previous_response_id=name)).status == 200
    assert [message.content for message in house.messages] == ["one", "half", "go on"]


async def test_one_that_died_with_its_node_has_failed() -> None:
    house = House()
    await house.ask(input="one", stream=True)
    (begun,) = house.node.stored.puts
    house.node.stored.put(replace(begun, state="died"))
    answer = exact_response((await house.get(begun.id)).body)
    assert (answer["status"], answer["output"]) == ("failed", [])
    assert answer["error"]["code"] == "server_error"
    house.node.stored.put(begun)
    refused = await house.ask(input="x", previous_response_id=begun.id)
    assert "its status is in_progress" in refused.error["message"]


async def test_all_that_it_goes_on_from_has_to_fit_the_wire() -> None:
    house = House(max_body_bytes=1000)
    first = (await house.ask(input="x" * 600)).json["id"]
    answer = await house.ask(input="y" * 200, previous_response_id=first)
    assert (answer.status, answer.error["param"]) == (413, "previous_response_id")
    assert house.metrics.bound_hits.labels("http_body")._value.get() == 1


async def test_nobody_asks_without_a_key() -> None:
    house = House()
    for method, path in (("POST", PATH), ("GET", f"{PATH}/x"), ("DELETE", f"{PATH}/x")):
        answer = await call(house.app, method, path, {"host": "127.0.0.1:8777"})
        assert answer.status == 401


async def test_a_long_conversation_is_read_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    short = msgspec.json.decode((await house.ask(input="short")).body)["id"]
    long = msgspec.json.decode((await house.ask(input="word " * 60_000)).body)["id"]
    threads: list[object] = []
    to_thread = trio.to_thread.run_sync

    async def counted(work: Any, *args: Any, **options: Any) -> Any:
        threads.append(work)
        return await to_thread(work, *args, **options)

    monkeypatch.setattr(trio.to_thread, "run_sync", counted)
    assert (await house.ask(input="on", previous_response_id=short)).status == 200
    assert not threads
    assert (await house.ask(input="on", previous_response_id=long)).status == 200
    assert len(threads) == 1
    assert [one.role for one in house.messages] == ["user", "assistant", "user"]
    assert (await house.get(f"{long}/input_items")).status == 200
    assert len(threads) == 2
