"""A graph as a widget: a title with its lines, marks of round values, the dots, a clock axis."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from aiplat.tui.text import cut
from aiplat.tui.usage.figures import Figure
from aiplat.tui.usage.legend import Run, headed
from aiplat.tui.usage.plot import BRAILLE, NOBODY, Pen, columns, draw
from aiplat.tui.usage.ticks import Wall, clock_label, clock_ticks, nice_ticks, place_labels

_LABEL_CELLS = 10
"""Cells from one label of the clock axis to the next, at least."""
_ROWS_A_MARK = 3


class Graph(Widget, can_focus=True):
    """One graph. Enter, or a click, asks for it alone.

    Arguments:
        title: what stands there until there is something to show.
    """

    class Wanted(Message):
        """It shall be shown alone, or with the others again."""

        def __init__(self, graph: Graph) -> None:
            super().__init__()
            self.graph = graph

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "want", "Alone", show=False, id="usage.graph.alone")
    ]
    ALLOW_SELECT: ClassVar[bool] = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "graph--title", "graph--chosen", "graph--label", "graph--low", "graph--mid", "graph--high",
        "graph--fault", "graph--line0", "graph--line1", "graph--line2", "graph--line3",
    }  # fmt: skip
    DEFAULT_CSS = """
    Graph { height: 1fr; width: 1fr; padding: 0 1; }
    Graph > .graph--title { color: $foreground; text-style: bold; }
    Graph > .graph--chosen { color: $accent; text-style: bold; }
    Graph > .graph--label { color: $text-muted; }
    Graph > .graph--low { color: $primary 70%; }
    Graph > .graph--mid { color: $primary; }
    Graph > .graph--high { color: $secondary; }
    Graph > .graph--fault { color: $error; }
    Graph > .graph--line0 { color: $primary; }
    Graph > .graph--line1 { color: $accent; }
    Graph > .graph--line2 { color: $success; }
    Graph > .graph--line3 { color: $text-muted; }
    """

    def __init__(self, title: str, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self._heading = title
        self._empty_words = "Asking the node …"
        self._figure: Figure | None = None
        self._wall: Wall | None = None
        self._pen = BRAILLE
        self._drawn_for: tuple[object, ...] | None = None
        self._strips: list[Strip] = []
        self._blank = Strip([])

    def show(self, figure: Figure, wall: Wall, pen: Pen) -> None:
        """Draw this.

        Arguments:
            wall: gives the time on the wall.
            pen: what is drawn with.
        """
        self._figure, self._wall, self._pen = figure, wall, pen
        self.refresh()

    def wait(self, text: str) -> None:
        """Say why there is nothing yet, where there is nothing."""
        if self._figure is None and text != self._empty_words:
            self._empty_words, self._drawn_for = text, None
            self.refresh()

    def action_want(self) -> None:
        """Ask for it alone."""
        self.post_message(self.Wanted(self))

    def on_click(self, event: Click) -> None:
        """A click on the graph that has the focus is as Enter."""
        event.stop()
        self.action_want()

    # -- drawing ---------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        """Another theme has other colours."""
        super().notify_style_update()
        self._drawn_for = None

    def render_line(self, y: int) -> Strip:
        """One line of it."""
        width, height = self.size
        state = (self._figure, self._pen, width, height, self.has_focus)
        if self._drawn_for is None or self._drawn_for != state:
            self._drawn_for = state
            self._draw_strips(width, height)
        return self._strips[y] if y < len(self._strips) else self._blank

    def _draw_strips(self, width: int, height: int) -> None:
        back = self.rich_style
        styles = {"": back}
        self._blank = Strip.blank(width, back)
        self._strips = []
        for runs in self._lines(width, height):
            segments = []
            for text, name in runs:
                if name not in styles:
                    styles[name] = self.get_component_rich_style(f"graph--{name}")
                segments.append(Segment(text, styles[name]))
            self._strips.append(Strip(segments).adjust_cell_length(width, back))

    def _lines(self, width: int, height: int) -> list[list[Run]]:
        figure = self._figure
        title = "chosen" if self.has_focus else "title"
        if figure is None or self._wall is None:
            text = wrap(self._empty_words, max(1, width))
            return [[(cut(self._heading, width), title)], *([(line, "label")] for line in text)]
        head = headed(figure, self._pen, width, height, title)
        rows = height - 1 - len(head)
        if figure.is_empty:
            text = wrap(f"{figure.empty} {figure.advice}".strip(), width)
            return [*head, [], *([(line, "label")] for line in text)]
        if rows < 1:
            return head
        most = max(figure.most, figure.least)
        intervals = max(1, rows // _ROWS_A_MARK)
        marks = nice_ticks(most, intervals, binary=figure.binary, whole=figure.whole)
        labels = {round((rows - 1) * (1 - mark / marks[-1])): figure.unit(mark) for mark in marks}
        labels[rows - 1] = "0"
        margin = max(map(cell_len, labels.values()))
        wide = width - margin - 2
        if wide < 8:
            return head
        body = self._body(figure, wide, rows, marks[-1])
        lines = []
        for place, row in enumerate(body):
            label = labels.get(place)
            axis = self._pen.axis if label is None else self._pen.tick
            lines.append([(f"{label or '':>{margin}} {axis}", "label"), *row])
        return [*head, *lines, [(self._clock(figure, self._wall, margin + 2, wide), "label")]]

    def _body(self, figure: Figure, width: int, height: int, top: float) -> list[list[Run]]:
        dots = width * self._pen.wide
        curves = [
            columns(line.points, figure.hold, figure.since, figure.until, dots)
            for line in figure.lines
        ]
        is_one = len(curves) == 1
        texts, owners = draw(curves, width, height, top, self._pen, fill=is_one)
        return [
            _runs(text, owner, _level(figure, place, height) if is_one else "")
            for place, (text, owner) in enumerate(zip(texts, owners, strict=True))
        ]

    def _clock(self, figure: Figure, wall: Wall, margin: int, width: int) -> str:
        length = figure.until - figure.since
        step, found = clock_ticks(figure.since, figure.until, max(2, width // _LABEL_CELLS), wall)
        labels = [
            (int((at - figure.since) / length * width), clock_label(at, step, wall))
            for at in found
        ]  # fmt: skip
        return " " * margin + place_labels(labels, width)


def _level(figure: Figure, row: int, height: int) -> str:
    """The colour of a row of a graph with one line: by how high it is."""
    if figure.is_fault:
        return "fault"
    share = (height - row) / height
    return "low" if share <= 1 / 3 else "mid" if share <= 2 / 3 else "high"


def _runs(text: str, owners: list[int], level: str) -> list[Run]:
    """Characters with the same colour, together."""
    runs: list[Run] = []
    begin = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or owners[place] != owners[begin]:
            owner = owners[begin]
            name = "" if owner == NOBODY else level or f"line{min(owner, 3)}"
            runs.append((text[begin:place], name))
            begin = place
    return runs
