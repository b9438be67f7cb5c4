"""Questions to the person: yes or no, a name to be typed, a line, a form, a secret shown once.

Each is a modal screen, and `await app.push_screen_wait(…)` gives what was said; None is Esc. Call
them in a worker (`@work`), as Textual wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from aiplat.domain.errors import AiplatError
from aiplat.tui.area import Area
from aiplat.tui.line import Line
from aiplat.tui.text import clean, flat
from aiplat.tui.threads import in_thread

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None], Generic[Answer]):
    """A box in the middle of the screen; Esc leaves it with None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", id="dialog.leave")]

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > Vertical {
        width: 72; max-width: 96%; height: auto; max-height: 96%;
        background: $surface; border: round $border; border-title-color: $accent;
        border-title-style: bold; padding: 1 2;
    }
    Dialog .body { height: auto; max-height: 64vh; }
    Dialog .text { height: auto; margin-bottom: 1; }
    Dialog .fault { height: auto; color: $error; display: none; margin-bottom: 1; }
    Dialog .fault.-shown { display: block; }
    Dialog Input, Dialog Select, Dialog Checkbox, Dialog Area { margin-bottom: 1; }
    Dialog Input.-textual-compact, Dialog Area { padding: 0 1; background: $panel; }
    Dialog Checkbox.-with-more { margin-bottom: 0; }
    Dialog Label { color: $text-muted; }
    Dialog .buttons { height: auto; align-horizontal: right; }
    Dialog Button { margin-left: 1; min-width: 10; }
    Dialog.-short > Vertical { padding: 0 1; }
    Dialog.-short .body { max-height: 60vh; }
    Dialog.-short .text, Dialog.-short Input, Dialog.-short Select, Dialog.-short Checkbox,
        Dialog.-short Area { margin-bottom: 0; }
    Dialog.-short Area { max-height: 2; }
    """

    heading = ""

    def on_mount(self) -> None:
        """Give the box its title, and the room that there is."""
        self.query_one(Vertical).border_title = Content(flat(self.heading))
        is_short = self.app.size.height < 24
        self.set_class(is_short, "-short")
        for button in self.query(Button):
            button.compact = is_short

    @property
    def is_shown(self) -> bool:
        """Whether it was not left meanwhile; for what comes back to it after having waited."""
        return self.app.is_running and self in self.app.screen_stack

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Leave with that answer, once: keys that come fast leave no screen below this one."""
        if self not in self.app.screen_stack:
            return AwaitComplete()
        if not self.is_current:
            self.pop_until_active()
        return super().dismiss(result)

    @property
    def is_busy(self) -> bool:
        """Whether it may not be left now: something is being sent."""
        return False

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)

    def fault(self, text: str) -> None:
        """Say what is wrong with what was typed."""
        line = self.query_one(".fault", Static)
        line.update(Content(clean(text)))
        line.set_class(bool(text), "-shown")


class Confirm(Dialog[bool]):
    """Yes or no. What cannot be undone is confirmed by typing a name.

    Arguments:
        title, text: what would be done, and what comes of it.
        yes: the button that does it.
        typed: what has to be typed first; empty for a mere yes.
    """

    def __init__(self, title: str, text: str, *, yes: str = "Yes", typed: str = "") -> None:
        super().__init__()
        self.heading = title
        self._text = text
        self._yes = yes
        self._typed = typed

    def compose(self) -> ComposeResult:
        """The text, the line to type into if there is one, and two buttons."""
        with Vertical():
            yield Static(Content(clean(self._text)), classes="text")
            if self._typed:
                yield Label(Content(f"Type {flat(self._typed)} to confirm:"))
                yield Line(id="typed", compact=True)
                yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button(Content(self._yes), id="yes", variant="error",
                             disabled=bool(self._typed))  # fmt: skip

    def on_mount(self) -> None:
        """Begin on the safe side."""
        super().on_mount()
        self.query_one("#typed" if self._typed else "#no").focus()

    @on(Input.Changed)
    def _on_typed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value.strip() != self._typed
        self.fault("")

    @on(Input.Submitted)
    def _on_line(self) -> None:
        if not self.query_one("#yes", Button).disabled:
            self.dismiss(True)
        else:
            self.fault(f"That is not {flat(self._typed)}: nothing was done.")

    @on(Button.Pressed)
    def _on_button(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


@dataclass(frozen=True)
class Field:
    """One thing that a form asks for.

    Arguments:
        name: of the value.
        label: what it is called.
        value: what stands in it at first.
        hint: shown while it is empty.
        secret: whether what is typed is hidden.
        choices: to choose from, as value and words; empty for a line to type.
        yes_no: whether it is a box to tick; its value is "yes" or "".
        lines: how high it is where more than one line may be typed; 0 for one line.
    """

    name: str
    label: str
    value: str = ""
    hint: str = ""
    secret: bool = False
    choices: Sequence[tuple[str, str]] = field(default=())
    yes_no: bool = False
    lines: int = 0


class Tick(Checkbox):
    """A box to tick. Whether it is ticked is seen without colours, too."""

    BUTTON_LEFT = "["
    BUTTON_RIGHT = "]"

    DEFAULT_CSS = """
    Tick, Tick:focus { background: transparent; padding: 0; }
    """

    @property
    def _button(self) -> Content:
        sign = "✓" if self.value else " "
        return Content.assemble(
            (self.BUTTON_LEFT, "$text-muted"), (sign, "bold $accent"),
            (self.BUTTON_RIGHT, "$text-muted"),
        )  # fmt: skip


class Form(Dialog[dict[str, str]]):
    """Some lines to fill in. What `check` refuses is said, and the form stays.

    Arguments:
        title, text: what it is for.
        fields: what is asked.
        done: the button that ends it.
        check: raises `AiplatError` for values that cannot be.
    """

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        *,
        text: str = "",
        done: str = "OK",
        check: Callable[[dict[str, str]], object] | None = None,
    ) -> None:
        super().__init__()
        self.heading = title
        self._text = text
        self._fields = fields
        self._done = done
        self._check = check

    def compose(self) -> ComposeResult:
        """The fields under each other, and two buttons."""
        with Vertical():
            with VerticalScroll(classes="body", can_focus=False):
                if self._text:
                    yield Static(Content(clean(self._text)), classes="text")
                for place, asked in enumerate(self._fields):
                    below = self._fields[place + 1 : place + 2]
                    yield from self._field(asked, more=any(one.yes_no for one in below))
            yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button(Content(self._done), id="yes", variant="primary")

    @staticmethod
    def _field(asked: Field, *, more: bool) -> ComposeResult:
        name = f"field-{asked.name}"
        if asked.yes_no:
            yield Tick(Content(asked.label), bool(asked.value), id=name, compact=True,
                       classes="-with-more" if more else None)  # fmt: skip
            return
        yield Label(Content(asked.label))
        if asked.choices:
            options = [(Content(words), value) for value, words in asked.choices]
            yield Select(options, value=asked.value or asked.choices[0][0],
                         allow_blank=False, id=name, compact=True)  # fmt: skip
        elif asked.lines:
            area = Area(asked.value, placeholder=asked.hint, id=name, compact=True,
                        highlight_cursor_line=False)  # fmt: skip
            area.styles.height = asked.lines
            yield area
        else:
            yield Line(asked.value, placeholder=asked.hint, password=asked.secret, id=name,
                        compact=True)  # fmt: skip

    def values(self) -> dict[str, str]:
        """What stands in the fields."""
        found: dict[str, str] = {}
        for asked in self._fields:
            widget = self.query_one(f"#field-{asked.name}")
            if isinstance(widget, Checkbox):
                found[asked.name] = "yes" if widget.value else ""
            elif isinstance(widget, Select):
                found[asked.name] = str(widget.value)
            elif isinstance(widget, Input):
                found[asked.name] = widget.value if asked.secret else widget.value.strip()
            elif isinstance(widget, Area):
                found[asked.name] = widget.text.strip()
        return found

    @on(Input.Submitted)
    def _on_line(self, event: Input.Submitted) -> None:
        """The next line, and at the last one the end."""
        lines = list(self.query(Input))
        place = lines.index(event.input)
        if place + 1 < len(lines):
            lines[place + 1].focus()
        else:
            self._end()

    @on(Button.Pressed)
    def _on_button(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._end()
        else:
            self.dismiss(None)

    def _end(self) -> None:
        self._ending()

    @work(exclusive=True, group="end")
    async def _ending(self) -> None:
        values, check = self.values(), self._check
        if check is not None:
            try:
                await in_thread(lambda: check(values))  # it may look at files
            except AiplatError as fault:
                self.fault(str(fault))
                return
            except Exception as fault:  # noqa: BLE001  # a form that cannot check must not end all
                self.fault(
                    f"This could not be checked ({type(fault).__name__}). Change what you typed, "
                    "or leave with Esc."
                )
                return
        self.dismiss(values)


class ShowText(Dialog[None]):
    """A text to read and copy: a secret that is shown this once, a token, an explanation.

    Arguments:
        title: of the box.
        text: what is said about it.
        shown: what `c` copies; it is shown whole, and broken where the box is narrow.
        picture: something to draw below, such as a QR code, if there is room for it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", id="dialog.copy"),
        Binding("enter", "leave", "Close", show=False),
    ]

    DEFAULT_CSS = """
    ShowText .shown { height: auto; background: $panel; color: $foreground; padding: 0 1;
        margin-bottom: 1; }
    ShowText .picture { height: auto; width: auto; margin: 0 0 1 0; }
    """

    def __init__(
        self, title: str, text: str, shown: str = "", *, picture: Content | None = None
    ) -> None:
        super().__init__()
        self.heading = title
        self._text = text
        self._shown = shown
        self._picture = picture

    def compose(self) -> ComposeResult:
        """The text, what can be copied, the picture, and a button."""
        with Vertical():
            with VerticalScroll(classes="body"):
                if self._text:
                    yield Static(Content(clean(self._text)), classes="text")
                if self._shown:
                    yield Static(Content(clean(self._shown)), classes="shown")
                if self._picture is not None:
                    yield Static(self._picture, classes="picture")
            with Horizontal(classes="buttons"):
                if self._shown:
                    yield Button("Copy  c", id="copy", variant="primary")
                yield Button("Close", id="close")

    def on_mount(self) -> None:
        """Let the text be scrolled."""
        super().on_mount()
        self.query_one(".body").focus()

    def action_copy(self) -> None:
        """Copy what is shown."""
        if self._shown:
            self.app.copy_to_clipboard(self._shown)

    @on(Button.Pressed)
    def _on_button(self, event: Button.Pressed) -> None:
        if event.button.id == "copy":
            self.action_copy()
        else:
            self.dismiss(None)
