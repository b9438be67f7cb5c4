"""The Responses API of real nodes, by the official `openai` client, and what they store."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseOutputMessage
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from aiplat.control.accounts import KeyRotate, NewKey, UserName
from aiplat.control.messages import Done
from tests.support.accounts_home import AccountsHome, control
from tests.support.nodes import RunningNode, wait_for_model
from tests.support.waiting import eventually

ALONE = ("--listen", "/ip4/127.0.0.1/tcp/0", "--model", "echo")
SECRET = "quizzical-heliotrope"


class House:
    """A gateway with two users and the owner, and a client for each."""

    def __init__(self, folder: Path, rate: str = "0") -> None:
        self.home = AccountsHome(folder, ("ann", "bob"))
        self.rate = rate
        self.node = self.start()

    def start(self) -> RunningNode:
        self.node = RunningNode(self.home.path, *ALONE, "--echo-rate", self.rate)
        wait_for_model(self.node)
        return self.node

    @contextlib.contextmanager
    def client(self, name: str = "", key: str = "") -> Iterator[openai.OpenAI]:
        key = key or (self.home.people[name].key if name else self.node.token)
        url = f"{self.node.status['http']}/v1"
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60) as client:
            yield client

    def rows(self, owner: str) -> int:
        """How many answers lie in the file for a user, told beside the node's back."""
        db = sqlite3.connect(self.home.path / "data" / "stored.db", timeout=10)
        with contextlib.closing(db):
            query = "SELECT count(*) FROM answers WHERE owner = ?"
            return int(db.execute(query, [owner]).fetchone()[0])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("responses") / "g")
    try:
        yield made
    finally:
        made.node.close()


def test_it_is_asked_retrieved_continued_and_deleted(house: House) -> None:
    with house.client("ann") as client:
        first = client.responses.create(model="echo", input="one two", metadata={"a": "b"})
        assert first.output_text.strip() == "one two"
        assert (first.status, first.metadata, first.usage and first.usage.output_tokens > 0) == (
            "completed", {"a": "b"}, True,
        )  # fmt: skip
        assert client.responses.retrieve(first.id) == first
        more: list[ResponseInputItemParam] = [{"role": "user", "content": "three"}]
        second = client.responses.create(model="echo", input=more, previous_response_id=first.id)
        assert second.previous_response_id == first.id
        items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
        assert [item.type for item in items] == ["message"] * 3, "over two pages"
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="echo", input="four", previous_response_id=second.id)
        assert caught.value.code == "previous_response_not_found"


def test_its_stream_helper_gathers_what_a_whole_answer_says(house: House) -> None:
    with house.client("ann") as client:
        with client.responses.stream(model="echo", input="one two three") as stream:
            events = list(stream)
            final = stream.get_final_response()
        types = [event.type for event in events]
        assert types[:4] == [
            "response.created", "response.in_progress", "response.output_item.added",
            "response.content_part.added",
        ]  # fmt: skip
        assert types[-1] == "response.completed"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        text = "".join(
            event.delta for event in events if event.type == "response.output_text.delta"
        )
        assert text == final.output_text
        whole = client.responses.create(model="echo", input="one two three")
        assert whole.output_text == text
        kept = client.responses.retrieve(final.id)
        assert (kept.output_text, kept.usage) == (text, final.usage)


def test_another_users_key_finds_nothing_and_the_same_users_other_key_all(house: House) -> None:
    with house.client("bob") as client:
        name = client.responses.create(model="echo", input="one").id
    for other in ("ann", ""):
        with house.client(other) as client:
            for act in (client.responses.retrieve, client.responses.delete,
                        client.responses.cancel):  # fmt: skip
                with pytest.raises(openai.NotFoundError):
                    act(name)
    wish = KeyRotate(key="work", user="bob", overlap_seconds=0)
    key = control(house.node).accounts("keys.rotate", wish, NewKey).key
    with house.client(key=key) as client:
        assert client.responses.retrieve(name).output_text.strip() == "one"
        with pytest.raises(openai.BadRequestError, match="cannot be cancelled"):
            client.responses.cancel(name)


def test_what_shall_not_be_stored_is_nowhere(house: House) -> None:
    with house.client("ann") as client:
        answer = client.responses.create(model="echo", input=SECRET, store=False)
        with client.responses.stream(model="echo", input=SECRET, store=False) as stream:
            streamed = stream.until_done().get_final_response()
        for name in (answer.id, streamed.id):
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(name)
    paths = [path for path in house.home.path.rglob("*") if path.is_file()]
    assert not [path for path in paths if SECRET.encode() in path.read_bytes()]


def test_the_file_is_its_owners_alone_and_no_log_holds_a_prompt(house: House) -> None:
    with house.client() as client:
        name = client.responses.create(model="echo", input="mauve-xylophone").id
        assert client.responses.retrieve(name).status == "completed"
    data = house.home.path / "data"
    found = list(data.glob("stored.db*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    logs = list(house.home.path.rglob("*.jsonl"))
    assert logs and not [path for path in logs if b"mauve-xylophone" in path.read_bytes()]
    assert "mauve-xylophone" not in house.node.stderr


def test_tokens_are_counted(house: House) -> None:
    with house.client("ann") as client:
        short = client.responses.input_tokens.count(model="echo", input="one")
        long = client.responses.input_tokens.count(model="echo", input="one two three four five")
    assert short.object == "response.input_tokens"
    assert 0 < short.input_tokens < long.input_tokens


def test_what_is_not_supported_is_refused_by_name(house: House) -> None:
    refused: list[dict[str, Any]] = [
        {"background": True}, {"conversation": "conv_1"}, {"tools": [{"type": "web_search"}]},
        {"truncation": "auto"}, {"reasoning": {"effort": "high"}},
    ]  # fmt: skip
    with house.client("ann") as client:
        for fields in refused:
            with pytest.raises(openai.BadRequestError) as caught:
                client.responses.create(model="echo", input="one", **fields)
            assert caught.value.code == "unsupported_parameter"
            assert (caught.value.param or "").startswith(next(iter(fields)))


def test_a_deleted_account_takes_its_answers_along(house: House) -> None:
    with house.client("bob") as client, contextlib.suppress(openai.AuthenticationError):
        client.responses.create(model="echo", input="one")
    owner = house.home.people["bob"].id
    assert eventually(lambda: house.rows(owner) > 0)
    control(house.node).accounts("users.delete", UserName(name="bob"), Done)
    eventually(lambda: house.rows(owner) == 0)
    assert house.rows(house.home.people["ann"].id) > 0


def test_answers_outlive_a_restart_and_end_also_with_their_reader_or_their_node(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "g", rate="20")
    words = " ".join(["word"] * 400)
    try:
        with house.client("ann") as client:
            whole = client.responses.create(model="echo", input="one", stream=False)
            left = client.responses.create(model="echo", input=words, stream=True)
            left_id = next(iter(left)).response.id  # type: ignore[union-attr]  # it begins so
            assert client.responses.retrieve(left_id).status == "in_progress"
            left.close()
            eventually(lambda: client.responses.retrieve(left_id).status == "cancelled")
            died = client.responses.create(model="echo", input=words, stream=True)
            died_id = next(iter(died)).response.id  # type: ignore[union-attr]  # it begins so
            assert client.responses.retrieve(died_id).status == "in_progress"
            house.node.kill()
            died.close()
        house.node.close()
        house.start()
        with house.client("ann") as client:
            assert client.responses.retrieve(whole.id) == whole
            cut = client.responses.retrieve(left_id)
            assert cut.status == "cancelled"
            (item,) = cut.output
            assert isinstance(item, ResponseOutputMessage)
            assert item.status == "incomplete"
            failed = client.responses.retrieve(died_id)
            assert (failed.status, failed.output) == ("failed", [])
            assert failed.error is not None
            more = client.responses.create(model="echo", input="two", previous_response_id=whole.id)
            assert more.output_text == "one\none\ntwo", "the echo of all that it was shown"
    finally:
        house.node.close()
