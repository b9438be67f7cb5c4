"""Text from right to left and wide signs on whole screens: every line keeps its cells."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from aiplat.control.history import ConversationSummary, HistoryList
from aiplat.control.machine import LogLine, LogReply
from aiplat.control.messages import Accepted, PeerList, PeerStatus
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.usage import Usage
from aiplat.tui.app import PANES, AiplatApp
from aiplat.tui.chat.pane import ChatPane
from aiplat.tui.chat.sidebar import Sidebar
from tests.support.chat_scene import chat_link, talk
from tests.support.fake_node import MANIFEST
from tests.support.frames import cells, whole
from tests.support.keys_scene import link_of as keys_link
from tests.support.peers_scene import RELAYED, network_link, node
from tests.support.screens import (
    NOW,
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    running,
    settled,
    text_of,
    until,
)
from tests.tui.test_logs import Log
from tests.tui.usage_data import link as usage_link

HEBREW = "שלום עולם, מה שלומך היום?"
ARABIC = "مَرْحَبًا بالعالم: ١٢٣"  # with signs above and below, which take no cell
WIDE = "漢字とかな 모델 ＡＢＣ 🦊🚀"
TURNED = f"abc\u202e{HEBREW}\u202c \u2067{ARABIC}\u2069 cafe\u0301"
"""With what turns the way of writing round: it must not reach the terminal."""
LONG = f"{WIDE} {HEBREW} {ARABIC} {TURNED} " * 6
ANSWER = (
    f"# {HEBREW}\n\n{LONG}\n\n> {ARABIC}\n\n1. {WIDE}\n2. {TURNED}\n\n"
    f"```python\nx = '{WIDE}'  # {HEBREW} {LONG}\n```\n\n"
    f"| {HEBREW} | {WIDE} |\n|---|--:|\n| {ARABIC} | {LONG} |\n\n{WIDE}\n\n{HEBREW}\n"
)

LARGE = (200, 60)
each_size = pytest.mark.parametrize(
    "size", [(60, 18), (100, 30), LARGE], ids=lambda size: f"{size[0]}x{size[1]}"
)
Size = tuple[int, int]


def link_of_chat() -> ScriptedLink:
    titles = (HEBREW, ARABIC, WIDE, TURNED, LONG)
    return ScriptedLink(**{"history:list": HistoryList(conversations=tuple(
        ConversationSummary(id=f"cnv-{number:024x}", title=title, created=int(NOW), turns=4,
                            updated=int(NOW) - 90_000 * number)
        for number, title in enumerate(titles)
    ))})  # fmt: skip


def link_of_peers() -> ScriptedLink:
    peers = (
        PeerStatus(peer_id=RELAYED, roles=("processor",), state="connected", agent=TURNED,
                   version=WIDE, models=(HEBREW, WIDE, LONG), path="direct", latency_ms=3.0,
                   address=f"/dns4/{LONG.replace(' ', '-')}/tcp/4001"),
        PeerStatus(peer_id=RELAYED[:-1] + "8", state="connecting", note=LONG),
    )  # fmt: skip
    return network_link(peers=PeerList(peers=peers), status=node(peers=peers))


def link_of_logs() -> ScriptedLink:
    lines = tuple(
        LogLine(number=number, at=NOW + number, level="info", logger="aiplat.node",
                message=message, more=TURNED)
        for number, message in enumerate((HEBREW, ARABIC, WIDE, TURNED, LONG))
    )  # fmt: skip
    return ScriptedLink(log=LogReply(lines=lines, last=4, path=f"/home/{WIDE}/{HEBREW}.jsonl"))


async def frame_is_whole(pilot: Pilot[None], app: AiplatApp, *shown: str) -> None:
    """Wait until that is shown, and look at every line."""
    for text in shown:
        await until(pilot, lambda text=text: text in text_of(app), f"{text!r} is shown")  # type: ignore[misc]  # a default binds it
    await settled(pilot)
    assert not (wrong := whole(app)), f"{wrong}\n{text_of(app)}"
    assert not any(sign in text_of(app) for sign in "\u202e\u202c\u2067\u2069")


def test_cells_are_counted_as_a_terminal_does() -> None:
    assert len(cells(HEBREW)) == len(HEBREW)
    assert len(cells("مَرْ")) == 2
    assert cells("漢🦊a") == ["漢", "", "🦊", "", "a"]


@each_size
def test_the_transcript_keeps_its_frame(size: Size) -> None:
    async def test() -> None:
        link = link_of_chat()
        app = app_of(link)
        async with running(app, size) as pilot:
            pane = app.pane
            assert isinstance(pane, ChatPane)
            pane.write(LONG)
            await frame_is_whole(pilot, app, "漢字")
            await pilot.press("enter")
            await until(pilot, lambda: link.streams, "it is asked")
            stream = link.streams[0]
            stream.say(Accepted(request="req-1", kept=True),
                       Started(manifest=MANIFEST, prompt_tokens=31))  # fmt: skip
            half = len(ANSWER) // 2
            stream.say(Delta(ids=(1,), text=ANSWER[:half]))
            await until(pilot, lambda: pane.talk.running[pane.talk.path[-1].id].first, "it began")
            await frame_is_whole(pilot, app)
            stream.say(Delta(ids=(2,), text=ANSWER[half:]),
                       Finished(reason="stop", usage=Usage(31, 112)))  # fmt: skip
            await until(pilot, lambda: not pane.talk.running, "it ended")
            await frame_is_whole(pilot, app, "✓ done")
            for _ in range(8):  # over all of it, with the cursor on one block after another
                await pilot.press("alt+up")
                await frame_is_whole(pilot, app)

    drive(test)


@each_size
def test_the_list_keeps_its_frame(size: Size) -> None:
    async def test() -> None:
        app = app_of(link_of_chat())
        async with running(app, size) as pilot:
            if size[0] < 100:
                await pilot.press("ctrl+b")
            await until(pilot, lambda: app.query_one(Sidebar).size.width, "the list is seen")
            await frame_is_whole(pilot, app, "שלום", "漢字")

    drive(test)


@each_size
def test_the_peers_keep_their_frame(size: Size) -> None:
    async def test() -> None:
        app = app_of(link_of_peers())
        async with running(app, size, "peers") as pilot:
            await frame_is_whole(pilot, app, RELAYED[-8:])
            await pilot.press("down", "down")
            await frame_is_whole(pilot, app)
            await pilot.press("up", "enter")
            await frame_is_whole(pilot, app, "שלום")

    drive(test)


@each_size
def test_the_log_keeps_its_frame(size: Size) -> None:
    async def test() -> None:
        app = app_of(link_of_logs())
        async with running(app, size, "logs") as pilot:
            await frame_is_whole(pilot, app, "שלום", "漢字")
            await pilot.press("w")
            await frame_is_whole(pilot, app, "漢字")
            await pilot.press("w", "end", "enter")
            await frame_is_whole(pilot, app, "漢字")

    drive(test)


LINKS: dict[str, Callable[[], ScriptedLink]] = {
    "chat": chat_link, "peers": network_link, "keys": keys_link, "usage": usage_link,
    "logs": lambda: ScriptedLink(log=Log(200)),
}  # fmt: skip


@pytest.mark.parametrize("pane", PANES)
def test_a_large_terminal_is_filled(pane: str) -> None:
    async def test() -> None:
        link, clock = LINKS[pane](), StillClock()
        app = app_of(link, clock=clock)
        async with running(app, LARGE, pane) as pilot:
            if isinstance(app.pane, ChatPane):
                await talk(pilot, app.pane, link, clock)
            await frame_is_whole(pilot, app, "aiplat", "Commands")
            assert app.pane is not None and app.pane.size.width == LARGE[0]

    drive(test)
