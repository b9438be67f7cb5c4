"""A form that asks the gateway while it stands there, and what is shown this once when it is done.

What the gateway refuses is said in the form, with the cursor in the field that is at fault, so that
nothing is typed twice. What is hidden is taken out of its fields when the form goes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select, Static

from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Field, Form, ShowText, Tick
from aiplat.tui.keys.faults import fault_words
from aiplat.tui.line import Line
from aiplat.tui.text import clean, flat

Got = TypeVar("Got")


class SendForm(Form, Generic[Got]):
    """Lines to fill in, a row each, and `send`, which does what they are for.

    After the dialog `got` is what `send` gave; None where a person left.

    Arguments:
        title, text: what it is for.
        fields: what is asked; a box to tick is labelled ``label|words``.
        send: does it; what it raises is shown, and the form stays.
        done: the button that sends.
        parts: headings, by the name of the field that they stand above.
        warning: what a person should know before; shown with a sign.
    """

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    SendForm .row { height: 1; }
    SendForm .row Label { width: 19; padding-right: 1; }
    SendForm .row:focus-within Label { color: $accent; text-style: bold; }
    SendForm .row Input, SendForm .row Select, SendForm .row Checkbox
        { width: 1fr; margin: 0; padding: 0; }
    SendForm .row Input { padding: 0 1; background: $panel; }
    SendForm .row Input:focus { background: $primary 20%; }
    SendForm .row Select { background: $panel; height: 1; }
    SendForm .row Select > SelectCurrent { background: $panel; padding: 0 1; }
    SendForm .row Select:focus > SelectCurrent { background: $primary 20%; }
    SendForm .row Checkbox { background: transparent; }
    SendForm .part { height: auto; margin-top: 1; color: $text-muted; text-style: bold; }
    SendForm .warning { height: auto; color: $warning; margin-bottom: 1; }
    SendForm .text { color: $foreground; }
    SendForm .fault { margin: 1 0 0 0; max-height: 5; overflow-y: auto; }
    SendForm .buttons { margin-top: 1; }
    SendForm .busy { width: 1fr; color: $text-muted; padding-top: 1; }
    SendForm.-short .busy { padding-top: 0; }
    SendForm.-short .part { margin-top: 0; }
    SendForm.-short .warning { margin-bottom: 0; }
    SendForm.-short .fault, SendForm.-short .buttons { margin-top: 0; }
    """

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        send: Callable[[dict[str, str]], Awaitable[Got]],
        *,
        text: str = "",
        done: str = "OK",
        parts: Mapping[str, str] | None = None,
        warning: str = "",
    ) -> None:
        super().__init__(title, fields, text=text, done=done)
        self._sender = send
        self._parts = parts or {}
        self._warning = warning
        self._sends = False
        self.got: Got | None = None

    def compose(self) -> ComposeResult:
        """The rows, what is wrong, and two buttons."""
        with Vertical():
            with VerticalScroll(classes="body", can_focus=False):
                if self._text:
                    yield Static(Content(clean(self._text)), classes="text")
                if self._warning:
                    yield Static(Content(f"▲ {clean(self._warning)}"), classes="warning")
                for asked in self._fields:
                    if asked.name in self._parts:
                        yield Static(Content(self._parts[asked.name]), classes="part")
                    yield _row(asked)
            yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Static("", classes="busy", markup=False)
                yield Button("Cancel", id="no")
                yield Button(Content(self._done), id="yes", variant="primary")

    def on_mount(self) -> None:
        """Begin in the first field that is empty, or the first of all."""
        super().on_mount()
        first = next((asked for asked in self._fields if not asked.value), self._fields[0])
        self.query_one(f"#field-{first.name}").focus()

    @property
    def is_busy(self) -> bool:
        """Whether it is being sent."""
        return self._sends

    # -- sending ---------------------------------------------------------------------------------

    def _end(self) -> None:
        if not self._sends:
            self._send()

    @work(group="send")
    async def _send(self) -> None:
        self._busy(True)
        self.fault("")
        try:
            self.got = await self._sender(self.values())
        except AiplatError as fault:
            self._busy(False)
            self.fault(fault_words(fault))
            self._point_at(fault.param or "")
        else:
            self._sends = False
            self.dismiss({})

    def _busy(self, sends: bool) -> None:
        self._sends = sends
        self.query_one(".busy", Static).update(Content("One moment …" if sends else ""))
        for button in self.query(Button):
            button.disabled = sends

    def _point_at(self, name: str) -> None:
        """Put the cursor where something is wrong; a password that was refused is typed anew."""
        try:
            field = self.query_one(f"#field-{name}") if name.isidentifier() else None
        except NoMatches:
            field = None
        if isinstance(field, Input) and field.password:
            field.value = ""
        (field or self.query_one("#yes")).focus()

    def action_leave(self) -> None:
        """Leave; not while the gateway is asked, which may have done it already."""
        if self._sends:
            self.query_one(".busy", Static).update(Content("It is being done: one moment …"))
        else:
            super().action_leave()

    def dismiss(self, result: dict[str, str] | None = None) -> AwaitComplete:
        """Go, and leave nothing hidden behind."""
        for line in self.query(Input):
            if line.password:
                line.value = ""
        return super().dismiss(result)


def _row(asked: Field) -> Widget:
    name = f"field-{asked.name}"
    label, _, words = asked.label.partition("|")
    field: Widget
    if asked.yes_no:
        field = Tick(Content(words), bool(asked.value), id=name, compact=True)
    elif asked.choices:
        options = [(Content(told), value) for value, told in asked.choices]
        field = Select(options, value=asked.value or asked.choices[0][0], allow_blank=False,
                       id=name, compact=True)  # fmt: skip
    else:
        field = Line(asked.value, placeholder=asked.hint, password=asked.secret, id=name,
                      compact=True)  # fmt: skip
    return Horizontal(Label(Content(flat(label))), field, classes="row")


class ShowOnce(ShowText):
    """A secret that is shown this once.

    Arguments:
        title, text, shown: as for `ShowText`.
        is_kept: whether it is kept elsewhere too; if not, it is asked for twice before it goes.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "leave", "Close", show=False)]

    DEFAULT_CSS = """
    ShowOnce .shown { border-left: thick $accent; }
    """

    def __init__(self, title: str, text: str, shown: str, *, is_kept: bool) -> None:
        super().__init__(title, text, shown)
        self._may_go = is_kept

    def action_copy(self) -> None:
        """Copy it; then it may go."""
        self._may_go = True
        super().action_copy()

    def action_leave(self) -> None:
        """Go, or ask once more."""
        if self._may_go:
            super().action_leave()
            return
        self._may_go = True
        self.notify(
            "It is kept nowhere else, and was not copied: c copies it. Once more closes.",
            severity="warning", markup=False,
        )  # fmt: skip

    @on(Button.Pressed, "#close")
    def _on_close(self, event: Button.Pressed) -> None:
        event.stop()
        event.prevent_default()
        self.action_leave()
