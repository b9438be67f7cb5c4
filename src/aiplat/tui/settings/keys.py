"""The list of keys: every action, and how it gets another key."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from msgspec.structs import replace
from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from aiplat.tui.actions import Known, known_actions
from aiplat.tui.keymap import changed, display, keys_of, rivals
from aiplat.tui.line import Line
from aiplat.tui.settings.capture import PressKey
from aiplat.tui.text import cut, flat
from aiplat.tui.threads import in_thread

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_KEY_CELLS = 22


class KeyList(Vertical):
    """Every action with its key, by place. Enter asks for another one, Backspace takes it back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "press", "Another key", id="settings.key"),
        Binding("backspace,delete", "reset", "Usual key", id="settings.usual_key"),
        Binding("slash", "find", "Find", id="settings.find"),
    ]

    DEFAULT_CSS = """
    KeyList { height: 1fr; }
    KeyList Input { border: none; height: 1; padding: 0 1; background: $panel; margin-bottom: 1; }
    KeyList .hint { color: $text-muted; height: 1; }
    KeyList OptionList, KeyList OptionList:focus { height: 1fr; border: none; padding: 0;
        background: $surface; scrollbar-size-vertical: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.actions: tuple[Known, ...] = ()

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    def compose(self) -> ComposeResult:
        """A line to find one, and the list."""
        yield Line(placeholder="Find an action, a key or a place", id="find-key", compact=True)
        yield OptionList(id="key-list")
        yield Static("Enter asks for another key, Backspace gives the usual one.", classes="hint")

    def on_mount(self) -> None:
        """Learn all actions; that imports the panes that were not shown yet."""
        self._learn()

    @work(exclusive=True)
    async def _learn(self) -> None:
        self.actions = await in_thread(known_actions)
        self.draw()

    def on_resize(self, event: Resize) -> None:
        """Draw for the new width."""
        self.draw()

    def draw(self) -> None:
        """Show the list as the keys are now."""
        listed = self.query_one(OptionList)
        at = self.current.id if self.current is not None else ""
        words = self.query_one(Input).value.casefold().split()
        options: list[Option] = []
        place = ""
        for action in self.actions:
            keys = self.keys(action)
            text = f"{action.id} {action.description} {action.place} {keys}".casefold()
            if not all(word in text for word in words):
                continue
            if action.place != place:
                place = action.place
                options.append(Option(Content.assemble((place, "bold $accent")), disabled=True))
            options.append(Option(self._line(action, keys), id=action.id.replace(".", "--")))
        listed.set_options(options)
        ids = [option.id for option in options]
        wanted = at.replace(".", "--")
        first = next((n for n, option in enumerate(options) if not option.disabled), None)
        listed.highlighted = ids.index(wanted) if wanted in ids else first

    def keys(self, action: Known) -> str:
        """Its keys now, as they are shown."""
        keys = keys_of(action, self.aiplat.preferences.keymap)
        return " ".join(display(self.aiplat, key) for key in keys)

    def _line(self, action: Known, keys: str) -> Content:
        width = max(24, self.size.width - 3)
        own = action.id in self.aiplat.preferences.keymap
        room = width - _KEY_CELLS - 2
        name = cut(flat(action.description), room)
        mark = "  yours" if own else ""
        return Content.assemble(
            "  ", name, " " * (room - cell_len(name)),
            (cut(keys, _KEY_CELLS - len(mark)), "bold"), (mark, "$accent"),
        )  # fmt: skip

    @property
    def current(self) -> Known | None:
        """The action with the cursor."""
        option = self.query_one(OptionList).highlighted_option
        name = (option.id or "").replace("--", ".") if option is not None else ""
        return next((action for action in self.actions if action.id == name), None)

    @on(Input.Changed)
    def _on_find_typed(self, event: Input.Changed) -> None:
        event.stop()
        self.draw()

    @on(Input.Submitted)
    def _on_found(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _on_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_press()

    def action_find(self) -> None:
        """Type what to find."""
        self.query_one(Input).focus()

    @work(exclusive=True, group="press")
    async def action_press(self) -> None:
        """Ask for another key, and keep it."""
        action = self.current
        if action is None:
            return
        keymap = self.aiplat.preferences.keymap
        key = await self.app.push_screen_wait(
            PressKey(
                action.description,
                self.keys(action),
                lambda key: changed(self.actions, keymap, action.id, key),
            )
        )
        if key is not None:
            self._keep(changed(self.actions, keymap, action.id, key))

    def action_reset(self) -> None:
        """Take the usual key back."""
        action, keymap = self.current, dict(self.aiplat.preferences.keymap)
        if action is None or keymap.pop(action.id, None) is None:
            return
        self._keep(keymap)
        for key in keys_of(action, {}):
            for other in rivals(self.actions, keymap, action, key):
                self.aiplat.tell(
                    f"{display(self.aiplat, key)} is the key of “{other.description}” "
                    f"({other.place}), too: give that another one.", severity="warning",
                )  # fmt: skip

    def _keep(self, keymap: dict[str, str]) -> None:
        self.aiplat.set_preferences(replace(self.aiplat.preferences, keymap=keymap))
        self.draw()
