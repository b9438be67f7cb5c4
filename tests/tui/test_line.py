"""Keys that come in one burst, as over a slow line, act in their order, and none is lost."""

from __future__ import annotations

import pytest
from textual.events import Key
from textual.widgets import Input

from aiplat.tui.app import AiplatApp
from aiplat.tui.area import Area
from tests.support.screens import ScriptedLink, app_of, drive, running, settled, until
from tests.tui.test_chat import chat


def burst(app: AiplatApp, *keys: str) -> None:
    """Send keys, and texts letter by letter, without a pause."""
    for key in keys:
        for one in (key,) if key in NAMED else tuple(key):
            app.post_message(Key(one, None if one in NAMED else one))


NAMED = {"backspace", "left", "home", "delete", "tab", "enter", "ctrl+u"}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (("hello", *["backspace"] * 3, "XY", "left", "left", "Z"), "heZXY"),
        (("abc", "home", "delete", "d"), "dbc"),
        (("one", "ctrl+u", "two"), "two"),
    ],
)
def test_where_a_prompt_is_written(keys: tuple[str, ...], text: str) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            burst(app, *keys)
            await settled(pilot)
            assert chat(app).composer.text == text

    drive(test)


def test_what_is_typed_behind_a_question_that_is_sent_stays() -> None:
    async def test() -> None:
        link = ScriptedLink()
        app = app_of(link)
        async with running(app) as pilot:
            burst(app, "hey", "enter", "bye")
            await until(pilot, lambda: link.streams, "it is asked")
            await settled(pilot)
            assert chat(app).talk.path[0].text == "hey" and chat(app).composer.text == "bye"

    drive(test)


def test_in_a_form_a_tab_is_in_its_place_too() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            await pilot.press("alt+s")
            await until(pilot, lambda: len(app.screen_stack) == 2, "the form is there")
            await pilot.pause()
            burst(app, "brief.", "backspace", "tab", "0.55", "backspace", "tab", "0.9")
            await until(
                pilot,
                lambda: [line.value for line in app.screen.query(Input)][:2] == ["0.5", "0.9"],
                "all is where it belongs",
            )
            assert app.screen.query_one(Area).text == "brief"

    drive(test)
