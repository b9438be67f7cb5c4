"""F1: what the pane is for, and the keys of here, of the pane, of everywhere."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from aiplat.tui.app import AiplatApp
from aiplat.tui.guide import Group, Key, joined, matching
from aiplat.tui.help import HelpScreen, groups_of
from tests.support.screens import (
    ScriptedLink,
    app_of,
    drive,
    each_look,
    looks_as,
    prefer,
    running,
    settled,
    text_of,
    until,
)
from tests.tui.test_logs import Log, over_logs, pane_of


def still(app: AiplatApp) -> None:
    """No cursor blinks in a picture."""
    for line in app.screen.query(Input):
        line.cursor_blink = False


def test_keys_that_do_the_same_share_a_line() -> None:
    keys = joined((Key("↑", "Up"), Key("k", "Up"), Key("↑", "Up"), Key("x", "Up", "not now")))
    assert keys == (Key("↑ k", "Up"), Key("x", "Up", "not now"))


@pytest.mark.parametrize(
    ("query", "found"),
    [("", 3), ("copy", 2), ("copy all", 1), ("f1", 1), ("everywhere", 1), ("zz", 0)],
)
def test_a_search_finds_keys_words_and_groups(query: str, found: int) -> None:
    groups = (Group("Here", (Key("c", "Copy"), Key("C", "Copy all"))),
              Group("Everywhere", (Key("f1", "Help"),)))  # fmt: skip
    assert sum(len(group.keys) for group in matching(groups, query)) == found


def test_it_tells_what_the_pane_is_for_and_its_keys() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app, (100, 42), "logs") as pilot:
            await until(pilot, lambda: pane_of(app).view.entries, "lines are shown")
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen), "help is shown")
            await pilot.pause()
            text = text_of(app)
            assert "Help · Logs" in text and "No question, answer or secret" in text
            for group in ("Here", "In this pane", "Everywhere"):
                assert f"  {group}" in text
            assert text.index("In this pane") < text.index("Copy all")

    drive(test)


def test_a_key_that_makes_no_sense_now_says_why() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(0)))
        async with running(app, pane="logs") as pilot:
            await pilot.pause()
            keys = {key.words: key for group in groups_of(app) for key in group.keys}
            assert keys["Copy"].off == "no line is shown" and not keys["Wrap"].off

    drive(test)


def test_typing_searches_and_keys_scroll() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app, (60, 18), "logs") as pilot:
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen), "help is shown")
            await pilot.pause()
            await pilot.press("down", "down", "pagedown")
            assert app.screen.query_one("#read").scroll_y > 2
            await pilot.press(*"settings")
            await pilot.pause()
            shown = text_of(app).rpartition("\n")[0]  # without the keys below
            assert "f9" in shown.casefold() and "Wrap" not in shown
            await pilot.press(*"zz")
            await pilot.pause()
            assert "No key does “settingszz”" in text_of(app)
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")

    drive(test)


def test_a_dialog_has_its_own_help() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)), welcomed=False)
        async with running(app) as pilot:
            await until(pilot, lambda: len(app.screen_stack) == 2, "the card is shown")
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen), "help is shown")
            await pilot.pause()
            assert "Help · Welcome" in text_of(app) and "A larger model" in text_of(app)

    drive(test)


@each_look()
def test_picture(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        async with over_logs(size, preferences) as (app, pilot):
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen), "help is shown")
            still(app)
            await settled(pilot)
            await looks_as(pilot, f"help-{size[0]}x{size[1]}-{look}")

    drive(test)
