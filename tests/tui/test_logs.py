"""The pane Logs: what is read, kept, filtered and shown of the node's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from aiplat.control.faults import NoNode
from aiplat.control.machine import MAX_LOG_LINES, LogAsk, LogLine, LogReply
from aiplat.domain.errors import NotReady
from aiplat.tui.app import AiplatApp
from aiplat.tui.logs.book import Book, Entry, as_text, matching
from aiplat.tui.logs.folding import fold
from aiplat.tui.logs.pane import LogsPane
from aiplat.tui.preferences import Preferences
from tests.support.screens import (
    NOW,
    Copies,
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    each_look,
    looks_as,
    prefer,
    running,
    settled,
    status,
    text_of,
    until,
)

PATH = "/home/ann/.local/state/aiplat/logs/node.jsonl"
_LONG = (
    "The model is slow: 31 s for one answer; what waits for it is placed elsewhere as soon as "
    "another processor has room for it"
)
_SAYS = (
    ("debug", "aiplat.node.channel", "A peer connected", "peer=AaAaAaA1"),
    ("info", "aiplat.roles.gateway", "The request was placed", "request=01J model=smollm2-135m"),
    ("warning", "aiplat.engine.process", _LONG, ""),
    ("error", "aiplat.node.dial", "Nobody answers at /ip4/192.0.2.9/tcp/4001", "tries=3"),
)  # fmt: skip


def lines(count: int, begin: int = 0) -> tuple[LogLine, ...]:
    return tuple(
        LogLine(number=n, at=NOW - 300 + n, level=level, logger=logger, message=words, more=more)  # type: ignore[arg-type]  # one of the levels
        for n in range(begin, begin + count)
        for level, logger, words, more in [_SAYS[n % len(_SAYS)]]
    )


class Log:
    """The node's log, as it grows."""

    def __init__(self, count: int) -> None:
        self.held = lines(count)
        self.lost = 0

    def __call__(self, ask: LogAsk) -> LogReply:
        found = tuple(
            line for line in self.held
            if line.number > ask.after and (ask.before < 0 or line.number < ask.before)
        )  # fmt: skip
        last = self.held[-1].number if self.held else -1
        lost = (self.lost if ask.after < 0 else 0) + max(0, len(found) - ask.most)
        return LogReply(lines=found[-ask.most :], last=last, lost=lost, path=PATH)

    def grow(self, count: int) -> None:
        self.held += lines(count, len(self.held))


def pane_of(app: AiplatApp) -> LogsPane:
    return cast("LogsPane", app.pane)


@asynccontextmanager
async def over_logs(
    size: tuple[int, int], preferences: Preferences
) -> AsyncIterator[tuple[AiplatApp, Pilot[None]]]:
    """The app with some lines in Logs, for what is drawn over them."""
    app = app_of(ScriptedLink(log=Log(3)), preferences=preferences)
    async with running(app, size, "logs") as pilot:
        await until(pilot, lambda: pane_of(app).view.entries, "lines are shown")
        yield app, pilot


def texts(entries: list[Entry]) -> list[str]:
    return [entry.line.message if entry.line else f"-- {entry.words}" for entry in entries]


# -- what is kept, without a screen ----------------------------------------------------------------


def test_only_what_is_new_is_taken_and_asked_for() -> None:
    book, log = Book(), Log(3)
    assert len(book.take(log(LogAsk(after=book.after)))) == 3
    log.grow(2)
    assert book.after == 2
    assert [e.line.number for e in book.take(log(LogAsk(after=book.after))) if e.line] == [3, 4]
    assert book.path == PATH


def test_the_number_of_lines_is_bounded() -> None:
    book = Book(most=100)
    for begin in range(0, 1000, 50):
        book.take(LogReply(lines=lines(50, begin), last=begin + 49))
        assert len(book.entries) <= 100
    assert book.entries[-1].line is not None and book.entries[-1].line.number == 999
    assert book.dropped == 1000 - len(book.entries)


def test_another_life_of_the_node_is_divided_from_the_one_before() -> None:
    book = Book()
    book.begin(1)
    book.take(LogReply(lines=lines(3), last=2))
    book.begin(2)
    assert book.after == -1
    assert texts(book.take(LogReply(lines=(), last=-1))) == []
    new = book.take(LogReply(lines=lines(1), last=0))
    assert texts(new) == ["-- the node was started again", "A peer connected"]
    assert len(book.entries) == 5


def test_a_node_that_counts_from_the_beginning_is_another_one() -> None:
    book = Book()
    book.take(LogReply(lines=lines(9), last=8))
    assert book.take(LogReply(lines=(), last=1)) == [] and book.after == -1
    assert texts(book.take(LogReply(lines=lines(2), last=1)))[0] == "-- the node was started again"


def test_lines_that_were_missed_are_told() -> None:
    new = Book().take(LogReply(lines=lines(1, 40), last=40, lost=40))
    assert texts(new)[0] == "-- 40 older lines are in the file alone"


@pytest.mark.parametrize(
    ("level", "search", "found"),
    [("debug", "", 8), ("warning", "", 4), ("debug", "NOBODY", 2), ("debug", "engine.process", 2),
     ("critical", "", 0), ("info", "tries=3", 2)],
)  # fmt: skip
def test_lines_are_found_by_level_and_text(level: str, search: str, found: int) -> None:
    entries = [Entry(line) for line in lines(8)]
    assert len(matching(entries, level, search)) == found  # type: ignore[arg-type]  # a level


def test_dividers_stay_but_not_two_in_a_row() -> None:
    one, two = lines(2)
    entries = [Entry(one), Entry(None, "first"), Entry(None, "again"), Entry(two)]
    assert texts(matching(entries, "info", "")) == ["-- again", "The request was placed"]


def test_text_is_folded_at_spaces_and_long_words_are_broken() -> None:
    assert fold("one two three", 7) == ["one two", "three"]
    assert fold("", 7) == [""]
    assert fold("a " + "x" * 10, 4) == ["a", "xxxx", "xxxx", "xx"]
    assert all(len(line) * 2 <= 6 for line in fold("中文字中文字中文", 6))
    assert "".join(fold("中文字中文字中文", 6)) == "中文字中文字中文"


def test_a_line_is_copied_whole_and_without_controls() -> None:
    line = LogLine(number=0, at=NOW, level="error", logger="aiplat.x", message="a\x1b[31mb\nc",
                   more="k=v")  # fmt: skip
    assert as_text(line, StillClock()) == "2026-11-26 14:30:05.000+00:00 ERROR aiplat.x ab c k=v"


# -- the pane --------------------------------------------------------------------------------------


def test_it_asks_for_what_is_new_and_follows_the_end() -> None:
    async def test() -> None:
        log = Log(60)
        link = ScriptedLink(log=log)
        app = app_of(link)
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: pane_of(app).view.entries, "lines are shown")
            assert link.of("log")[0] == LogAsk(after=-1, most=MAX_LOG_LINES)
            log.grow(5)
            pane_of(app).reload()
            await until(pilot, lambda: len(pane_of(app).view.entries) == 65, "new ones are shown")
            assert link.of("log")[1] == LogAsk(after=59, most=MAX_LOG_LINES)
            view = pane_of(app).view
            assert view.follows and view.cursor_at == 64
            assert round(view.scroll_y) == view.max_scroll_y > 0
            assert "● follows" in text_of(app) and PATH in text_of(app)

    drive(test)


def test_all_that_the_node_holds_is_read_part_by_part() -> None:
    async def test() -> None:
        log = Log(2300)
        log.lost = 7
        link = ScriptedLink(log=log)
        app = app_of(link)
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: len(pane_of(app).book.entries) == 2301, "all are read")
            asked = [(ask.after, ask.before) for ask in link.of("log")]
            assert asked[:3] == [(-1, -1), (-1, 1300), (-1, 300)]
            assert texts(pane_of(app).book.entries)[0] == "-- 7 older lines are in the file alone"
            numbers = [entry.line.number for entry in pane_of(app).book.entries if entry.line]
            assert numbers == list(range(2300))

    drive(test)


def test_who_scrolls_up_is_left_there_and_told_of_new_lines() -> None:
    async def test() -> None:
        log = Log(60)
        app = app_of(ScriptedLink(log=log))
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            await pilot.press("pageup")
            await pilot.pause()
            at, top = view.cursor_at, view.scroll_y
            log.grow(7)
            pane_of(app).reload()
            await until(pilot, lambda: "7 new lines  end" in text_of(app), "it is told")
            assert (view.cursor_at, view.scroll_y) == (at, top) and not view.follows
            await pilot.press("end")
            await until(pilot, lambda: view.follows, "it follows")
            await pilot.pause()
            assert view.cursor_at == 66 and "new lines" not in text_of(app)

    drive(test)


def test_the_wheel_stops_it_from_following() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(200)))
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            view.scroll_relative(y=-3, animate=False)
            await until(pilot, lambda: not view.follows, "it stands still")
            await pilot.pause()
            assert "‖ stands still" in text_of(app)

    drive(test)


def test_lines_outlive_the_node_and_a_divider_tells_of_the_next() -> None:
    async def test() -> None:
        log = Log(4)
        link = ScriptedLink(log=log)
        app = app_of(link)
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            link.vanish()
            link.says["log"] = NoNode("No node runs here.")
            app.world.look_now()
            await until(pilot, lambda: not app.world.is_attached, "it is missed")
            await until(pilot, lambda: "○ the node is gone" in text_of(app), "it is told")
            assert len(view.entries) == 4
            link.says.update(status=status(pid=4343), log=Log(2))
            app.world.look_now()
            await until(pilot, lambda: app.world.is_attached, "it is there")
            pane_of(app).reload()
            await until(pilot, lambda: len(view.entries) == 7, "it is read")
            assert link.of("log")[-1].after in (-1, 1)
            assert "── the node was started again ──" in text_of(app)

    drive(test)


def test_levels_and_filter_work_as_one_types() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(40)))
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            await pilot.press("l", "l")
            assert len(view.entries) == 20 and "▲ warning and graver" in text_of(app)
            await pilot.press("slash", *"nobody")
            assert len(view.entries) == 10 and "10 of 40 lines" in text_of(app)
            await pilot.press(*" zz")
            await pilot.pause()
            assert "No line of the level warning or graver holds “nobody zz”" in text_of(app)
            await pilot.press("escape")
            assert len(view.entries) == 40 and app.focused is view
            assert not app.query_one("#filter", Input).has_class("-shown")

    drive(test)


def test_a_pause_holds_the_lines_and_loses_none() -> None:
    async def test() -> None:
        log = Log(10)
        app = app_of(ScriptedLink(log=log))
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            await pilot.press("p")
            log.grow(3)
            pane_of(app).reload()
            await until(pilot, lambda: "3 new lines  p" in text_of(app), "it is told")
            assert len(view.entries) == 10 and "‖ paused" in text_of(app)
            await pilot.press("p")
            assert len(view.entries) == 13

    drive(test)


def test_one_line_or_all_that_are_shown_are_copied() -> None:
    async def test() -> None:
        copies = Copies()
        app = app_of(ScriptedLink(log=Log(8)), copies=copies)
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: pane_of(app).view.entries, "lines are shown")
            await pilot.press("L", "L", "c")
            await until(pilot, lambda: len(copies.texts) == 1, "it is copied")
            assert copies.texts[0].startswith(
                "2026-11-26 14:25:12.000+00:00 ERROR aiplat.node.dial"
            )
            await pilot.press("C")
            await until(pilot, lambda: len(copies.texts) == 2, "all are copied")
            assert copies.texts[1].count("\n") == 1 and "A peer" not in copies.texts[1]

    drive(test)


def test_a_hostile_line_is_text_in_list_and_detail() -> None:
    async def test() -> None:
        evil = "[red]x[/red]\x1b[2J\u202eabc\nsecond"
        held = (LogLine(number=0, at=NOW, level="info", logger="[b]l", message=evil, more="[/]=1"),)
        app = app_of(ScriptedLink(log=LogReply(lines=held, last=0, path=PATH)))
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: pane_of(app).view.entries, "a line is shown")
            await pilot.pause()
            assert "[red]x[/red]abc second  [/]=1" in text_of(app)
            await pilot.press("enter")
            await until(pilot, lambda: len(app.screen_stack) == 2, "the detail is shown")
            await pilot.pause()
            text = text_of(app)
            assert "[red]x[/red]abc" in text and "[/]=1" in text and "[b]l" in text
            assert PATH in text and "2026-11-26 14:30:05.000" in text

    drive(test)


def test_long_lines_are_wrapped_whole() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(4)))
        async with running(app, (60, 18), "logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            assert "The model is slow" in text_of(app) and "has room for it" not in text_of(app)
            await pilot.press("w")
            await pilot.pause()
            joined = " ".join(line.split("▏")[0].strip() for line in text_of(app).splitlines())
            assert "room for it" in joined and view.virtual_size.height > 4

    drive(test)


def test_a_click_puts_the_cursor_and_clicks_on_the_words_work() -> None:
    async def test() -> None:
        app = app_of(ScriptedLink(log=Log(8)))
        async with running(app, pane="logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            await pilot.click(view, offset=(10, 2))
            assert view.cursor_at == 2 and not view.follows
            await pilot.click("#level")
            assert pane_of(app).level == "info"

    drive(test)


def test_empty_and_failing_logs_say_so() -> None:
    async def test() -> None:
        link = ScriptedLink(log=LogReply(lines=(), last=-1, path=PATH))
        app = app_of(link)
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: "No line yet." in text_of(app), "it is said")
            link.says["log"] = NoNode("No node runs here.")
            pane_of(app).reload()
            await until(pilot, lambda: "No node runs here." in text_of(app), "the fault is said")
            await until(pilot, lambda: "The node could not tell" in text_of(app), "here, too")
            assert "asked again and again" in text_of(app) and "No line yet" not in text_of(app)
            link.says["log"] = LogReply(lines=(), last=-1, path=PATH)
            pane_of(app).reload()
            await until(pilot, lambda: "No line yet." in text_of(app), "it tells again")

    drive(test)


def test_before_the_first_answer_it_says_what_it_waits_for() -> None:
    async def without_an_answer() -> None:
        answer: asyncio.Future[LogReply] = asyncio.get_running_loop().create_future()
        app = app_of(ScriptedLink(log=answer))
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: "Asking the node for its log" in text_of(app), "it waits")
            assert "No line yet" not in text_of(app)
            answer.set_result(LogReply(lines=(), last=-1, path=PATH))
            await until(pilot, lambda: "No line yet." in text_of(app), "it is told")

    async def without_a_node() -> None:
        def start(say: object) -> None:
            raise NotReady("No memory is left.")

        link = ScriptedLink()
        link.vanish()
        app = app_of(link, start=start)
        async with running(app, pane="logs") as pilot:
            await until(pilot, lambda: app.world.phase == "failed", "it does not start")
            await until(pilot, lambda: "could not be started" in text_of(app), "it is told")
            assert "which key tries again" in text_of(app)

    drive(without_an_answer)
    drive(without_a_node)


@each_look()
def test_picture(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = prefer(look, monkeypatch)

    async def test() -> None:
        log = Log(40)
        link = ScriptedLink(log=log)
        app = app_of(link, preferences=preferences)
        async with running(app, size, "logs") as pilot:
            view = pane_of(app).view
            await until(pilot, lambda: view.entries, "lines are shown")
            link.says.update(status=status(pid=4343), log=Log(9))
            app.world.look_now()
            await until(pilot, lambda: app.world.lives == 2, "another one is there")
            pane_of(app).reload()
            await until(pilot, lambda: len(view.entries) == 50, "it is read")
            await pilot.press("up", "up")
            await settled(pilot)
            await looks_as(pilot, f"logs-{size[0]}x{size[1]}-{look}")

    drive(test)
