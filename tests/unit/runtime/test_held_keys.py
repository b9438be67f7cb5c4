"""The keys that a node shows to gateways: read from the keyring at times, and at once at hand."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from aiplat.accounts.secret_forms import new_secret
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.errors import NoKeyring
from aiplat.credentials.held import Held
from aiplat.domain.errors import NotReady
from aiplat.domain.ids import PeerId
from aiplat.runtime.held_keys import AGAIN_SECONDS, HeldKeys
from tests.unit.accounts.helpers import GATEWAY, OTHER_GATEWAY, Clock, refused
from tests.unit.credentials.fake_keyring import FakeKeyring

OURS, THEIRS = PeerId(GATEWAY), PeerId(OTHER_GATEWAY)
KEY, THEIR_KEY = new_secret("sk", GATEWAY)[0], new_secret("sk", OTHER_GATEWAY)[0]


class Node:
    """A node with a keyring; `held` are its keys."""

    def __init__(self, folder: Path, own: str = "") -> None:
        self.ring = FakeKeyring()
        self.clock = Clock()
        self.credentials = Credentials(PeerId("me"), folder, open_keyring=lambda: self.ring)
        self.held = HeldKeys(self.credentials, own, self.clock.now)

    def keeps(self, secret: str, *gateways: PeerId, name: str = "k", **fields: Any) -> None:
        held = Held(kind="key", id=name, name=name, gateways=gateways, **fields)
        self.credentials.keep(held, secret)

    @property
    def reads(self) -> int:
        return self.ring.calls.count("get")


async def test_each_gateway_has_its_own(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.keeps(KEY, OURS)
    node.keeps(THEIR_KEY, THEIRS, name="l")
    assert node.held.for_gateway(OURS) == "", "nothing was read yet"
    await node.held.ready()
    assert node.held.for_gateway(OURS) == KEY
    assert node.held.for_gateway(THEIRS) == THEIR_KEY
    assert node.held.for_gateway(PeerId("third")) == ""


async def test_they_are_read_once_and_again_when_one_came(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.keeps(KEY, OURS)
    for _ in range(3):
        await node.held.ready()
    before = node.reads
    node.clock.passes(10 * AGAIN_SECONDS)
    await node.held.ready()
    assert node.reads == before
    node.keeps(THEIR_KEY, THEIRS, name="l")
    assert node.held.for_gateway(THEIRS) == ""
    await node.held.refresh()
    assert node.held.for_gateway(THEIRS) == THEIR_KEY
    node.credentials.forget("key", "l")
    await node.held.refresh()
    assert node.held.for_gateway(THEIRS) == ""


async def test_sessions_are_no_keys(tmp_path: Path) -> None:
    node = Node(tmp_path)
    session = Held(kind="session", id="s", gateways=(OURS,))
    node.credentials.keep(session, new_secret("ses", GATEWAY)[0])
    await node.held.ready()
    assert node.held.for_gateway(OURS) == ""


async def test_the_environments_key_comes_first_where_it_may(tmp_path: Path) -> None:
    own = new_secret("sk", GATEWAY)[0]
    node = Node(tmp_path, own)
    node.keeps(KEY, OURS)
    node.keeps(THEIR_KEY, THEIRS, name="l")
    assert node.held.for_gateway(OURS) == own, "before anything is read"
    await node.held.ready()
    assert node.held.for_gateway(OURS) == own
    assert node.held.for_gateway(THEIRS) == THEIR_KEY
    for nonsense in ("nonsense", own[:-1]):
        node.held = HeldKeys(node.credentials, nonsense, node.clock.now)
        await node.held.ready()
        assert node.held.for_gateway(OURS) == KEY


async def test_a_keyring_that_cannot_be_read_is_tried_again_after_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(tmp_path)
    node.keeps(KEY, OURS)
    works = [False]

    def opens() -> FakeKeyring:
        if not works[0]:
            raise NoKeyring("The keyring is locked.", "Unlock it.")
        return node.ring

    node.credentials = Credentials(PeerId("me"), tmp_path, open_keyring=opens)
    node.held = HeldKeys(node.credentials, "", node.clock.now)
    await node.held.ready()
    with refused(NotReady, "kept for the gateway .* cannot be read. The keyring is locked") as said:
        node.held.for_gateway(OURS)
    assert said.value.retry_after == AGAIN_SECONDS
    assert node.held.for_gateway(THEIRS) == "", "nothing is kept for that one"
    assert len(caplog.records) == 1
    assert "The keyring is locked" in caplog.records[0].message
    assert KEY[8:] not in caplog.text
    works[0] = True
    node.credentials.report()  # a person unlocked it, and a command looked
    await node.held.ready()
    with refused(NotReady, "locked"):  # it was tried a moment ago
        node.held.for_gateway(OURS)
    node.clock.passes(AGAIN_SECONDS)
    await node.held.ready()
    assert node.held.for_gateway(OURS) == KEY


async def test_one_that_is_spoiled_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(tmp_path)
    gateways = [PeerId(f"gateway{n}") for n in range(5)]
    for number, gateway in enumerate(gateways):
        node.keeps(f"sk-{number}", gateway, name=f"k{number}")
    place = next(place for place, secret in node.ring.kept.items() if secret == "sk-2")
    del node.ring.kept[place]
    await node.held.ready()
    spoiled = gateways.pop(2)
    found = [node.held.for_gateway(gateway) for gateway in gateways]
    assert found == ["sk-0", "sk-1", "sk-3", "sk-4"]
    with refused(NotReady, "The secret of the key k2 is gone from the keyring"):
        node.held.for_gateway(spoiled)
    assert "The secret of the key k2 is gone from the keyring" in caplog.text


async def test_a_broken_index_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = Node(tmp_path)
    node.keeps(KEY, OURS)
    (tmp_path / "credentials.json").write_text("{")
    await node.held.ready()
    for gateway in (OURS, THEIRS):  # nobody knows which has one
        with refused(NotReady, "credentials.json"):
            node.held.for_gateway(gateway)
    assert "credentials.json" in caplog.text


async def test_who_comes_while_they_are_read_waits(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.keeps(KEY, OURS)
    reading, go_on = threading.Event(), threading.Event()

    def before(call: str) -> None:
        if call == "get":
            reading.set()
            assert go_on.wait(20)

    node.ring.before = before
    found: list[str] = []

    async def asks() -> None:
        await node.held.ready()
        found.append(node.held.for_gateway(OURS))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asks)
            await trio.to_thread.run_sync(reading.wait, 20)
            nursery.start_soon(asks)
            await trio.testing.wait_all_tasks_blocked()
            assert found == []
            go_on.set()
    assert found == [KEY, KEY]


async def test_of_several_for_one_gateway_the_newest_that_holds(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.keeps("sk-old", OURS, name="a", made=1)
    node.keeps("sk-new", OURS, name="b", made=2)
    node.keeps("sk-expired", OURS, name="c", made=3, expires=4)
    await node.held.ready()
    assert node.held.for_gateway(OURS) == "sk-new"
