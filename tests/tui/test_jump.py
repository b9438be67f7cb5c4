"""Jump mode: letters on all that can have the focus, and on the five names."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from aiplat.tui.jump import JumpLabel, JumpScreen
from aiplat.tui.labels import LETTERS, letters_for, spread
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


@pytest.mark.parametrize("count", [0, 1, 5, len(LETTERS), len(LETTERS) + 1, 60, 300, 676])
def test_no_label_is_the_beginning_of_another(count: int) -> None:
    found = letters_for(count)
    assert len(found) == len(set(found)) == count
    assert not any(a != b and b.startswith(a) for a in found for b in found)


def test_labels_do_not_lie_on_each_other_and_stay_on_the_screen() -> None:
    places = spread([(0, 0), (1, 0), (58, 0), (59, 17), (59, 17), (-3, 99)], 60, 18)
    cells = [(column + by, line) for column, line in places for by in range(3)]
    assert len(set(cells)) == len(cells)
    assert all(0 <= column < 60 and 0 <= line < 18 for column, line in cells)


def test_a_letter_goes_to_a_pane() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app) as pilot:
            await pilot.press("f2")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen), "letters are shown")
            await pilot.pause()
            assert "a Chat" in text_of(app) and "g Logs" in text_of(app)
            await pilot.press("g")
            await until(pilot, lambda: app.pane and app.pane.id == "logs", "the pane is shown")
            assert len(app.screen_stack) == 1

    drive(test)


def test_a_letter_or_a_click_goes_to_a_part_of_the_pane() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app, pane="logs") as pilot:
            await pilot.press("slash")
            assert app.focused is app.query_one("#filter")
            for go in ("key", "click"):
                app.query_one("#filter").focus()
                await pilot.press("f2")
                await until(pilot, lambda: isinstance(app.screen, JumpScreen), "letters are shown")
                await pilot.pause()
                label = next(
                    label for label in app.screen.query(JumpLabel)
                    if label.target is pane_of(app).view
                )  # fmt: skip
                if go == "key":
                    await pilot.press(*label.letters)
                else:
                    await pilot.click(label)
                await until(pilot, lambda: app.focused is pane_of(app).view, "it has the focus")

    drive(test)


@pytest.mark.parametrize("key", ["escape", "f2", "z"])
def test_another_key_leaves_all_as_it_was(key: str) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(3)))
        async with running(app, (60, 18), "logs") as pilot:
            before = app.focused
            await pilot.press("f2")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen), "letters are shown")
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) == 1, "it is left")
            assert app.focused is before and app.pane is pane_of(app)

    drive(test)


@each_look()
def test_picture(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        async with over_logs(size, preferences) as (app, pilot):
            await pilot.press("slash")  # so that the line of the filter has a letter, too
            await pilot.press("f2")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen), "letters are shown")
            for line in app.screen_stack[0].query(Input):
                line.cursor_blink = False
            await settled(pilot)
            await looks_as(pilot, f"jump-{size[0]}x{size[1]}-{look}")

    drive(test)
