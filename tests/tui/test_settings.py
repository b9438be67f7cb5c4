"""The settings: what is set holds at once, is kept, and a key that is taken is refused."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import pytest
from textual.widgets import Input, OptionList, TabbedContent

from aiplat.control.history import HistoryState, Retention
from aiplat.control.machine import LogReply, Shelf
from aiplat.control.messages import Done
from aiplat.domain.errors import InvalidRequest
from aiplat.tui.actions import Known
from aiplat.tui.app import AiplatApp
from aiplat.tui.dialogs import Confirm
from aiplat.tui.keymap import changed, keys_of
from aiplat.tui.preferences import Preferences
from aiplat.tui.settings.capture import PressKey
from aiplat.tui.settings.keys import KeyList
from aiplat.tui.settings.screen import SettingsScreen
from aiplat.tui.settings.words import choices_of, days_of, kept_words, ordered
from tests.support.screens import (
    Copies,
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

_ACTIONS = (
    Known("app.help", "f1", "help", "Help", priority=True),
    Known("logs.copy", "c", "copy", "Copy", "logs"),
    Known("logs.up", "up,k", "move(-1)", "Line before", "logs"),
    Known("peers.invite", "i", "invite", "Invite", "peers"),
    Known("table.sort", "s", "sort", "Sort"),
    Known("dialog.copy", "c", "copy", "Copy"),
)


def link_of(days: int = 30) -> ScriptedLink:
    return ScriptedLink(
        **{
            "models/shelf": Shelf(models=(), cache="/home/ann/.cache/aiplat"),
            "log": LogReply(lines=(), path="/home/ann/.local/state/aiplat/logs/node.jsonl"),
            "history:state": HistoryState(conversations=12, bytes=3 << 20, days=days,
                                          path="/home/ann/.local/share/aiplat/history.db"),
            "history:retain": Done(message="Kept for that long."),
        }
    )  # fmt: skip


# -- without a screen ------------------------------------------------------------------------------


def test_a_free_key_is_given() -> None:
    keymap = changed(_ACTIONS, {}, "logs.copy", "y")
    assert keymap == {"logs.copy": "y"}
    assert keys_of(_ACTIONS[1], keymap) == ("y",) and keys_of(_ACTIONS[2], keymap) == ("up", "k")
    assert changed(_ACTIONS, keymap, "logs.up", "c")["logs.up"] == "c"


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("logs.copy", "k", "Line before"),
        ("logs.copy", "f1", "Help"),
        ("app.help", "c", "type that letter no more"),
        ("app.help", "ctrl+i", "the same as Tab"),
        ("logs.copy", "escape", "always goes back"),
        ("peers.invite", "s", "Sort"),
    ],
)
def test_a_key_that_is_taken_or_cannot_be_is_refused(name: str, key: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        changed(_ACTIONS, {}, name, key)
    assert next(a.description for a in _ACTIONS if a.id == name) in str(refused.value)


def test_the_same_key_in_another_pane_or_in_a_dialog_is_no_clash() -> None:
    assert changed(_ACTIONS, {}, "peers.invite", "c") == {"peers.invite": "c"}


def test_our_themes_come_first_then_the_terminals() -> None:
    names = ordered(["nord", "ansi-light", "aiplat-light", "dracula", "aiplat-dark", "ansi-dark"])
    assert names == ["aiplat-dark", "aiplat-light", "ansi-dark", "ansi-light", "dracula", "nord"]


def test_values_go_round() -> None:
    now = Preferences()
    for _ in range(4):
        now = msgspec.structs.replace(now, graphs=choices_of(now)[2].following)
    assert now == Preferences()


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "36501", "٣"])
def test_what_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="from 0 to 36500"):
        days_of(text)


def test_what_is_kept_is_said() -> None:
    assert days_of(" 30 ") == 30
    state = HistoryState(conversations=1, bytes=0, days=0)
    assert kept_words(state) == "1 conversation, 0 B; kept for ever."


# -- the screen ------------------------------------------------------------------------------------


async def _open(pilot: object, app: AiplatApp, part: str = "look") -> SettingsScreen:
    await pilot.press("f9")  # type: ignore[attr-defined]  # a pilot
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen), "they are shown")  # type: ignore[arg-type]  # a pilot
    screen = cast("SettingsScreen", app.screen)
    await until(pilot, lambda: len(screen.places) >= 4, "the node has answered")  # type: ignore[arg-type]  # a pilot
    while screen.query_one(TabbedContent).active != part:
        await pilot.press("right_square_bracket")  # type: ignore[attr-defined]  # a pilot
        await pilot.pause()  # type: ignore[attr-defined]  # a pilot
    return screen


def test_a_theme_is_seen_before_it_is_kept(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(link_of(), folder=tmp_path)
        async with running(app) as pilot:
            await _open(pilot, app)
            await pilot.press("down")
            await pilot.pause()
            assert (app.theme, app.preferences.theme) == ("aiplat-light", "aiplat-dark")
            await pilot.press("escape")
            await until(pilot, lambda: app.theme == "aiplat-dark", "it is as it was")
            await _open(pilot, app)
            await pilot.press("down", "enter", "escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")
            assert app.theme == "aiplat-light"
        kept = msgspec.json.decode((tmp_path / "terminal.json").read_bytes(), type=Preferences)
        assert kept.theme == "aiplat-light"

    drive(test)


def test_a_choice_holds_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(link_of(), folder=tmp_path)
        async with running(app) as pilot:
            screen = await _open(pilot, app)
            await pilot.press("tab", "down", "down", "enter")
            await pilot.pause()
            assert app.preferences.graphs == "braille" and "‹ braille" in text_of(app)
            screen.query_one("#choices", OptionList).highlighted = 0
            await pilot.press("enter")
            await pilot.pause()
            assert app.preferences.animation and app.animation_level == "full"

    drive(test)


def test_a_key_is_given_by_pressing_it_and_taken_back(tmp_path: Path) -> None:
    async def test() -> None:
        app = app_of(link_of(), folder=tmp_path)
        async with running(app) as pilot:
            screen = await _open(pilot, app, "keymap")
            listed = screen.query_one("#key-list", OptionList)
            await until(pilot, lambda: listed.option_count > 20, "the actions are listed")
            listed.highlighted = listed.get_option_index("app--help")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, PressKey), "a key is asked for")
            await pilot.press("f9")  # taken: it is told, and nothing else happens
            await pilot.pause()
            assert "f9 is the key of “Settings”" in " ".join(text_of(app).replace("│", " ").split())
            await pilot.press("f12")
            await until(pilot, lambda: app.screen is screen, "it is taken")
            await pilot.pause()
            assert app.preferences.keymap == {"app.help": "f12"} and "yours" in text_of(app)
            await pilot.press("f12")
            await until(pilot, lambda: app.screen is not screen, "the new key does it")
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen, "help is left")
            await pilot.press("backspace")
            await pilot.pause()
            assert app.preferences.keymap == {} and "yours" not in text_of(app)
        kept = msgspec.json.decode((tmp_path / "terminal.json").read_bytes(), type=Preferences)
        assert kept.keymap == {}

    drive(test)


def test_an_action_is_found_by_what_is_typed() -> None:
    async def test() -> None:
        app = app_of(link_of())
        async with running(app) as pilot:
            screen = await _open(pilot, app, "keymap")
            await until(pilot, lambda: screen.query_one(KeyList).actions, "they are known")
            await pilot.press("slash", *"first steps")
            await pilot.pause()
            text = text_of(app)
            assert "First steps" in text and "F10" in text and "Wrap" not in text

    drive(test)


def test_keeping_for_less_long_is_confirmed() -> None:
    async def test() -> None:
        link = link_of(days=0)
        app = app_of(link)
        async with running(app) as pilot:
            screen = await _open(pilot, app, "kept")
            days = screen.query_one("#days", Input)
            for answer in ("#no", "#yes"):
                days.value = "7"
                days.focus()
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(app.screen, Confirm), "it is asked")
                await pilot.pause()
                assert "cannot be brought back" in " ".join(text_of(app).replace("│", " ").split())
                assert not link.of("history:retain")
                await pilot.click(answer)
                await until(pilot, lambda: app.screen is screen, "it is answered")
            await until(pilot, lambda: link.of("history:retain"), "it is told")
            assert link.of("history:retain") == [Retention(days=7)]

    drive(test)


def test_keeping_for_longer_is_not_asked_about() -> None:
    async def test() -> None:
        link = link_of(days=7)
        app = app_of(link)
        async with running(app) as pilot:
            screen = await _open(pilot, app, "kept")
            screen.query_one("#days", Input).value = "0"
            screen.query_one("#keep").focus()
            await pilot.press("enter")
            await until(pilot, lambda: link.of("history:retain"), "it is told")
            assert link.of("history:retain") == [Retention(days=0)]

    drive(test)


def test_files_are_listed_and_their_paths_copied() -> None:
    async def test() -> None:
        copies = Copies()
        app = app_of(link_of(), copies=copies)
        async with running(app) as pilot:
            screen = await _open(pilot, app, "places")
            for path in ("history.db", "node.jsonl", "control.sock", ".cache/aiplat"):
                assert path in text_of(app)
            screen.query_one("#paths", OptionList).highlighted = 0
            await pilot.press("enter")
            await until(pilot, lambda: copies.texts, "it is copied")
            assert copies.texts == [screen.places[0].path]

    drive(test)


def test_without_a_node_the_rest_can_be_set() -> None:
    async def test() -> None:
        link = link_of()
        link.says["history:state"] = InvalidRequest("This node keeps no conversations.")
        link.says["log"] = InvalidRequest("No.")
        app = app_of(link)
        async with running(app) as pilot:
            await pilot.press("f9")
            await until(pilot, lambda: link.of("log"), "it is asked")
            await pilot.press("right_square_bracket", "right_square_bracket")
            await pilot.pause()
            assert "✕ This node keeps no conversations." in text_of(app)

    drive(test)


@pytest.mark.parametrize("part", ["look", "keymap", "kept", "places"])
@each_look()
def test_picture(
    size: tuple[int, int], look: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if part == "keymap":
        known = tuple(
            Known(f"{action.id}", action.keys, action.action, action.description, action.pane)
            for action in _ACTIONS
        )
        monkeypatch.setattr("aiplat.tui.settings.keys.known_actions", lambda: known)
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        app = app_of(link_of(), preferences=preferences)
        async with running(app, size, "logs") as pilot:
            screen = await _open(pilot, app, part)
            await until(pilot, lambda: screen.query_one(KeyList).actions, "they are known")
            await settled(pilot)
            await looks_as(pilot, f"settings-{part}-{size[0]}x{size[1]}-{look}")

    drive(test)
