"""The column beside the graphs: what all of it came to, and the limits as bars."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from aiplat.tui.steady import Steady
from aiplat.tui.text import clean, cut, flat
from aiplat.tui.usage.bars import Limit, bar, sign_of, used_words
from aiplat.tui.usage.plot import BRAILLE, Pen

_LABEL_CELLS = 17
_LEAST_BAR = 8
_MOST_BAR = 40


class Board(VerticalScroll, can_focus=True):
    """The column. It can have the focus, to be scrolled."""

    DEFAULT_CSS = """
    Board { scrollbar-size-vertical: 1;
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-color: $border; }
    Board.-across { layout: horizontal; }
    Board > Vertical { width: 1fr; height: auto; }
    Board Static { height: auto; margin-bottom: 1; }
    Board:focus #totals-title { color: $accent; }
    Board .title { text-style: bold; margin-bottom: 0; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self._limits: Sequence[Limit] = ()
        self._trouble = ""
        self._asked = self._totalled = False
        self._pen = BRAILLE

    def compose(self) -> ComposeResult:
        """Totals, then limits."""
        with Vertical():
            yield Steady("Totals", id="totals-title", classes="title")
            yield Steady("Asking the node …", id="totals")
        with Vertical():
            yield Static("Limits", classes="title")
            yield Steady("Asking the gateway …", id="limits")

    def wait(self, totals: str, limits: str) -> None:
        """Say why there is nothing yet, where there is nothing."""
        if not self._totalled:
            self.query_one("#totals", Static).update(Content(totals))
        if not self._asked:
            self.query_one("#limits", Static).update(Content(limits))

    def show_totals(self, words: str, totals: Sequence[tuple[str, str]], notes: str) -> None:
        """Show what it came to.

        Arguments:
            words: of which time, as in "in the last 15 minutes".
            notes: what has to be known of these figures.
        """
        self._totalled = True
        title = f"Totals of the last {words}" if words else "Totals"
        self.query_one("#totals-title", Static).update(Content(title))
        parts: list[Content | str | tuple[str, str]] = []
        for label, value in totals:
            parts += [(f"{label:<{_LABEL_CELLS}}", "$text-muted"), f"{flat(value):>12}\n"]
        parts.append((clean(notes), "$text-muted"))
        self.query_one("#totals", Static).update(Content.assemble(*parts))

    def show_limits(self, limits: Sequence[Limit], trouble: str, pen: Pen) -> None:
        """Show the limits; or why there are none to show."""
        self._limits, self._trouble, self._pen, self._asked = limits, trouble, pen, True
        self._draw_limits()

    def on_resize(self) -> None:
        """Bars are as long as there is room."""
        if self._asked:
            self._draw_limits()

    def _draw_limits(self) -> None:
        line = self.query_one("#limits", Static)
        if self._trouble:
            line.update(Content.assemble((clean(self._trouble), "$text-muted")))
            return
        if not self._limits:
            line.update(Content.assemble(
                ("No limits: neither the account nor a key has one.", "$text-muted")
            ))  # fmt: skip
            return
        cells = max(20, min(60, line.size.width or self.size.width - 4))
        parts: list[Content | str] = []
        for place, limit in enumerate(self._limits):
            if place:
                parts.append("\n" if _belong(self._limits[place - 1], limit) else "\n\n")
            parts.append(limit_lines(limit, cells, self._pen))
        line.update(Content.assemble(*parts))


def _belong(one: Limit, other: Limit) -> bool:
    """Whether no empty line stands between two: lines of the same owner, without bars."""
    return one.owner == other.owner and one.share is None and other.share is None


def limit_lines(limit: Limit, cells: int, pen: Pen) -> Content:
    """A limit in two lines to four: whose and of what, the bar, how much, when it is free."""
    share = limit.share
    sign, colour = sign_of(share)
    used = used_words(limit)
    is_short = len(used) + len(limit.resets) + 2 <= cells
    between = "" if not limit.resets else ", " if is_short else "\n"
    parts: list[str | tuple[str, str]] = [
        (f"{sign} ", colour), cut(f"{flat(limit.owner)}: {limit.what}", cells - 2), "\n",
    ]  # fmt: skip
    if share is not None:
        percent = f" {share * 100:3.0f} %"
        length = max(_LEAST_BAR, min(_MOST_BAR, cells - len(percent)))
        full, rest = bar(share, length, pen)
        parts += [(full, colour), (rest, "$text-muted"), percent, "\n"]
    return Content.assemble(*parts, (f"{used}{between}{limit.resets}", "$text-muted"))
