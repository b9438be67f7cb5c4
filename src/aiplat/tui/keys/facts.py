"""Facts: labels to the left, texts beside them, in a line that is cut or in a box that is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from aiplat.tui.dialogs import Dialog
from aiplat.tui.keys.words import Row
from aiplat.tui.text import clean, cut, flat


def told(row: Row) -> Content:
    """The text of a fact in its colours."""
    return Content.assemble(
        *((clean(text), f"${tone}") if tone else clean(text) for text, tone in row.spans)
    )


class FactLines(Static):
    """Facts under each other, a line each; what has no room is cut with an ellipsis."""

    DEFAULT_CSS = """
    FactLines { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, label: int, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__("", id=id, markup=False)
        self._label = label

    def show(self, rows: Sequence[Row]) -> None:
        """Show these."""
        lines = [
            Content.assemble((cut(row.label, self._label).ljust(self._label), "$text-muted"),
                             "  ", told(row))
            for row in rows
        ]  # fmt: skip
        self.update(Content("\n").join(lines))


class FactBox(Dialog[str]):
    """Facts to read, and what can be done with what they are about.

    It gives the name of the button that was pressed; None for a mere look.

    Arguments:
        title: what they are about.
        rows: the facts.
        copied: what `c` copies; empty for nothing.
        offers: buttons besides, each a name and its words.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", id="keys.copy"),
        Binding("enter", "leave", "Close", show=False),
    ]

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    FactBox .fact { height: auto; }
    FactBox .fact .label { width: 12; color: $text-muted; }
    FactBox .fact .told { width: 1fr; height: auto; }
    FactBox .body { margin-bottom: 1; }
    FactBox.-short .body { margin-bottom: 0; }
    """

    def __init__(
        self,
        title: str,
        rows: Sequence[Row],
        *,
        copied: str = "",
        offers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__()
        self.heading = title
        self._facts = rows
        self._copied = copied
        self._offers = offers

    def compose(self) -> ComposeResult:
        """The facts and the buttons."""
        with Vertical():
            with VerticalScroll(classes="body"):
                for row in self._facts:
                    with Horizontal(classes="fact"):
                        yield Static(Content(flat(row.label)), classes="label")
                        yield Static(told(row), classes="told")
            with Horizontal(classes="buttons"):
                if self._copied:
                    yield Button("Copy id", id="copy")
                for name, words in self._offers:
                    yield Button(Content(words), id=name)
                yield Button("Close", id="close", variant="primary")

    def on_mount(self) -> None:
        """Let the facts be scrolled."""
        super().on_mount()
        self.query_one(".body").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is copied where there is nothing."""
        return bool(self._copied) if action == "copy" else True

    def action_copy(self) -> None:
        """Copy the id."""
        self.app.copy_to_clipboard(self._copied)

    @on(Button.Pressed)
    def _on_press(self, event: Button.Pressed) -> None:
        name = event.button.id or ""
        if name == "copy":
            self.action_copy()
        else:
            self.dismiss(None if name == "close" else name)


class Choose(Dialog[str]):
    """A question with some answers, each a button; gives the name of the one that was pressed.

    Arguments:
        title, text: the question.
        answers: each a name and its words; the first is the usual one.
        careful: whether they are dangerous, so that none is the usual one.
    """

    def __init__(
        self,
        title: str,
        text: str,
        answers: Sequence[tuple[str, str]],
        *,
        careful: bool = False,
    ) -> None:
        super().__init__()
        self._careful = careful
        self.heading = title
        self._text = text
        self._answers = answers

    def compose(self) -> ComposeResult:
        """The text and the buttons."""
        with Vertical():
            with VerticalScroll(classes="body"):
                yield Static(Content(clean(self._text)), classes="text")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                for name, words in self._answers:
                    yield Button(Content(words), id=name, variant=self._variant(name))

    def _variant(self, name: str) -> Literal["default", "primary", "error"]:
        if self._careful:
            return "error"
        return "primary" if name == self._answers[0][0] else "default"

    def on_mount(self) -> None:
        """Begin with the usual one, or on the safe side."""
        super().on_mount()
        self.query_one("#no" if self._careful else f"#{self._answers[0][0]}").focus()

    @on(Button.Pressed)
    def _on_press(self, event: Button.Pressed) -> None:
        self.dismiss(None if event.button.id == "no" else event.button.id)
