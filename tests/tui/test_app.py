"""The frame: names, panes, banner, and what a node that comes and goes does to it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from textual.content import Content
from textual.widgets._footer import FooterKey

from aiplat.control.faults import NodeLost
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.tui.chat.attach import read_attached
from aiplat.tui.dialogs import Confirm
from aiplat.tui.footer import Keys
from aiplat.tui.paths import typed_path, write_new
from aiplat.tui.steady import Steady
from tests.support.screens import (
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    running,
    settled,
    status,
    text_of,
    until,
)


def test_names_are_always_on_show() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(), welcomed=False)
        async with running(app, (100, 30)) as pilot:
            await until(pilot, lambda: len(app.screen_stack) == 2, "the card is shown")
            await pilot.pause()
            text = text_of(app)
            assert all(f"{n} {name}" in text for n, name in enumerate(
                ("Chat", "Peers", "Keys", "Usage", "Logs"), 1))  # fmt: skip

    drive(test)


def test_keys_show_the_panes() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            for key, pane in (("alt+2", "peers"), ("alt+5", "logs"), ("alt+1", "chat")):
                await pilot.press(key)
                await until(pilot, lambda: app.pane and app.pane.id == pane, f"{pane} is seen")  # noqa: B023  # it is called here

    drive(test)


def test_a_node_that_ends_is_told_and_started_again_after_some_seconds() -> None:
    async def test() -> None:
        link, clock, started = ScriptedLink(), StillClock(), []

        def start(say: object) -> None:
            started.append(1)
            link.says["status"] = status(pid=4343)

        app = app_of(link, clock=clock, start=start)
        async with running(app) as pilot:
            assert app.world.is_attached and not started
            link.vanish()
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            await until(pilot, lambda: "started again in 5 s" in text_of(app), "it is told")
            clock.advance(5)
            app.world.look_now()
            await until(pilot, lambda: app.world.is_attached, "it is there again")
            assert started == [1] and app.world.lives == 2

    drive(test)


def test_a_node_that_was_told_to_end_is_left_alone() -> None:
    async def test() -> None:
        link, clock = ScriptedLink(), StillClock()
        app = app_of(link, clock=clock, start=lambda say: None)
        async with running(app) as pilot:
            link.says["status"] = status(state="draining")
            app.world.look_now()
            await until(pilot, lambda: app.world.status.state == "draining", "it drains")  # type: ignore[union-attr]  # it was asked
            link.vanish()
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            assert app.world.restarts_in is None
            await until(
                pilot, lambda: "starts it; what you see stays" in text_of(app), "it is told"
            )

    drive(test)


def test_a_start_that_fails_says_why_and_can_be_tried_again() -> None:
    async def test() -> None:
        link, tries = ScriptedLink(), []
        link.vanish()

        def start(say: object) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ConfigError("The port 4001 is taken.")
            link.says["status"] = status()

        app = app_of(link, start=start)
        async with running(app) as pilot:
            await until(pilot, lambda: app.world.phase == "failed", "it failed")
            assert "The port 4001 is taken." in text_of(app)
            await pilot.press("f5")
            await until(pilot, lambda: app.world.is_attached, "it is there")

    drive(test)


def test_a_node_that_dies_while_it_is_asked_is_started_again() -> None:
    async def test() -> None:
        link, clock, started = ScriptedLink(), StillClock(), []

        def start(say: object) -> None:
            started.append(1)
            link.says["status"] = status(pid=4343)

        app = app_of(link, clock=clock, start=start)
        async with running(app) as pilot:
            link.says["status"] = NodeLost("The node of this home ended before its answer.")
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            link.vanish()
            app.world.look_now()
            await until(pilot, lambda: app.world.trouble == "The node ended.", "it is gone")
            clock.advance(5)
            app.world.look_now()
            await until(pilot, lambda: app.world.is_attached, "it is there again")
            assert started == [1]

    drive(test)


def test_a_pane_that_is_asked_for_leaves_dialogs_by_their_own_way() -> None:
    async def test() -> None:
        said: list[object] = []
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            app.push_screen(Confirm("Sure?", "Really?"), said.append)
            await pilot.pause()
            await pilot.press("alt+2")
            await until(pilot, lambda: app.pane is not None and app.pane.id == "peers")
            assert said == [None] and len(app.screen_stack) == 1

    drive(test)


class Stubborn(Confirm):
    """A dialog that is sending something."""

    @property
    def is_busy(self) -> bool:
        return True

    def action_leave(self) -> None: ...


def test_what_is_being_sent_is_neither_left_nor_quit() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            app.push_screen(Stubborn("Sure?", "Really?"))
            await pilot.pause()
            await pilot.press("alt+2", "ctrl+q")
            await until(pilot, lambda: "being sent" in text_of(app), "it is said")
            assert app.pane is not None and app.pane.id == "chat"
            assert app.is_running and len(app.screen_stack) == 2

    drive(test)


def test_paths_that_cannot_be_are_told(tmp_path: Path) -> None:
    for text in ("~nosuchuser/x", "x" * 300, "a\0b", "", "/root/none/none"):
        with pytest.raises(InvalidRequest):
            write_new(typed_path(text), "text")
        with pytest.raises(InvalidRequest):
            read_attached(text)


def test_keys_that_come_fast_leave_a_dialog_once() -> None:
    async def test() -> None:
        said: list[object] = []
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            app.push_screen(Confirm("First", "Below?"), said.append)
            await pilot.pause()
            app.push_screen(Confirm("Second", "Above?"), said.append)
            await pilot.pause()
            above = app.screen
            assert isinstance(above, Confirm)
            for _ in range(3):
                above.dismiss(True)
            await pilot.pause()
            assert said == [True] and len(app.screen_stack) == 2

    drive(test)


def test_no_word_of_the_keys_is_cut_and_help_is_always_there() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app, (60, 18)) as pilot:
            for width in (100, 76, 60, 40):
                await pilot.resize_terminal(width, 18)
                await settled(pilot)
                footer = app.screen.query_one(Keys)
                shown = [key for key in footer.query(FooterKey) if key.display]
                shown.sort(key=lambda key: key.region.x)
                assert [key.description for key in shown][-2:] == ["Help", "Commands"]
                assert ("Conversations" in {key.description for key in shown}) == (width >= 76)
                for key, after in itertools.pairwise(shown):
                    assert key.region.right <= after.region.x, (width, key.description)
                line = text_of(app).splitlines()[-1]
                assert width < 60 or all(key.description in line for key in shown), line

    drive(test)


def test_a_terminal_that_is_too_small_says_so_once() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app, (100, 30)) as pilot:
            for width, said in ((100, 0), (50, 1), (40, 1), (60, 1), (59, 2)):
                await pilot.resize_terminal(width, 18)
                await pilot.pause()
                told = [n for n in app._notifications if "not all can be seen" in n.message]
                assert len(told) == said, width

    drive(test)


def test_a_text_that_is_told_again_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app):
            line, drawn = app.screen.query_one("#node", Steady), []
            monkeypatch.setattr(line, "refresh", lambda *_, **__: drawn.append(1))
            for content in (Content("a"), Content("a"), Content.styled("a", "bold"), Content("a")):
                line.update(content)
            assert len(drawn) == 3

    drive(test)


def test_a_wrong_name_is_told_to_be_none() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            app.push_screen(Confirm("Revoke", "Gone for good.", typed="laptop"))
            await until(pilot, lambda: len(app.screen_stack) == 2)
            await pilot.press(*"Bobby", "enter")
            await until(pilot, lambda: "That is not laptop: nothing was done." in text_of(app))
            await pilot.press("backspace")
            await until(pilot, lambda: "That is not" not in text_of(app))

    drive(test)


def test_no_key_is_lost_when_what_had_the_focus_is_hidden() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app, pane="chat") as pilot:
            before = app.focused
            assert before is not None
            app.screen.set_focus(None)
            await pilot.pause()  # and not only with the next look at the node
            assert app.focused is before

    drive(test)


def test_keys_that_are_shown_no_more_are_let_go() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink())
        async with running(app) as pilot:
            footer = app.screen.query_one(Keys)
            shown = len(footer.query("FooterKey"))
            for _ in range(8):  # each changes which keys there are
                await pilot.press("ctrl+b", "escape")
                await pilot.pause()
            bound = vars(footer)["__watchers"]["compact"]
            assert len(bound) <= 4 * shown

    drive(test)
