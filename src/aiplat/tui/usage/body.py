"""Graphs, totals and limits as a widget: which are seen together, and what they show."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container, Grid
from textual.content import Content
from textual.widgets import Static

from aiplat.tui.steady import Steady
from aiplat.tui.usage import words
from aiplat.tui.usage.board import Board
from aiplat.tui.usage.figures import Figure, totals_of
from aiplat.tui.usage.graph import Graph
from aiplat.tui.usage.pages import BOARD, GRAPHS, Pages, pages_for
from aiplat.tui.usage.plot import Pen
from aiplat.tui.usage.ticks import Wall
from aiplat.tui.usage.told import Told

_TITLES = ("Tokens a second", "Requests", "Time to first token", "Errors", "Engine CPU and GPU",
           "Engine memory")  # fmt: skip
_ACROSS_CELLS = 80
"""From this width on totals and limits stand beside each other."""


class Body(Container):
    """All of it. `alone` and `first`, the place that is seen for sure, choose a page."""

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.alone = False
        self.first = 0
        self._pages = Pages((tuple(range(BOARD)),), 2, True)

    def compose(self) -> ComposeResult:
        """Graphs, the board beside or below, or the totals in a line."""
        with Grid(id="graphs"):
            for key, title in zip(GRAPHS, _TITLES, strict=True):
                yield Graph(title, id=f"graph-{key}")
        yield Board(id="board")
        yield Steady(id="brief")

    @property
    def board(self) -> Board:
        """The totals and limits."""
        return self.query_one(Board)

    # -- what is told ----------------------------------------------------------------------------

    def show(self, told: Told, figures: Sequence[Figure], wall: Wall, pen: Pen) -> None:
        """Show what the node said.

        Arguments:
            figures: the graphs of it.
            wall: gives the time on the wall.
            pen: what is drawn with.
        """
        for figure in figures:
            self.query_one(f"#graph-{figure.key}", Graph).show(figure, wall, pen)
        chosen, reply = told.chosen, told.reply
        self.board.show_totals(chosen.words, totals_of(reply), words.notes(chosen))
        self.query_one("#brief", Static).update(Content(words.brief(reply.total)))

    def wait(self, totals: str, limits: str) -> None:
        """Say why there is nothing to show yet, where there is nothing."""
        for graph in self.query(Graph):
            graph.wait(totals)
        self.board.wait(totals, limits)

    # -- pages -----------------------------------------------------------------------------------

    @property
    def page(self) -> tuple[int, ...]:
        """The places of what is seen."""
        return self._pages.pages[self.number]

    @property
    def number(self) -> int:
        """Of the page, from 0 on."""
        return self._pages.page_of(self.first)

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self._pages.pages)

    def walk(self, step: int) -> None:
        """Show a page further on, or back."""
        self.first = self._pages.pages[(self.number + step) % self.count][0]

    def lay_out(self, width: int, height: int) -> None:
        """Give each graph its place in so many cells and lines, and hide those of other pages."""
        self._pages = pages_for(width, height, alone=self.alone)
        page, is_beside = self.page, self._pages.beside
        for place, key in enumerate(GRAPHS):
            self.query_one(f"#graph-{key}").display = place in page
        shown = sum(place != BOARD for place in page)
        grid = self.query_one("#graphs", Grid)
        grid.display = shown > 0
        columns = max(1, min(self._pages.columns, shown))
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = max(1, -(-shown // columns))
        self.set_class(is_beside, "-beside")
        self.board.display = is_beside or BOARD in page
        self.board.set_class(not is_beside and width >= _ACROSS_CELLS, "-across")
        self.query_one("#brief").display = not self.board.display

    def focus_page(self) -> None:
        """Put the focus on what is seen."""
        wanted = self.first if self.first in self.page else self.page[0]
        (self.board if wanted == BOARD else self.query_one(f"#graph-{GRAPHS[wanted]}")).focus()
