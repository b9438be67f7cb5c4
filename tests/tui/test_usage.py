"""The pane Usage: what it asks the node, what it shows of that, and what a person does there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from aiplat.control.accounts import KeysAsk, UsageAsk
from aiplat.control.messages import Status
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import InvalidApiKey, NotReady, PermissionDenied
from aiplat.tui.app import AiplatApp
from aiplat.tui.dialogs import Form
from aiplat.tui.preferences import Preferences
from aiplat.tui.table import LiveTable
from aiplat.tui.usage.board import Board
from aiplat.tui.usage.graph import Graph
from aiplat.tui.usage.pane import UsagePane
from tests.support.screens import (
    NOW,
    ScriptedLink,
    StillClock,
    app_of,
    drive,
    each_look,
    looks_as,
    no_series,
    prefer,
    running,
    status,
    text_of,
    until,
)
from tests.tui.usage_data import HeldLink, keys, link, series, who

BRAILLE = Preferences(animation=False, welcomed=True, graphs="braille")


def pane_of(app: AiplatApp) -> UsagePane:
    assert isinstance(app.pane, UsagePane)
    return app.pane


async def drawn(pilot: Pilot[None], node: ScriptedLink) -> None:
    """Wait until graphs and limits were told."""
    app = pilot.app
    assert isinstance(app, AiplatApp)
    board = app.query_one(Board)
    asking = app.query_one("#limits", Static)
    await until(pilot, lambda: node.of("series") and board.is_mounted, "the series were asked for")
    await until(pilot, lambda: "Asking" not in str(asking.content), "the limits are told")
    await pilot.pause()


async def press(pilot: Pilot[None], node: ScriptedLink, key: str, name: str = "series") -> Any:
    """Press a key that asks for something else; gives what was asked."""
    count = len(node.of(name))
    await pilot.press(key)
    await until(pilot, lambda: len(node.of(name)) > count, f"{key} asks")
    await pilot.pause()
    return node.of(name)[-1]


def test_it_asks_for_the_last_quarter_of_an_hour_as_the_gateway_saw_it() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            assert node.of("series")[0] == SeriesAsk(
                since=int(NOW) - 900, step=60, role="gateway", machine=True
            )
            text = text_of(app)
            for words in ("Tokens a second", "Requests a minute", "Time to first token",
                          "Errors in a minute", "Engine CPU and GPU", "Engine memory",
                          "14:25", "p95 633 ms", "Totals of the last 15 minutes",
                          "51 of 60, all free in 42 s",
                          "resets in 4 d 9 h (1 Dec UTC)"):  # fmt: skip
                assert words in text, words

    drive(test)


def test_keys_choose_the_time_what_it_is_by_and_whose() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            ask = await press(pilot, node, "left")
            assert (int(NOW) - ask.since, ask.step) == (60, 1)
            ask = await press(pilot, node, "right")
            ask = await press(pilot, node, "r")
            assert (int(NOW) - ask.since, ask.step) == (86_400, 300)
            ask = await press(pilot, node, "r")
            assert (int(NOW) - ask.since, ask.step) == (30 * 86_400, 7200)
            for by in ("model", "key", "peer", ""):
                assert (await press(pilot, node, "b")).by == by
                if by == "key":
                    await pilot.pause()
                    assert "laptop" in text_of(app), "keys have names"
                    assert "[b]ci" in text_of(app), "which are no markup"
            for role in ("client", "processor", "gateway"):
                assert (await press(pilot, node, "v")).role == role

    drive(test)


def test_the_mouse_chooses_too_and_shows_one_alone() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            await pilot.click("#range-2")
            await until(pilot, lambda: node.of("series")[-1].step == 300, "24 h was clicked")
            await pilot.click("#choice-by")
            await until(pilot, lambda: node.of("series")[-1].by == "model", "by was clicked")
            await pilot.click("#graph-errors")
            await until(pilot, lambda: pane_of(app).alone, "the graph was clicked")
            await pilot.pause()
            assert [graph.id for graph in app.query(Graph) if graph.display] == ["graph-errors"]
            assert app.focused is app.query_one("#graph-errors")
            await pilot.press("n")
            await pilot.pause()
            assert [graph.id for graph in app.query(Graph) if graph.display] == ["graph-busy"]
            await pilot.press("z")
            await pilot.pause()
            assert all(graph.display for graph in app.query(Graph))

    drive(test)


def test_on_a_small_screen_one_walks_through_all_of_it() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (60, 18), "usage") as pilot:
            await drawn(pilot, node)
            for words in ("Tokens a second", "Requests a minute", "Time to first", "Errors in",
                          "Engine CPU", "Engine memory", "Totals of"):  # fmt: skip
                assert words in text_of(app), words
                await pilot.press("n")
                await pilot.pause()
            assert "Tokens a second" in text_of(app) and "1/7" in text_of(app)
            await pilot.press("p")
            await pilot.pause()
            board = app.query_one(Board)
            assert app.focused is board
            await pilot.press("end")
            await until(pilot, lambda: "1 Dec UTC" in text_of(app), "one scrolls to the last limit")

    drive(test)


def test_it_is_asked_as_often_as_it_can_change_and_held_still_on_demand() -> None:
    async def test() -> None:
        node, clock = link(), StillClock()
        app = app_of(node, clock=clock, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            pane = pane_of(app)
            await pane.load()
            assert len(node.of("series")) == 1, "nothing is new"
            clock.advance(2)
            await pane.load()
            assert len(node.of("series")) == 2
            await pilot.press("space")
            assert "‖ paused" in text_of(app)
            clock.advance(100)
            await pane.load()
            assert len(node.of("series")) == 2
            await press(pilot, node, "r")
            assert len(node.of("series")) == 3, "what is chosen meanwhile is shown once"
            clock.advance(100)
            await pane.load()
            assert len(node.of("series")) == 3
            await press(pilot, node, "space")
            assert "● live" in text_of(app)
            limits = len(node.of("accounts:whoami"))
            clock.advance(10)
            await pane.load()
            await until(pilot, lambda: len(node.of("accounts:whoami")) > limits, "limits again")

    drive(test)


def test_without_accounts_the_limits_say_why_and_the_graphs_are_there() -> None:
    async def test() -> None:
        refusal = PermissionDenied("You are not logged in anywhere: `aiplat login` does that.")
        node = link(**{"accounts:whoami": refusal, "accounts:usage": refusal})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            text = text_of(app)
            assert "None to show. You are not logged" in text and "14:25" in text
            await pilot.press("r")
            await pilot.pause()
            ask = await press(pilot, node, "t")
            assert (ask.by, ask.machine) == ("model", False), "the series have it, too"
            await until(pilot, lambda: "smollm2-135m" in text_of(app), "its rows are shown")
            assert "No accounts: You are not logged in anywhere" in text_of(app)

    drive(test)


def test_a_key_that_may_not_ask_for_keys_still_has_its_limits() -> None:
    async def test() -> None:
        (own, *_) = keys().keys
        by_key = replace(who(role="operator"), by="key", key=own, scopes=("inference", "usage"))
        refusal = PermissionDenied("The key 'laptop' has not the scope admin.")
        node = link(**{"accounts:whoami": by_key, "accounts:keys.list": refusal})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            assert node.of("accounts:keys.list") == [KeysAsk()], "it asks for its own alone"
            text = text_of(app)
            for words in ("51 of 60", "412k of 1.0M", "key laptop: tokens a month"):
                assert words in text, words
            await press(pilot, node, "t")
            usage = await press(pilot, node, "r", "accounts:usage")
            assert usage == UsageAsk(since_seconds=86_400, by="model"), "an operator's key, too"

    drive(test)


def test_who_is_not_logged_in_is_told_where_one_does_that() -> None:
    async def test() -> None:
        nobody = InvalidApiKey("Nobody is known here: log in first (`aiplat login`, or "
                               "`aiplat register`).")  # fmt: skip
        node = link(**{"accounts:whoami": nobody})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (200, 42), "usage") as pilot:
            await drawn(pilot, node)
            told = " ".join(str(app.query_one("#limits", Static).content).split())
            assert told.endswith("log in first, or register. The pane Keys does that.")

    drive(test)


def test_by_day_is_by_day_where_the_accounts_do_not_tell() -> None:
    async def test() -> None:
        node = link(**{"accounts:usage": NotReady("The gateway's disk is full.")})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "t")
            await press(pilot, node, "r", "accounts:usage")
            for _ in range(3):
                await press(pilot, node, "b", "accounts:usage")
            assert node.of("accounts:usage")[-1].by == "day"
            await until(pilot, lambda: "2026-11-25" in text_of(app), "it has days")
            assert "by day, in the last 24 hours" in text_of(app)
            assert node.of("series")[-1].by == ""

    drive(test)


def test_what_is_not_told_says_why() -> None:
    async def test() -> None:
        node = link(series=NotReady("The series' file did not answer within 3 s."))
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await until(pilot, lambda: "The node could not tell" in text_of(app), "it is told")
            assert "Asking the node" not in text_of(app)
            await pilot.press("t")
            await until(pilot, lambda: "The node could not" in text_of(app), "in the table, too")

    async def without_a_node() -> None:
        def start(say: object) -> None:
            raise NotReady("No memory is left.")

        node = link()
        node.vanish()
        app = app_of(node, preferences=BRAILLE, start=start)
        async with running(app, (160, 42), "usage") as pilot:
            await until(pilot, lambda: app.world.phase == "failed", "it does not start")
            await until(pilot, lambda: "could not be started" in text_of(app), "it is told")
            assert "Asking" not in text_of(app)

    drive(test)
    drive(without_a_node)


def test_the_table_is_what_the_accounts_counted_and_shorter_times_are_the_nodes() -> None:
    async def test() -> None:
        node = link(**{"accounts:whoami": who(role="operator")})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            ask = await press(pilot, node, "t")
            assert (ask.by, ask.step) == ("model", 60)
            assert "as this node has them" in text_of(app)
            usage = await press(pilot, node, "r", "accounts:usage")
            assert usage == UsageAsk(since_seconds=86_400, by="model", everyone=True)
            assert "Everyone's usage by model since 25 Nov 14:30" in text_of(app)
            for by in ("key", "peer", "day"):
                assert (await press(pilot, node, "b", "accounts:usage")).by == by
            rows = app.query_one(LiveTable)
            assert rows.current is not None and rows.current.total == 135_000
            ask = await press(pilot, node, "r")  # 30 d, and on to 1 m
            ask = await press(pilot, node, "r") if ask.step != 1 else ask
            assert (ask.step, ask.by) == (1, "model"), "a minute has no days"
            await press(pilot, node, "t")
            assert app.query_one("#body").display

    async def asks_usage_at_30_d() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "t")
            await press(pilot, node, "r", "accounts:usage")
            usage = await press(pilot, node, "r", "accounts:usage")
            assert usage == UsageAsk(since_seconds=30 * 86_400, by="model")

    drive(asks_usage_at_30_d)


def test_by_name_half_is_drawn_and_both_are_told() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            for words in (("smollm2-135m", "qwen3-4b"), ("no key", "laptop", "[b]ci[/b]")):
                await press(pilot, node, "b")
                await until(pilot, lambda: "First token p50" in text_of(app), "it is by name")
                half = [line[:50] for line in text_of(app).splitlines()]
                [title] = [n for n, line in enumerate(half) if "First token p50" in line]
                places = set()
                for line in half[title + 1 : title + 1 + len(words)]:
                    assert any(name in line for name in words), line
                    places.add(line.index(", p95 "))
                assert len(places) == 1, "values stand below each other"
                assert "┤" in half[title + 1 + len(words)], "the graph is below"
            for number, name in enumerate(("laptop", "no key", "[b]ci[/b]", "2 others"), 4):
                assert name in text_of(app).splitlines()[number], "each line has a name"

    drive(test)


@pytest.mark.parametrize("size", [(60, 18), (100, 30)])
def test_the_table_has_p50_and_p95_by_name(size: tuple[int, int]) -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, size, "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "t")
            firsts = SeriesAsk(since=int(NOW) - 900, step=0, by="model", role="gateway")
            await until(pilot, lambda: firsts in node.of("series"), "first tokens are asked for")
            await until(pilot, lambda: "smollm2-135m" in text_of(app), "it is told")
            assert row_of(app, "smollm2-135m").endswith("159 ms  477 ms")
            await press(pilot, node, "r", "accounts:usage")
            await until(pilot, lambda: "Your usage" in text_of(app), "the accounts tell")
            assert row_of(app, "smollm2-135m").endswith("159 ms  476 ms"), "beside their counts"
            told = " ".join(text_of(app).split())
            assert "the first token of all through this node as gateway." in told

    async def without_series() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, size, "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "r")
            node.says["series"] = NotReady("The series' file did not answer within 3 s.")
            await press(pilot, node, "t", "accounts:usage")
            await until(pilot, lambda: "smollm2-135m" in text_of(app), "it is told all the same")
            assert row_of(app, "smollm2-135m").endswith("–    –")

    drive(test)
    drive(without_series)


def row_of(app: AiplatApp, name: str) -> str:
    return next(line.rstrip() for line in text_of(app).splitlines() if line.startswith(f" {name}"))


def test_a_processors_table_of_the_accounts_has_first_tokens_by_who_answered() -> None:
    async def test() -> None:
        node = link(status=status(roles=("processor",)))
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "r")
            await press(pilot, node, "t", "accounts:usage")
            await until(pilot, lambda: "Your usage" in text_of(app), "the accounts tell")
            assert [ask.role for ask in node.of("series") if not ask.step] == ["client"]

    drive(test)


def test_limits_that_are_not_told_in_full_are_lines() -> None:
    async def test() -> None:
        limits = Limits(requests_per_minute=60, tokens_per_minute=50_000, concurrent=8)
        told = replace(keys(), keys=(replace(keys().keys[1], limits=limits),))
        me = who()
        me = replace(me, user=replace(me.user, limits=limits))
        node = link(**{"accounts:keys.list": told, "accounts:whoami": me})
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            board = [line[123:].strip() for line in text_of(app).splitlines()]
            at = board.index("○ account: requests at once")
            assert board[at + 1 : at + 9] == [
                "up to 8, free as each ends", "",
                "○ key [b]ci[/b]: requests a minute", "up to 60, anew each minute",
                "○ key [b]ci[/b]: tokens a minute", "up to 50.0k, anew each minute",
                "○ key [b]ci[/b]: requests at once", "up to 8, free as each ends",
            ]  # fmt: skip
            assert "51 of 60, all free in 42 s" in board

    drive(test)


def test_what_is_drawn_with_is_chosen_and_kept() -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            assert "⣿" in text_of(app)
            await pilot.press("g")
            await pilot.pause()
            assert app.preferences.graphs == "blocks"
            assert "█" in text_of(app) and "⣿" not in text_of(app)
            await pilot.press("g")
            await pilot.pause()
            lines = text_of(app)
            assert "#####" in lines and "│" not in lines

    drive(test)


def test_what_was_told_is_drawn_as_it_was_asked_until_the_next_is_told() -> None:
    async def test() -> None:
        node = HeldLink()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "left")
            await press(pilot, node, "b")
            await until(pilot, lambda: "Totals of the last minute" in text_of(app), "it is told")
            node.come.clear()
            await press(pilot, node, "r")
            assert (await press(pilot, node, "r")).step == 300
            await press(pilot, node, "b")
            await pilot.press("g")
            await pilot.pause()
            figure = pane_of(app).figures[0]
            assert (figure.hold, figure.until - figure.since) == (1.0, 60.0)
            assert len(figure.lines[0].points) <= 61
            assert "smollm2-135m" in text_of(app), "a model's name stays one"
            assert "Totals of the last minute" in text_of(app)
            node.come.set()
            await until(pilot, lambda: "Totals of the last 24 hours" in text_of(app), "it is told")

    drive(test)


def test_what_is_shown_is_written_to_a_new_file(tmp_path: Path) -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Form), "the file is asked for")
            line = app.screen.query_one(Input)
            assert line.value == "aiplat-usage-15m-20261126-143005.csv"
            there = tmp_path / "there.csv"
            there.write_text("mine")
            line.value = str(there)
            await pilot.press("enter")
            await pilot.pause()
            assert "is there already" in text_of(app) and there.read_text() == "mine"
            new = tmp_path / "new.csv"
            line.value = str(new)
            await pilot.press("enter")
            await until(pilot, new.exists, "it is written")
            await until(pilot, lambda: "Errors in a minute" in new.read_text(), "all of it")

    drive(test)


def test_nothing_asked_says_so_and_what_to_do() -> None:
    async def test() -> None:
        node = link(series=no_series)
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            text = text_of(app)
            assert "Nothing was asked in the last 15 minutes." in text
            assert "Ask something in" in text and "No engine ran here" in text
            await pilot.press("e")
            await pilot.pause()
            assert not isinstance(app.screen, Form), "there is nothing to write"

    drive(test)


def test_a_fault_is_told_and_what_was_there_stays() -> None:
    async def test() -> None:
        node, clock = link(), StillClock()
        app = app_of(node, clock=clock, preferences=BRAILLE)
        async with running(app, (160, 42), "usage") as pilot:
            await drawn(pilot, node)
            node.says["series"] = NotReady("The series' file did not answer within 3 s.")
            await press(pilot, node, "r")
            await until(pilot, lambda: "did not answer within 3 s" in text_of(app), "it is told")
            assert "Tokens a second" in text_of(app)

            def poor(ask: SeriesAsk) -> SeriesReply:
                return replace(series(ask), problem="The disk is full: make room.")

            node.says["series"] = poor
            await press(pilot, node, "r")
            await until(pilot, lambda: "make room" in text_of(app), "less than there was is told")
            assert "did not answer" not in text_of(app)

    drive(test)


def test_a_node_of_one_role_has_no_choice_of_views_and_one_that_is_gone_leaves_the_graphs() -> None:
    async def test() -> None:
        only: Status = status(roles=("client",))
        node = link(status=only)
        app = app_of(node, preferences=BRAILLE)
        async with running(app, (100, 30), "usage") as pilot:
            await drawn(pilot, node)
            assert node.of("series")[0].role == "client"
            assert not app.query_one("#choice-view").display
            assert pane_of(app).why_off("view") == "this node has one role"
            node.vanish()
            app.world.look_now()
            await until(pilot, lambda: app.world.phase == "lost", "it is missed")
            await pilot.pause()
            assert "Tokens a second" in text_of(app) and "⣿" in text_of(app)

    drive(test)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (100, 30), (140, 24), (200, 60)])
def test_no_line_is_longer_than_the_screen(size: tuple[int, int]) -> None:
    async def test() -> None:
        node = link()
        app = app_of(node, preferences=BRAILLE)
        async with running(app, size, "usage") as pilot:
            await drawn(pilot, node)
            for graph in app.query(Graph):
                if graph.display:
                    assert graph.size.height >= 5 and graph.size.width >= 40, graph.id
                    x, y, width, height = graph.region
                    assert x >= 0 and x + width <= size[0] and y + height <= size[1]

    drive(test)


@each_look()
def test_pictures(size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs, the table, and totals with limits: all in one run, for starting takes longest."""
    preferences = replace(prefer(look, monkeypatch), graphs="braille")

    async def test() -> None:
        node = link()
        app = app_of(node, preferences=preferences)
        name = f"{size[0]}x{size[1]}-{look}"
        async with running(app, size, "usage") as pilot:
            await drawn(pilot, node)
            await press(pilot, node, "b")
            await press(pilot, node, "r")
            await pilot.pause()
            await looks_as(pilot, f"usage-{name}")
            await press(pilot, node, "t", "accounts:usage")
            await until(pilot, lambda: "Your usage by model" in text_of(app), "the table is told")
            await until(pilot, lambda: "qwen3-4b" in text_of(app), "its rows, too")
            await until(pilot, lambda: isinstance(app.focused, DataTable), "it has the focus")
            await pilot.pause()
            await looks_as(pilot, f"usage-table-{name}")
            await press(pilot, node, "t")
            await until(pilot, lambda: isinstance(app.focused, Graph), "the graphs are back")
            if size[0] < 140:
                await pilot.press("p")
            await pilot.pause()
            await pilot.pause()
            await looks_as(pilot, f"usage-limits-{name}")

    drive(test)
