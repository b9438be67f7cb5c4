"""The models of this machine: which it has and offers, and how another one comes here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from aiplat.control import calls
from aiplat.control.calls import Call
from aiplat.control.machine import PullWish, ServeWish, Shelf
from aiplat.control.messages import Done, ModelName
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Confirm, Dialog
from aiplat.tui.footer import Keys
from aiplat.tui.line import Line
from aiplat.tui.models.words import (
    Item,
    items_of,
    notes_of,
    progress,
    room_words,
    state_of,
    too_large,
)
from aiplat.tui.steady import Steady
from aiplat.tui.text import clean, cut, flat, size

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_SECONDS = 1.0
_SIZE_CELLS, _STATE_CELLS = 10, 28


async def choose_model(app: Frame) -> None:
    """Show the models until the person leaves. Call it in a worker."""
    if not any(isinstance(screen, ModelsScreen) for screen in app.screen_stack):
        await app.push_screen_wait(ModelsScreen())


class ModelsScreen(Dialog[None]):
    """The models that this machine has or could have, and what is being brought."""

    HELP: ClassVar[str] = (
        "The models of this machine: what it has, what it offers, what it could fetch.\n"
        "● offered: this node answers with it, for you and, if you share, for others.\n"
        "○ here: it lies on the disk, and can be offered without fetching it.\n"
        "· to fetch   ↓ being brought   ▲ it may not fit   ✕ it could not be fetched.\n"
        "Any other of the Hugging Face hub: type its name, org/name, below the list;\n"
        "org/name@revision and org/name:file.gguf work, too. A file that was begun is gone on with."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "get", "Get and offer", show=False, id="models.get"),
        Binding("o", "offer", "Offer", id="models.offer"),
        Binding("w", "withdraw", "Withdraw", id="models.withdraw"),
        Binding("x", "cancel", "Stop fetching", id="models.cancel"),
        Binding("d", "remove", "Remove", id="models.remove"),
        Binding("n", "another", "Another one", id="models.another"),
    ]

    DEFAULT_CSS = """
    ModelsScreen > Vertical { width: 92; padding: 1 2 0 2; }
    ModelsScreen .room { height: auto; color: $text-muted; margin-bottom: 1; }
    ModelsScreen OptionList, ModelsScreen OptionList:focus { height: auto; max-height: 1fr;
        min-height: 3; border: none;
        padding: 0; background: $surface; scrollbar-size-vertical: 1; }
    ModelsScreen #note { height: auto; max-height: 3; color: $text-muted; margin-top: 1; }
    ModelsScreen Input { border: none; height: 1; padding: 0 1; background: $panel;
        margin: 1 0 0 0; }
    ModelsScreen .fault { margin: 1 0 0 0; }
    ModelsScreen OptionList:focus { background-tint: 0%; }
    ModelsScreen Keys { background: $surface; padding: 0; margin-top: 1; }
    ModelsScreen Keys .always { display: none; }
    ModelsScreen.-short > Vertical { padding: 0 1; }
    ModelsScreen.-short .room { margin-bottom: 0; }
    ModelsScreen.-short Input, ModelsScreen.-short #note, ModelsScreen.-short Keys
        { margin-top: 0; }
    """

    heading = "Models of this machine"

    def __init__(self) -> None:
        super().__init__()
        self.shelf: Shelf | None = None
        self.items: list[Item] = []
        self._wake = asyncio.Event()
        self._trouble = ""

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    def compose(self) -> ComposeResult:
        """What there is room for, the models, a line for another one, the keys."""
        with Vertical():
            yield Static("Asking the node …", classes="room", markup=False)
            yield OptionList(id="models")
            yield Steady(id="note")
            yield Steady(classes="fault")
            yield Line(placeholder="Another one of the hub: org/name", id="name", compact=True)
            yield Keys()

    def on_mount(self) -> None:
        """Begin to ask."""
        super().on_mount()
        self.query_one(OptionList).focus()
        self._ask_again()

    @work(exclusive=True, group="shelf")
    async def _ask_again(self) -> None:
        while True:
            self._wake.clear()
            trouble = ""
            try:
                self.shelf = await self.aiplat.link.call(calls.shelf())
            except AiplatError as fault:
                trouble = str(fault)
            if not self.is_shown:
                return
            self._fault(trouble)
            if not trouble:
                self._draw()
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _fault(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self.fault(text)
            if self.shelf is None:
                self.query_one(".room", Static).update(Content("" if text else "Asking …"))

    # -- drawing ---------------------------------------------------------------------------------

    def _draw(self) -> None:
        shelf, listed = self.shelf, self.query_one(OptionList)
        if shelf is None:
            return
        at = self.current.model.name if self.current is not None else ""
        before = [item.model.name for item in self.items]
        self.items = items_of(shelf)
        self.query_one(".room", Static).update(Content(room_words(shelf) or "No model is known."))
        width = max(20, self.query_one(Vertical).size.width - 4)
        lines = [_line(item, shelf, width) for item in self.items]
        if [item.model.name for item in self.items] == before:
            for place, line in enumerate(lines):
                listed.replace_option_prompt_at_index(place, line)
        else:
            listed.set_options(Option(line) for line in lines)
            names = [item.model.name for item in self.items]
            if names:
                listed.highlighted = names.index(at) if at in names else 0
        self._tell()

    def _tell(self) -> None:
        """Say what is to be said of the model with the cursor."""
        item = self.current
        words = list(notes_of(item)) if item is not None else []
        if (
            item is not None
            and self.shelf is not None
            and (why := too_large(item.model, self.shelf))
        ):
            words.insert(0, f"It may not fit: {why}.")
        if item is not None and not words:
            words = [{"fetch": "Enter fetches it, and offers it when it is here.",
                      "offer": "Enter offers it, now and after restarts.",
                      "none": ""}[item.next_step]]  # fmt: skip
        note = self.query_one("#note", Static)
        text = clean(" ".join(words))
        note.update(Content(text))
        note.display = bool(text)
        self.refresh_bindings()

    def on_resize(self, event: Resize) -> None:
        """Draw for the new width."""
        self.call_after_refresh(self._draw)

    @property
    def current(self) -> Item | None:
        """The model with the cursor."""
        place = self.query_one(OptionList).highlighted if self.is_mounted else None
        return self.items[place] if place is not None and place < len(self.items) else None

    # -- what a person does ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense for the model with the cursor."""
        item = self.current
        match action:
            case "get":
                return item is not None and item.next_step != "none"
            case "offer":
                return item is not None and item.next_step == "offer"
            case "withdraw":
                return item is not None and item.model.served
            case "cancel":
                return item is not None and item.is_pulled
            case "remove":
                return item is not None and item.model.here and not item.model.served
            case _:
                return True

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now."""
        return {
            "offer": "it is not here, or offered already", "withdraw": "it is not offered",
            "cancel": "it is not being fetched", "remove": "it is not here, or offered",
            "get": "it is offered, or on its way",
        }.get(action, "")  # fmt: skip

    async def _do(self, call: Call[Done]) -> None:
        try:
            done = await self.aiplat.link.call(call)
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
        else:
            self.aiplat.tell(done.message)
        self._wake.set()

    @on(OptionList.OptionSelected)
    def _on_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_get()

    @on(OptionList.OptionHighlighted)
    def _on_cursor(self) -> None:
        self._tell()

    @work(group="doing")
    async def action_get(self) -> None:
        """Fetch it and offer it, or only offer what is here."""
        item, shelf = self.current, self.shelf
        if item is None or shelf is None or item.next_step == "none":
            return
        name = item.model.name
        if item.next_step == "offer":
            await self._do(calls.serve_model(ServeWish(model=name)))
            return
        if why := too_large(item.model, shelf):
            text = f"{flat(name)} may not fit: {why}. It takes {size(item.model.bytes)}."
            if not await self.app.push_screen_wait(Confirm("Fetch it?", text, yes="Fetch anyway")):
                return
        await self._do(calls.pull_model(PullWish(model=name)))

    @work(group="doing")
    async def action_offer(self) -> None:
        """Offer what lies here."""
        if self.current is not None:
            await self._do(calls.serve_model(ServeWish(model=self.current.model.name)))

    @work(group="doing")
    async def action_withdraw(self) -> None:
        """Offer it no more; it stays on the disk."""
        if self.current is not None:
            await self._do(calls.serve_model(ServeWish(model=self.current.model.name, off=True)))

    @work(group="doing")
    async def action_cancel(self) -> None:
        """End what is being fetched; the next time goes on from there."""
        if self.current is not None:
            await self._do(calls.pull_model(PullWish(model=self.current.model.name, cancel=True)))

    @work(group="doing")
    async def action_remove(self) -> None:
        """Remove it from the disk."""
        item = self.current
        if item is None:
            return
        text = (
            f"This removes {flat(item.model.name)} ({size(item.model.bytes)}) from the disk, for "
            "every home of this account. It can be fetched again."
        )
        if await self.app.push_screen_wait(Confirm("Remove it?", text, yes="Remove")):
            await self._do(calls.remove_model(ModelName(model=item.model.name)))

    def action_another(self) -> None:
        """Type the name of another one."""
        self.query_one("#name").focus()

    @on(Input.Submitted, "#name")
    @work(group="doing")
    async def _on_named(self, event: Input.Submitted) -> None:
        name = event.value.strip()
        if name:
            event.input.value = ""
            self.query_one(OptionList).focus()
            await self._do(calls.pull_model(PullWish(model=name)))

    def action_leave(self) -> None:
        """Back from the line to the list, then out; what is being fetched goes on."""
        if self.focused is self.query_one("#name"):
            self.query_one(OptionList).focus()
        else:
            self.dismiss(None)


def _line(item: Item, shelf: Shelf, width: int) -> Content:
    """Name, size, state in columns; below it how far a pull is."""
    sign, colour, words = state_of(item, shelf)
    state_cells = min(_STATE_CELLS, max(14, width // 3))
    room = width - _SIZE_CELLS - state_cells - 4
    name = cut(flat(item.model.name), room)
    told = size(item.model.bytes) if item.model.bytes else ""
    first = Content.assemble(
        (sign, colour), " ", name, " " * (room - cell_len(name)),
        (f"{told:>{_SIZE_CELLS}}", "$text-muted"), "  ", (cut(words, state_cells), colour),
    )  # fmt: skip
    if item.pull is None or not item.is_pulled:
        return first
    full, empty, far = progress(item.pull, max(8, min(40, width - 36)))
    gap = "  " if full or empty else ""
    return Content.assemble(
        first, "\n  ", (full, "$accent"), (empty, "$text-muted"), gap, (far, "$text-muted")
    )
