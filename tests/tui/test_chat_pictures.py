"""Pictures of the chat: in every size and every look."""

from __future__ import annotations

import pytest

from aiplat.tui.chat.pane import ChatPane
from tests.support.chat_scene import chat_link, talk
from tests.support.screens import (
    StillClock,
    app_of,
    drive,
    each_look,
    looks_as,
    prefer,
    running,
    text_of,
    until,
)


@each_look()
def test_pictures_of_the_chat(
    size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        end = f"{size[0]}x{size[1]}-{look}"
        link, clock = chat_link(), StillClock()
        app = app_of(link, clock=clock, preferences=prefer(look, monkeypatch))
        async with running(app, size) as pilot:
            pane = app.pane
            assert isinstance(pane, ChatPane)
            shown = ("Ask something.", "automatic ·", "lab")
            await until(pilot, lambda: all(word in text_of(app) for word in shown), "it is drawn")
            if size[0] >= 100:
                await until(pilot, lambda: "12 more" in text_of(app), "the list is there")
            await pilot.pause(0.2)
            await looks_as(pilot, f"chat-empty-{end}")
            await talk(pilot, pane, link, clock)
            await until(pilot, lambda: "21 tokens · Esc stops" in text_of(app), "it is drawn")
            await pilot.pause(0.2)
            await looks_as(pilot, f"chat-{end}")
            await pilot.press("alt+up", "alt+up", "alt+up")
            await pilot.pause(0.2)
            await looks_as(pilot, f"chat-blocks-{end}")
            await pilot.press("escape", "ctrl+o")
            await until(pilot, lambda: "Who can read it" in text_of(app), "the choice")
            await pilot.pause(0.2)
            await looks_as(pilot, f"chat-picker-{end}")

    drive(test)
