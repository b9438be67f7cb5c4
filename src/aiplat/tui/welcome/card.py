"""The card of the first run: what one can do besides chatting."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Key
from textual.widgets import Button, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from aiplat.control import calls
from aiplat.control.messages import ShareWish
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Dialog
from aiplat.tui.peers.possible import why_not
from aiplat.tui.steady import Steady
from aiplat.tui.text import clean, cut
from aiplat.tui.topbar import TabName
from aiplat.tui.welcome.words import Asked, Flow, Offer, asks_others, is_paused, offers, state_of

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_FLOWS: dict[Flow, str] = {
    "create": "aiplat.tui.peers.actions",
    "invite": "aiplat.tui.peers.actions",
    "join": "aiplat.tui.peers.actions",
    "edit_share": "aiplat.tui.peers.actions",
    "choose_model": "aiplat.tui.models.chooser",
    "make_key": "aiplat.tui.keys.actions",
}
_TITLE_CELLS = 22
_SECONDS = 0.5
_MODELS_SECONDS = 2.0
"""Between two questions which models there are, for a node that has to ask others."""


class WelcomeCard(Dialog[None]):
    """How the node is, and five offers. Left for good with Esc; F10 brings it back."""

    HELP: ClassVar[str] = (
        "The first steps. The chat behind this card works without any of them.\n"
        "A network is some machines that answer for each other; a token lets one in.\n"
        "A larger model answers better and wants more memory.\n"
        "Sharing lets others of your network use this machine, on your terms.\n"
        "A key lets programs of yours ask this node as they would ask OpenAI."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"choose({number})", f"Offer {number}", show=False,
                  id=f"welcome.{number}") for number in range(1, 6)),
        Binding("alt+p", "pause", "Pause or resume sharing", show=False, id="welcome.pause"),
    ]  # fmt: skip

    DEFAULT_CSS = """
    WelcomeCard { background: $background 45%; }
    WelcomeCard > Vertical { width: 74; }
    WelcomeCard VerticalScroll { height: auto; max-height: 1fr; }
    WelcomeCard #state { height: auto; margin-bottom: 1; }
    WelcomeCard OptionList, WelcomeCard OptionList:focus { height: auto; border: none;
        padding: 0; background: $surface; }
    WelcomeCard .buttons { margin-top: 1; }
    WelcomeCard OptionList:focus { background-tint: 0%; }
    WelcomeCard #later { width: 1fr; color: $text-muted; height: 1; }
    WelcomeCard.-short #state { margin-bottom: 0; }
    WelcomeCard.-short .buttons { margin-top: 0; }
    """

    heading = "Welcome to aiplat"

    def __init__(self) -> None:
        super().__init__()
        self._offers: tuple[Offer, ...] = ()
        self._said: Content | None = None
        self._asked: Asked | None = None

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    def compose(self) -> ComposeResult:
        """The node, the offers, and the way to the chat."""
        with Vertical():
            with VerticalScroll(can_focus=False):
                yield Steady(id="state")
                yield OptionList(id="offers")
            with Horizontal(classes="buttons"):
                yield Steady(id="later")
                yield Button("Just chat", id="chat", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Look at the node again and again."""
        super().on_mount()
        key = self.aiplat.key_of("app.welcome") or "the command palette"
        self.query_one("#later", Static).update(Content(f"Esc: just chat. {key} brings this back."))
        self._look()
        self.set_interval(_SECONDS, self._look)
        self.query_one(OptionList).focus()
        self._ask_again()

    @work(group="models", exclusive=True)
    async def _ask_again(self) -> None:
        """Ask which models there are, where the node's status does not tell, while this is seen."""
        while True:
            world = self.aiplat.world
            has_to = world.is_attached and world.status is not None and asks_others(world.status)
            if has_to and self.is_current:
                self._asked = await self._ask()
                self._look()
            await asyncio.sleep(_MODELS_SECONDS if self._asked is not None else _SECONDS)

    async def _ask(self) -> Asked:
        try:
            return Asked((await self.aiplat.link.call(calls.model_list())).models)
        except AiplatError as fault:
            return Asked(trouble=str(fault))

    def _look(self) -> None:
        world = self.aiplat.world
        state = state_of(world, self.aiplat.key_of, self._asked)
        more = clean(state.more)
        said = Content.assemble(
            (f"{state.sign} ", state.colour), (clean(state.line), "bold"),
            ("\n" + more if more else "", "$text-muted"),
        )  # fmt: skip
        if said != self._said:
            self._said = said
            self.query_one("#state", Static).update(said)
        now = offers(world.status, self.aiplat.key_of)
        if now != self._offers:
            self._show(now)

    def _show(self, now: tuple[Offer, ...]) -> None:
        self._offers = now
        listed = self.query_one(OptionList)
        place = listed.highlighted or 0
        room = min(70, self.app.size.width) - _TITLE_CELLS - 10
        listed.set_options(
            Option(_line(offer, self.aiplat.key_of(f"welcome.{offer.number}"), room),
                   disabled=bool(offer.off)) for offer in now
        )  # fmt: skip
        listed.highlighted = place

    def on_key(self, event: Key) -> None:
        """Give way to who types a question: the card leaves, and what was typed is in the chat."""
        numbers = {str(offer.number) for offer in self._offers}
        typed = event.character if event.is_printable else None
        is_seen = self.is_current  # who types fast has typed more before it is gone
        if typed is None or (is_seen and (typed == " " or typed in numbers)):
            return
        event.stop()
        event.prevent_default()
        if is_seen:
            self.action_leave()
        self.app.call_later(self._type, typed)

    def _type(self, typed: str) -> None:
        written = self.app.screen_stack[0].query(TextArea)
        if written:
            written.first().insert(typed)

    async def on_click(self, event: Click) -> None:
        """Leave for a pane whose name, above the card, is clicked."""
        below = self.app.screen_stack[0].get_widgets_at(event.screen_x, event.screen_y)
        for widget, _ in below:
            if isinstance(widget, TabName) and event.widget is self:
                event.stop()
                await self.aiplat.action_show(widget.pane)
                return

    @on(OptionList.OptionSelected)
    def _on_offer(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_choose(event.option_index + 1)

    @on(Button.Pressed)
    def _on_chat(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_leave()

    @work(group="offer", exclusive=True)
    async def action_choose(self, number: int) -> None:
        """Do what is offered; the card is there again afterwards."""
        offer = next((offer for offer in self._offers if offer.number == number), None)
        if offer is None:
            return
        if offer.off:
            self.aiplat.tell(f"{offer.title}: {offer.off}.", severity="warning")
            return
        flow = getattr(importlib.import_module(_FLOWS[offer.flow]), offer.flow)
        try:
            await flow(self.aiplat)
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
        self.aiplat.world.look_now()

    @work(group="pause", exclusive=True)
    async def action_pause(self) -> None:
        """Take nothing from others, or take it again."""
        status = self.aiplat.world.status
        paused = is_paused(status)
        share = status.share if status is not None else None
        if why := why_not("resume" if paused else "pause", status, share):
            self.aiplat.tell(f"Nothing is paused: {why}.", severity="warning")
            return
        try:
            done = await self.aiplat.link.call(calls.set_share(ShareWish(pause=not paused)))
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
        else:
            self.aiplat.tell(done.message)
        self.aiplat.world.look_now()

    def action_leave(self) -> None:
        """Chat, and do not show this by itself again."""
        from msgspec.structs import replace

        if not self.aiplat.preferences.welcomed:
            self.aiplat.set_preferences(replace(self.aiplat.preferences, welcomed=True))
        self.dismiss(None)


def _line(offer: Offer, key: str, room: int) -> Content:
    title = cut(offer.title, _TITLE_CELLS)
    gap = " " * (_TITLE_CELLS - cell_len(title))
    about = cut(f"○ {offer.off}" if offer.off else offer.about, room)
    return Content.assemble(
        (f"{key:<2} ", "$text-muted" if offer.off else "bold $accent"), title, gap,
        (about, "$text-muted"),
    )  # fmt: skip
