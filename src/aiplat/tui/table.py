"""A table of what changes: rows by key, sorted, filtered, with fewer columns on a narrow screen.

The cursor stays on its row when rows come and go. Cells are text, never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from aiplat.tui.grid import MANY_LESS, Grid
from aiplat.tui.line import Line
from aiplat.tui.steady import Steady
from aiplat.tui.text import flat

Row = TypeVar("Row")
Cell = str | tuple[str, str]
"""What stands in a cell, and maybe its colour's name of the theme."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column.

    Arguments:
        key: its name.
        title: what stands above it.
        cell: what stands in it, cleaned here; with a colour's name of the theme, if it has one.
        sort: what it is sorted by; by default its text.
        right: whether it is set to the right, as numbers are.
        width: cells that it takes; 0 for as many as its texts need.
        least: it is left out where the table is narrower than this many cells.
        until: it is left out where the table has this many cells or more; 0 for never.
        grows: whether it takes what the others leave, and at least `width`.
        falls: whether the greatest comes first when it is chosen.
    """

    key: str
    title: str
    cell: Callable[[Row], Cell]
    sort: Callable[[Row], Any] | None = None
    right: bool = False
    width: int = 0
    least: int = 0
    falls: bool = False
    until: int = 0
    grows: bool = False


@dataclass(frozen=True)
class _Line:
    """A row's cells: what was told, the texts of it, and how many cells of the screen they take."""

    told: tuple[Cell, ...]
    texts: list[Text]
    lengths: tuple[int, ...]


class LiveTable(Vertical, Generic[Row]):
    """The table.

    Arguments:
        columns: its columns; the first is sorted by at first.
        key: what tells rows apart.
        empty: what is said while there are no rows.
        sort: the key of the column to sort by at first.
        first: tells the rows that stand above all others, however they are sorted.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="table.filter"),
        Binding("s", "sort", "Sort", id="table.sort"),
        Binding("S", "reverse", "Reverse", show=False, id="table.reverse"),
        Binding("escape", "unfilter", "Clear the filter", show=False, id="table.unfilter"),
    ]

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    LiveTable { height: 1fr; }
    LiveTable Input { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    LiveTable Input.-shown { display: block; }
    LiveTable DataTable { height: 1fr; background: $background; }
    LiveTable DataTable:focus { background-tint: $foreground 0%; }
    LiveTable DataTable > .datatable--header { background: $background; color: $text-muted;
        text-style: bold; }
    LiveTable .empty { display: none; height: auto; padding: 1 2; color: $text-muted; }
    LiveTable.-empty .empty { display: block; }
    LiveTable.-empty DataTable { height: 0; }
    """

    class Highlighted(Message):
        """The cursor stands on another row; None where there is none."""

        def __init__(self, table: LiveTable[Any], row: Any | None) -> None:
            super().__init__()
            self.table = table
            self.row = row

        @property
        def control(self) -> LiveTable[Any]:
            """The table."""
            return self.table

    class Chosen(Highlighted):
        """Enter, or a click, on a row."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        *,
        empty: str = "",
        sort: str = "",
        first: Callable[[Row], bool] | None = None,
        id: str | None = None,  # Textual's own name
    ) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._above = first
        self._key = key
        self._empty = empty
        self._rows: tuple[Row, ...] = ()
        self._seen: list[Row] = []
        self._by = sort or columns[0].key
        self._reverse = False
        self._layout: tuple[object, ...] = ()
        self._keys: list[Hashable] = []
        self._lines: list[_Line] = []
        self._wide: dict[str, int] = {}
        self._nothing: tuple[bool, str] | None = None
        self.filter = ""

    def compose(self) -> ComposeResult:
        """The line for the filter, the grid, what is said instead."""
        yield Line(placeholder="Filter: type what a row must hold", id="filter", compact=True)
        yield Grid(cursor_type="row", zebra_stripes=False, cell_padding=1)
        yield Steady(classes="empty")

    @property
    def grid(self) -> Grid:
        """The grid inside, which has the focus."""
        return self.query_one(Grid)

    @property
    def current(self) -> Row | None:
        """The row that the cursor stands on."""
        found = self.query(Grid)
        place = found.first().cursor_row if found else -1
        return self._seen[place] if 0 <= place < len(self._seen) else None

    def show(self, rows: Iterable[Row], empty: str = "") -> None:
        """Show these rows instead.

        Arguments:
            empty: what is said where there are none; by default what was said when it was made.
        """
        self._rows = tuple(rows)
        if empty:
            self._empty = empty
        self._draw()

    # -- drawing ---------------------------------------------------------------------------------

    def _wanted(self) -> list[Column[Row]]:
        width = self.size.width or self.app.size.width
        return [
            column for column in self._columns
            if width >= column.least and (not column.until or width < column.until)
        ]  # fmt: skip

    def _cell_text(self, column: Column[Row], told: Cell) -> Text:
        text, style = told if isinstance(told, tuple) else (told, "")
        colour = self.app.theme_variables.get(style, style) if style else ""
        return Text(flat(text), style=_style(colour), no_wrap=True, overflow="ellipsis",
                    justify="right" if column.right else "left")  # fmt: skip

    def _widths(self, columns: Sequence[Column[Row]]) -> dict[str, int]:
        """The cells of each column: room for its title, its mark, and its texts.

        One that grows takes what the others leave.
        """
        widths = {}
        for place, column in enumerate(columns):
            title = cell_len(column.title) + (2 if column.key == self._by else 0)
            if column.width:
                widths[column.key] = max(column.width, title)
            else:
                widths[column.key] = max([title, *(line.lengths[place] for line in self._lines)])
        wide = self.size.width or self.app.size.width
        padding = 2 * self.grid.cell_padding * len(columns)
        for column in columns:
            if column.grows:
                others = sum(cells for key, cells in widths.items() if key != column.key)
                room = wide - self.grid.styles.scrollbar_size_vertical - padding - others
                widths[column.key] = max(widths[column.key], room)
        return widths

    def _matching(self) -> list[Row]:
        words = self.filter.casefold().split()
        rows = list(self._rows)
        if words:
            rows = [row for row in rows if all(word in self._words(row) for word in words)]
        column = next(c for c in self._columns if c.key == self._by)
        by = column.sort or (lambda row: str(_text(column.cell(row))).casefold())
        rows.sort(key=by, reverse=column.falls != self._reverse)
        if self._above is not None:
            above = self._above
            rows.sort(key=lambda row: not above(row))
        return rows

    def _words(self, row: Row) -> str:
        return " ".join(flat(_text(column.cell(row))) for column in self._columns).casefold()

    def _draw(self) -> None:
        if not self.query(Grid):
            return  # it is not composed yet, or taken down
        columns, current = self._wanted(), self.current
        at = self._key(current) if current is not None else None
        self._seen = self._matching()
        keys = [self._key(row) for row in self._seen]
        layout = (tuple(c.key for c in columns), self._by, self._reverse, self.app.theme)
        is_new = layout != self._layout
        made = {} if is_new else dict(zip(self._keys, self._lines, strict=True))
        lines = [
            self._line(columns, row, made.get(key))
            for key, row in zip(keys, self._seen, strict=True)
        ]
        if is_new or len(lines) <= len(self._lines) - MANY_LESS:
            self._layout = layout
            self._lay_out(columns, lines)
        elif not self._put(columns, lines) and keys == self._keys:
            self._tell_empty()
            return
        self._keys = keys
        self._tell_empty()
        self._keep_cursor(at)
        self.post_message(self.Highlighted(self, self.current))

    def _line(self, columns: Sequence[Column[Row]], row: Row, before: _Line | None) -> _Line:
        """A row's cells; those that are as before are not made again."""
        told = tuple(column.cell(row) for column in columns)
        if before is None:
            texts = [self._cell_text(*each) for each in zip(columns, told, strict=True)]
        elif told == before.told:
            return before
        else:
            texts = [
                text if cell == was else self._cell_text(column, cell)
                for column, cell, was, text in zip(
                    columns, told, before.told, before.texts, strict=True
                )
            ]
        return _Line(told, texts, tuple(text.cell_len for text in texts))

    def _lay_out(self, columns: Sequence[Column[Row]], lines: list[_Line]) -> None:
        """Put all in anew: other columns, another order, other colours, or far fewer rows."""
        grid = self.grid
        offset = grid.scroll_offset
        self._lines = lines
        self._wide = self._widths(columns)
        labels = {column.key: self._label(column) for column in columns}
        grid.lay_out(labels, self._wide, [line.texts for line in lines])
        grid.scroll_to(offset.x, offset.y, animate=False)

    def _put(self, columns: Sequence[Column[Row]], lines: list[_Line]) -> bool:
        """Change what is otherwise than before, place by place; tells whether anything was."""
        grid, before = self.grid, self._lines
        self._lines = lines
        grid.shorten(len(lines))
        changed = {
            place: now.texts
            for place, (now, was) in enumerate(zip(lines, before, strict=False)) if now is not was
        }  # fmt: skip
        grid.put(changed)
        grid.add_rows(line.texts for line in lines[len(before) :])
        widths = self._widths(columns)
        if widths != self._wide:
            self._wide = widths
            grid.widen(widths)
        return bool(changed) or len(lines) != len(before)

    def _label(self, column: Column[Row]) -> Text:
        mark = " ▾" if column.falls != self._reverse else " ▴"
        title = column.title + (mark if column.key == self._by else "")
        return Text(title, justify="right" if column.right else "left")

    def _keep_cursor(self, key: Hashable) -> None:
        """Put the cursor on its row, wherever that is now."""
        grid = self.grid
        place = self._keys.index(key) if key in self._keys else None
        if place is None:
            place = min(max(0, grid.cursor_row), max(0, len(self._seen) - 1))
        grid.move_cursor(row=place, animate=False, scroll=False)

    def _tell_empty(self) -> None:
        text = f"Nothing holds “{self.filter}”. Esc shows all." if self._rows else self._empty
        if (nothing := (not self._seen, text)) != self._nothing:
            self._nothing = nothing
            self.set_class(not self._seen, "-empty")
            self.query_one(".empty", Static).update(Content(text))

    # -- what a person does ----------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Show the columns that there is room for."""
        self._draw()

    def action_filter(self) -> None:
        """Type what a row must hold."""
        line = self.query_one("#filter", Input)
        line.add_class("-shown")
        line.focus()

    def action_unfilter(self) -> None:
        """Show all rows again."""
        line = self.query_one("#filter", Input)
        line.value = ""
        line.remove_class("-shown")
        self.grid.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        columns = self._wanted()
        names = [column.key for column in columns]
        place = names.index(self._by) if self._by in names else -1
        self.sort_by(names[(place + 1) % len(names)])

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reverse = not self._reverse
        self._draw()

    def sort_by(self, key: str) -> None:
        """Sort by that column; again, the other way round."""
        if key == self._by:
            self._reverse = not self._reverse
        else:
            self._by, self._reverse = key, False
        self._draw()

    @on(Input.Changed, "#filter")
    def _on_filter(self, event: Input.Changed) -> None:
        event.stop()
        self.filter = event.value
        self._draw()

    @on(Input.Submitted, "#filter")
    def _on_filtered(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value:
            event.input.remove_class("-shown")
        self.grid.focus()

    @on(DataTable.HeaderSelected)
    def _on_header(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if event.column_key.value is not None:
            self.sort_by(event.column_key.value)

    @on(DataTable.RowHighlighted)
    def _on_highlight(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self.post_message(self.Highlighted(self, self.current))

    @on(DataTable.RowSelected)
    def _on_choose(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))


def _text(told: Cell) -> str:
    return told[0] if isinstance(told, tuple) else told


def _style(colour: str) -> str:
    """A colour of the theme as rich has it; what rich does not know, such as ``auto``, is none."""
    if colour.startswith("ansi_"):
        return colour.removeprefix("ansi_")
    return colour if colour.startswith("#") else ""
