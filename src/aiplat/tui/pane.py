"""What the panes have in common: they ask the node again and again while they are seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import work
from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.widgets import Static

from aiplat.domain.errors import AiplatError
from aiplat.tui.notice import Notice
from aiplat.tui.world import World

if TYPE_CHECKING:
    from aiplat.control.calls import Call, Reply
    from aiplat.tui.frame import Frame

Value = TypeVar("Value")


class Pane(Vertical):
    """One of the five panes. Made when it is first shown, and kept.

    A subclass gives `SECONDS` and `load`, which asks the node and shows what it said. A fault of
    `load` is shown in a line above the pane, and what was there stays.
    """

    SECONDS: ClassVar[float] = 1.0
    """Between two loads while the pane is seen."""
    HELP: ClassVar[str] = ""
    """What the pane is for, and what its signs mean; for F1."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    """

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    @property
    def world(self) -> World:
        """What is known of the node."""
        return self.aiplat.world

    async def ask(self, call: Call[Reply]) -> Reply:
        """Put a question to the node; raises `AiplatError`."""
        return await self.aiplat.link.call(call)

    async def load(self) -> None:
        """Ask the node, and show what it says. Raises `AiplatError`."""

    def focus_first(self) -> None:
        """Put the focus where a person expects it when the pane is shown.

        Where nothing in it can have it yet, the pane itself has it, so that its keys are there.
        """
        for widget in self.query("*").results():
            if widget.focusable:
                widget.focus()
                return
        self.can_focus = True
        self.focus()

    def refocus(self) -> None:
        """Put the focus on what came with the figures, where nothing has it, or the pane alone."""
        app = self.aiplat
        if not app.is_seen(self) or len(app.screen_stack) > 1 or app.focused not in (None, self):
            return
        if app.focused is None or any(w.focusable for w in self.query("*").results()):
            self.can_focus = False
            self.focus_first()

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now (`check_action`), in a few words for F1."""
        return ""

    # -- its life --------------------------------------------------------------------------------

    def shown(self) -> None:
        """It is seen from now on."""
        self._load_again()

    def hidden(self) -> None:
        """It is not seen any more."""
        self.workers.cancel_group(self, "load")

    def reload(self) -> None:
        """Load at once."""
        if self.is_mounted and self.aiplat.is_seen(self):
            self._load_again()

    def node_changed(self) -> None:
        """The node was looked at; another one may be there."""

    @work(exclusive=True, group="load", exit_on_error=True)
    async def _load_again(self) -> None:
        while True:
            if self.world.is_attached:
                try:
                    await self.load()
                except AiplatError as fault:
                    self.show_fault(str(fault))
                except NoMatches:
                    if self.aiplat.is_running:
                        raise
                    return  # the program ends, and takes the parts of the pane away first
                else:
                    self.show_fault("")
            self.refocus()
            await asyncio.sleep(self.SECONDS)

    def show_fault(self, text: str) -> None:
        """Show what went wrong, above all else; nothing with an empty text."""
        found = self.query(Notice)
        if found:
            found.first().tell(text, "error")

    # -- doing things ----------------------------------------------------------------------------

    async def do(self, call: Call[Reply], said: str = "") -> Reply | None:
        """Put a question that changes something, and tell how it went; None when it failed.

        Arguments:
            said: what to tell when it went well; empty for what the node says.
        """
        try:
            reply = await self.ask(call)
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
            return None
        text = said or getattr(reply, "message", "")
        if text:
            self.aiplat.tell(text)
        self.reload()
        return reply


__all__ = ["Pane", "Static"]
