"""Which graphs are seen together in the room that there is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

GRAPHS = ("tokens", "requests", "first", "errors", "busy", "memory")
BOARD = len(GRAPHS)
"""The place of the totals and limits, after those of the graphs."""

BESIDE_CELLS = 140
"""From this width on totals and limits stand beside the graphs."""
BOARD_CELLS = 38
_LEAST_CELLS = 44
_LEAST_ROWS = 11
_MOST_COLUMNS = 2
_MOST_ROWS = 3


@dataclass(frozen=True)
class Pages:
    """How it is divided.

    Arguments:
        pages: of each the places of its graphs, and `BOARD`.
        columns: of graphs beside each other, at most.
        beside: whether totals and limits are beside every page.
    """

    pages: tuple[tuple[int, ...], ...]
    columns: int
    beside: bool

    def page_of(self, place: int) -> int:
        """The number of the page that has that graph."""
        return next((n for n, page in enumerate(self.pages) if place in page), 0)


def pages_for(width: int, height: int, *, alone: bool) -> Pages:
    """Divide it for a pane of so many cells and lines.

    Arguments:
        alone: whether each graph has a page of its own.
    """
    beside = width >= BESIDE_CELLS
    room = width - BOARD_CELLS if beside else width
    columns = max(1, min(_MOST_COLUMNS, room // _LEAST_CELLS))
    rows = max(1, min(_MOST_ROWS, height // _LEAST_ROWS))
    if alone:
        columns = rows = 1
    each = columns * rows
    pages = [tuple(range(n, min(n + each, BOARD))) for n in range(0, BOARD, each)]
    if not beside and len(pages[-1]) < each:
        pages[-1] += (BOARD,)
    elif not beside:
        pages.append((BOARD,))
    return Pages(tuple(pages), columns, beside)
