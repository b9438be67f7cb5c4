"""What is wrong, and what to do: the node's look at each step, in a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Button

from aiplat.control import calls
from aiplat.control.machine import DoctorReply
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Dialog
from aiplat.tui.peers.doctor_words import doctor_lines
from aiplat.tui.peers.told import Told
from aiplat.tui.text import clean

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


_LOOKING = (
    "◌ Looking at each step from here to an answer. Each address is tried, so this may take up to "
    f"{calls.LOOKING:.0f} s."
)


class DoctorScreen(Dialog[None]):
    """The steps from here to an answer: ✓ is well, ✕ is not, → what to do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look", "Look again", id="peers.look_again"),
        Binding("enter", "leave", "Close", show=False),
    ]

    DEFAULT_CSS = """
    DoctorScreen > Vertical { width: 96; }
    DoctorScreen .body { scrollbar-gutter: stable; }
    DoctorScreen Told { padding: 0; margin-bottom: 1; }
    """

    heading = "Doctor"

    def __init__(self) -> None:
        super().__init__()
        self._found: DoctorReply | None = None

    @property
    def _again(self) -> str:
        return cast("Frame", self.app).key_of("peers.look_again")

    def compose(self) -> ComposeResult:
        """The steps, and two buttons."""
        with Vertical():
            with VerticalScroll(classes="body"):
                yield Told()
            with Horizontal(classes="buttons"):
                yield Button(Content(f"Look again  {self._again}"), id="again")
                yield Button("Close", id="close")

    def on_mount(self) -> None:
        """Look."""
        super().on_mount()
        self.query_one(".body").focus()
        self.action_look()

    def on_resize(self, event: Resize) -> None:
        """Break the lines anew."""
        if self._found is not None:
            self._draw(self._found)

    def action_look(self) -> None:
        """Look at each step."""
        self._found = None
        self.query_one(Told).tell([((_LOOKING, ""),)])
        self._look()

    @work(exclusive=True, group="doctor")
    async def _look(self) -> None:
        try:
            self._found = await cast("Frame", self.app).link.call(calls.doctor())
        except AiplatError as fault:
            again = (f"{self._again} looks again.", "$text-muted")
            self.query_one(Told).tell([((f"✕ {clean(str(fault))}", "$error"),), (again,)])
        else:
            self._draw(self._found)

    def _draw(self, found: DoctorReply) -> None:
        cells = self.query_one(".body", VerticalScroll).scrollable_content_region.width
        self.query_one(Told).tell(doctor_lines(found, max(30, cells)))

    @on(Button.Pressed)
    def _on_button(self, event: Button.Pressed) -> None:
        if event.button.id == "again":
            self.action_look()
        else:
            self.dismiss(None)
