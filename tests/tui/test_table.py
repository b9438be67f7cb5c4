"""The live table: what it draws anew when it is shown again, and where its cursor stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from aiplat.tui import table
from aiplat.tui.table import Column, LiveTable


@dataclass(frozen=True)
class Thing:
    """A row."""

    id: str
    name: str
    count: int


COLUMNS = (
    Column[Thing]("name", "Name", lambda row: row.name),
    Column[Thing]("count", "Count", lambda row: (str(row.count), "$accent"), right=True,
                  sort=lambda row: row.count, falls=True),
    Column[Thing]("rest", "Rest", lambda row: "rest", grows=True, width=6),
)  # fmt: skip
THINGS = tuple(Thing(f"{n:04}", f"thing {n:04}", n) for n in range(200))


class Shows(App[None]):
    """An app with nothing but the table."""

    def compose(self) -> ComposeResult:
        """The table."""
        yield LiveTable(COLUMNS, lambda row: row.id, empty="Nothing is here.")

    @property
    def live(self) -> LiveTable[Thing]:
        """The table."""
        return self.query_one(LiveTable)

    def texts(self) -> list[list[str]]:
        """What stands in the grid."""
        grid = self.live.grid
        return [[str(text) for text in grid.get_row_at(n)] for n in range(grid.row_count)]


def play(scene: Callable[[Shows, Pilot[None]], Awaitable[None]]) -> None:
    """Show the things, and do the scene."""

    async def run() -> None:
        app = Shows()
        async with app.run_test(size=(60, 20)) as pilot:
            app.live.show(THINGS)
            await pilot.pause()
            app.live.grid.focus()
            await scene(app, pilot)

    asyncio.run(run())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of cells that were made."""
    found: list[str] = []

    def make(text: str, **more: object) -> Text:
        found.append(text)
        return Text(text, **more)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(table, "Text", make)
    return found


def test_only_what_changed_is_made_anew(made: list[str]) -> None:
    async def scene(app: Shows, pilot: Pilot[None]) -> None:
        made.clear()
        app.live.show(THINGS)
        assert made == []
        app.live.show((replace(THINGS[0], count=7), *THINGS[1:]))
        assert made == ["7"]
        assert app.texts()[0] == ["thing 0000", "7", "rest"]

    play(scene)


def test_rows_that_come_and_go_and_another_order_leave_the_cursor_on_its_row() -> None:
    async def scene(app: Shows, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        assert app.live.current == THINGS[2]
        for things in (THINGS[1:], THINGS[2:150], (*THINGS, Thing("a", "a", 1)), THINGS[2:3]):
            app.live.show(things)
            await pilot.pause()
            expected = sorted(things, key=lambda thing: thing.name)
            assert app.texts() == [[thing.name, str(thing.count), "rest"] for thing in expected]
            assert app.live.current == THINGS[2]
        app.live.show(THINGS)
        app.live.sort_by("count")
        await pilot.pause()
        assert [row[1] for row in app.texts()] == [str(n) for n in range(199, -1, -1)]
        assert app.live.current == THINGS[2]
        app.live.show([replace(thing, count=thing.count * 7 % 200) for thing in THINGS])
        assert [row[1] for row in app.texts()] == [str(n) for n in range(199, -1, -1)]
        assert app.live.current == replace(THINGS[2], count=14)

    play(scene)


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    async def scene(app: Shows, pilot: Pilot[None]) -> None:
        def widths() -> list[int]:
            return [column.width for column in app.live.grid.ordered_columns]

        before = widths()
        assert before[:2] == [10, 5]
        app.live.show((replace(THINGS[0], name="a much longer name"), *THINGS[1:]))
        assert widths() == [18, 5, before[2] - 8]
        await pilot.pause()
        assert app.live.grid.virtual_size.width == 60 - app.live.grid.styles.scrollbar_size_vertical
        app.live.show(THINGS)
        assert widths() == before

    play(scene)


def test_without_rows_it_says_so() -> None:
    async def scene(app: Shows, pilot: Pilot[None]) -> None:
        app.live.show(())
        await pilot.pause()
        assert app.live.has_class("-empty") and app.live.current is None
        app.live.show(THINGS[:1])
        await pilot.pause()
        assert not app.live.has_class("-empty") and app.live.current == THINGS[0]

    play(scene)
