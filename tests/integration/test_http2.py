"""HTTP/2 at the front door: what its own flow control lets a client do, and what it may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.connection
import h2.events
import h2.settings
import pytest
import trio

from aiplat.http.certificate import Certificate
from aiplat.http.settings import HttpSettings
from tests.integration.test_http_streams import endless, held, until_still
from tests.integration.test_http_tls import Tls, bound_hits, h2_ask, h2_client, h2_data, secured
from tests.support.certificates import Authority
from tests.support.fake_node import Door, FakeNode, open_door

GET = [(":method", "GET"), (":path", "/healthz"), (":authority", "localhost"),
       (":scheme", "https")]  # fmt: skip
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


class Client:
    """One connection, its bytes on the way by hand."""

    def __init__(self, door: Door, tls: Tls, window: int | None = None) -> None:
        self.tls = tls
        self.h2 = h2_client(door)
        if window is not None:
            self.h2.update_settings({WINDOW: window})
        self.events: list[h2.events.Event] = []

    async def send(self) -> None:
        await self.tls.send_all(self.h2.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """Read until something of that kind comes; gives no room for more meanwhile."""
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            data = await self.tls.receive_some()
            assert data, f"closed before a {kind.__name__}"
            self.events += self.h2.receive_data(bytes(data))
            await self.send()

    async def ask(self, *, stream: bool = True) -> int:
        number = h2_ask(self.h2, stream=stream)
        await self.send()
        return number


@asynccontextmanager
async def talking(
    folder: Path, node: FakeNode, settings: HttpSettings, window: int | None = None
) -> AsyncIterator[tuple[Door, Client]]:
    authority = Authority(folder)
    files = authority.pair("localhost", "127.0.0.1")
    shown = Certificate(files.certificate, files.key)
    async with (
        open_door(node, settings, shown) as door,
        secured(door, authority, "h2") as tls,
    ):
        yield door, Client(door, tls, window)


@pytest.mark.parametrize("window", [0, 1, 5000])
async def test_who_gives_no_room_holds_back_only_itself(tmp_path: Path, window: int) -> None:
    """However little it takes at once, what it does not take is not kept for it."""
    async with talking(tmp_path, FakeNode(endless), HttpSettings(), window) as (door, client):
        await client.ask()
        await client.until(h2.events.ResponseReceived)
        said = await until_still(door)
        assert said * 2000 < 32_000_000


async def test_a_stream_whose_reader_takes_nothing_is_cut_and_no_other(tmp_path: Path) -> None:
    settings = HttpSettings(stalled_seconds=0.3)
    async with talking(tmp_path, FakeNode(endless), settings, 0) as (door, client):
        number = await client.ask()
        reset = await client.until(h2.events.StreamReset)
        assert isinstance(reset, h2.events.StreamReset)
        assert reset.stream_id == number
        asking = await door.node.answers.next_asking()
        with trio.fail_after(20):
            await asking.cancelled.wait()
        assert bound_hits(door, "http_stalled") == 1
        client.h2.update_settings({WINDOW: 60_000})
        client.h2.send_headers(number + 2, GET, end_stream=True)
        await client.send()
        assert b"ok" in await h2_data(client.tls, client.h2, b"ok")


async def test_an_answer_whose_reader_takes_nothing_at_its_end_is_cut_too(tmp_path: Path) -> None:
    settings = HttpSettings(stalled_seconds=0.3)
    async with talking(tmp_path, FakeNode(), settings, 0) as (door, client):
        await client.ask(stream=False)
        await client.until(h2.events.StreamReset)
        assert bound_hits(door, "http_stalled") == 1


async def test_a_deadline_ends_a_stream_without_room_too(tmp_path: Path) -> None:
    """The last event, which says so, is not taken either."""
    settings = HttpSettings(stalled_seconds=0.5, deadline_seconds=0.2)
    async with talking(tmp_path, FakeNode(endless), settings, 0) as (door, client):
        await client.ask()
        await client.until(h2.events.StreamReset)
        asking = await door.node.answers.next_asking()
        with trio.fail_after(20):
            await asking.cancelled.wait()


async def test_such_a_reader_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with talking(tmp_path, FakeNode(endless), HttpSettings(), 0) as (door, client):
            await client.ask()
            await until_still(door)


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_takes_back_what_it_asked_and_says_nothing_more_is_cut(
    tmp_path: Path, at_once: bool
) -> None:
    settings = HttpSettings(keep_alive_seconds=0.3)
    async with talking(tmp_path, FakeNode(held), settings) as (_, client):
        number = h2_ask(client.h2, stream=True)
        if not at_once:
            await client.send()
            await client.until(h2.events.DataReceived)
        client.h2.reset_stream(number)
        await client.send()
        with trio.fail_after(20):
            while await client.tls.receive_some():
                pass


async def test_a_request_with_too_large_a_head_ends_its_connection(tmp_path: Path) -> None:
    settings = HttpSettings(max_header_bytes=2000)
    async with talking(tmp_path, FakeNode(), settings) as (_, client):
        client.h2.send_headers(1, [*GET, ("x", "y" * 1000)], end_stream=True)
        await client.send()
        await client.until(h2.events.DataReceived)
        client.h2.send_headers(3, [*GET, ("x", "y" * 3000)], end_stream=True)
        await client.send()
        await client.until(h2.events.ConnectionTerminated)
