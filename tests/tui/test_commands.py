"""The command palette: every action by its name, those of panes that are not seen, too."""

from __future__ import annotations

import pytest
from textual.command import CommandList, CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from aiplat.control.machine import Shelf
from aiplat.tui.actions import known_actions
from aiplat.tui.app import AiplatApp
from aiplat.tui.commands import actions_of, find
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
from tests.tui.test_help import still
from tests.tui.test_logs import Log, over_logs, pane_of


def test_every_action_has_one_name_and_words() -> None:
    known = known_actions()
    assert len({action.id for action in known}) == len(known)
    assert {"app.help", "app.models", "logs.filter", "table.sort", "dialog.leave"} <= {
        action.id for action in known
    }
    for action in known:
        assert action.description and "." in action.id, action
        assert len(action.description) <= 30, action


def test_actions_of_a_pane_know_their_pane() -> None:
    panes = {action.id: action.pane for action in known_actions()}
    assert panes["logs.filter"] == "logs" and panes["logs.newest"] == "logs"
    assert panes["app.help"] == panes["table.sort"] == panes["models.get"] == ""


def test_what_is_active_comes_first_and_nothing_comes_twice() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: pane_of(app).view.entries, "lines are shown")
            found = list(actions_of(app, app.screen, known_actions()))
            names = [(command.name, command.place) for command in found]
            lines = [(command.name, command.place, command.key) for command in found]
            assert len(lines) == len(set(lines))
            assert names[0] == ("Detail", "Logs")
            assert names.index(("Filter", "Logs")) < names.index(("Settings", "Everywhere"))
            assert next(command.key for command in found if command.name == "Settings") == "F9"

    drive(test)


def test_screens_and_tables_of_other_panes_can_be_reached() -> None:
    async def test() -> None:
        from aiplat.tui.models.chooser import ModelsScreen

        link = ScriptedLink(**{"models/shelf": Shelf(models=())})
        app = app_of(link)
        async with running(app) as pilot:
            found = {
                (command.name, command.place): command
                for command in actions_of(app, app.screen, known_actions())
            }
            assert {("Filter", pane) for pane in ("Peers", "Keys", "Usage")} <= set(found)
            assert {("Get and offer", "Models"), ("Another key", "Settings")} <= set(found)
            await found["Filter", "Peers"].run()  # type: ignore[misc]  # a coroutine function
            await until(pilot, lambda: app.pane and app.pane.id == "peers", "the pane is shown")
            await until(pilot, lambda: isinstance(app.focused, Input), "the filter is typed into")
            again = [
                (command.name, command.place, command.key)
                for command in actions_of(app, app.screen, known_actions())
            ]
            assert len(again) == len(set(again))
            await found["Remove", "Models"].run()  # type: ignore[misc]  # the same
            await until(pilot, lambda: isinstance(app.screen, ModelsScreen), "they are shown")
            assert not link.of("models/remove")

    drive(test)


async def _open(pilot: Pilot[None], app: AiplatApp) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(app.screen, CommandPalette), "the palette is shown")
    listed = app.screen.query_one(CommandList)
    await until(pilot, lambda: listed.option_count > 3, "commands are listed")


def test_an_action_of_another_pane_shows_the_pane_and_is_done() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app) as pilot:
            assert find(app, next(a for a in known_actions() if a.id == "logs.wrap")) is None
            await _open(pilot, app)
            await pilot.press(*"wraplogs")
            listed = app.screen.query_one(CommandList)
            await until(
                pilot,
                lambda: listed.option_count and "Wrap" in str(listed.get_option_at_index(0).prompt),
                "it is found",
            )
            await pilot.press("enter")
            await until(pilot, lambda: app.pane and app.pane.id == "logs", "the pane is shown")
            await until(pilot, lambda: pane_of(app).view.wraps, "it is done")

    drive(test)


def test_a_theme_is_chosen_by_its_name_and_kept() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            await _open(pilot, app)
            await pilot.press(*"theme aiplat-light")
            listed = app.screen.query_one(CommandList)
            await until(
                pilot,
                lambda: listed.option_count == 1 and "aiplat-light" in text_of(app),
                "it is found",
            )
            await pilot.press("enter")
            await until(pilot, lambda: app.theme == "aiplat-light", "it is shown")
            assert app.preferences.theme == "aiplat-light"

    drive(test)


def test_an_action_of_the_app_is_done() -> None:
    async def test() -> None:
        from aiplat.tui.settings.screen import SettingsScreen

        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            opened = []
            app.push_screen = lambda screen, *rest: opened.append(screen)  # type: ignore[method-assign,assignment]  # only whether
            commands = actions_of(app, app.screen, known_actions())
            command = next(command for command in commands if command.name == "Settings")
            await command.run()  # type: ignore[misc]  # it is a coroutine function
            await pilot.pause()
            assert isinstance(opened[0], SettingsScreen)

    drive(test)


@each_look()
def test_picture(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        async with over_logs(size, preferences) as (app, pilot):
            await _open(pilot, app)
            still(app)
            await settled(pilot)
            await looks_as(pilot, f"commands-{size[0]}x{size[1]}-{look}")

    drive(test)
