"""The settings of the screens: how they look, which key does what, what is kept, where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from msgspec.structs import replace
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import (
    Button,
    Input,
    OptionList,
    Static,
    TabbedContent,
    TabPane,
)
from textual.widgets.option_list import Option

from aiplat.control import calls
from aiplat.control.history import HistoryState, Nothing, Retention
from aiplat.control.machine import LogAsk
from aiplat.control.messages import Done
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Confirm, Dialog
from aiplat.tui.footer import Keys
from aiplat.tui.line import Line
from aiplat.tui.settings.keys import KeyList
from aiplat.tui.settings.words import (
    KEPT,
    LOG,
    MODELS,
    OWN_FILE,
    PLACES,
    SOCKET,
    Choice,
    Place,
    choices_of,
    days_of,
    kept_words,
    lasting,
    ordered,
    theme_words,
)
from aiplat.tui.text import clean, flat

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_TABS = ("look", "keymap", "kept", "places")


class SettingsScreen(Dialog[None]):
    """What can be set. Each change holds at once, and is kept for the next run."""

    HELP: ClassVar[str] = (
        "What you set holds at once, and is kept for the next run.\n"
        "Look: going over the themes shows them, Enter keeps one.\n"
        "Keys: Enter on an action, then the new key; Backspace takes the usual one back.\n"
        "Conversations: for how many days they are kept after they were used last.\n"
        "Files: where things lie; Enter copies a path.\n"
        "[ and ] go from one part to the next; F6 does, too, while one types."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,f6", "part(1)", "Next part", id="settings.next"),
        Binding("left_square_bracket", "part(-1)", "Part before", show=False, id="settings.before"),
    ]

    DEFAULT_CSS = """
    SettingsScreen > Vertical { width: 100; height: 96%; max-height: 40; padding: 0 2; }
    SettingsScreen TabbedContent { height: 1fr; }
    SettingsScreen ContentSwitcher { height: 1fr; }
    SettingsScreen TabPane { height: 1fr; padding: 1 1 0 1; }
    SettingsScreen #themes, SettingsScreen #themes:focus, SettingsScreen #paths,
    SettingsScreen #paths:focus { border: none; padding: 0; background: $surface;
        scrollbar-size-vertical: 1; }
    SettingsScreen #themes { height: 1fr; width: 1fr; margin-right: 3; }
    SettingsScreen #choices, SettingsScreen #choices:focus { width: 1fr; height: auto;
        max-height: 1fr; border: none; padding: 0; background: $surface; }
    SettingsScreen OptionList:focus { background-tint: 0%; }
    SettingsScreen .hint { dock: bottom; color: $text-muted; height: 1; }
    SettingsScreen .title { color: $text-muted; margin-bottom: 0; height: 1; }
    SettingsScreen .said { height: auto; margin-bottom: 1; }
    SettingsScreen #days { width: 12; border: none; height: 1; background: $panel; padding: 0 1;
        margin: 0; }
    SettingsScreen #retain { height: auto; margin-bottom: 1; }
    SettingsScreen #retain Static { width: auto; height: 1; }
    SettingsScreen #keep { height: 1; border: none; min-width: 8; margin-left: 2; }
    SettingsScreen #paths { height: auto; max-height: 1fr; }
    SettingsScreen Keys { background: $surface; padding: 0; }
    SettingsScreen Keys .always { display: none; }
    SettingsScreen.-short > Vertical { padding: 0 1; }
    SettingsScreen.-short TabPane { padding: 0 1; }
    SettingsScreen.-narrow #themes { margin-right: 1; }
    """

    heading = "Settings"

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place] = []
        self._state: HistoryState | None = None

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    # -- what is seen ----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Four parts, and the keys."""
        with Vertical():
            with TabbedContent(initial="look"):
                with TabPane("Look", id="look"):
                    yield from self._look()
                    yield Static("Enter keeps a theme, or takes the next value.", classes="hint")
                with TabPane("Keys", id="keymap"):
                    yield KeyList()
                with TabPane("Conversations", id="kept"):
                    yield from self._kept()
                with TabPane("Files", id="places"):
                    yield Static("Enter copies the path.", classes="said")
                    yield OptionList(id="paths")
            yield Keys()

    def _look(self) -> ComposeResult:
        with Horizontal():
            yield OptionList(
                *(Option(Content(theme_words(name)), id=name)
                  for name in ordered(self.app.available_themes)),
                id="themes",
            )  # fmt: skip
            yield OptionList(*map(_choice, choices_of(self.aiplat.preferences)), id="choices")

    def _kept(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Static("Asking the node …", id="history", classes="said", markup=False)
            with Horizontal(id="retain"):
                yield Static("Keep them for ", markup=False)
                yield Line(id="days", type="integer", compact=True, max_length=6)
                yield Static(" days", markup=False)
                yield Button("Keep", id="keep", compact=True)
            yield Static(
                "Counted from when a conversation was used last; 0 keeps them for ever.",
                classes="said title", markup=False,
            )  # fmt: skip
            yield Static("", classes="fault", markup=False)

    def on_mount(self) -> None:
        """Stand on the theme that holds; ask the node for the rest."""
        super().on_mount()
        themes = self.query_one("#themes", OptionList)
        theme = self.app.theme
        themes.highlighted = themes.get_option_index(theme)
        themes.focus()
        self._ask_history()
        self._ask_places()

    @work(exclusive=True, group="history")
    async def _ask_history(self) -> None:
        line = self.query_one("#history", Static)
        try:
            state = await self.aiplat.link.call(calls.history("state", Nothing(), HistoryState))
        except AiplatError as fault:
            line.update(Content(clean(f"✕ {fault}")))
            return
        if not self.is_shown:
            return
        self._state = state
        line.update(Content(kept_words(state)))
        self.query_one("#days", Input).value = str(state.days)
        self._add_places([Place(KEPT, state.path)])

    @work(exclusive=True, group="places")
    async def _ask_places(self) -> None:
        own = self.aiplat.preferences_file.path
        self._add_places([Place(OWN_FILE, "" if own is None else str(own))])
        status = self.aiplat.world.status
        if status is not None:
            self._add_places([Place(SOCKET, status.control)])
        try:
            log = await self.aiplat.link.call(calls.log(LogAsk(most=1)))
            self._add_places([Place(LOG, log.path)])
            shelf = await self.aiplat.link.call(calls.shelf())
            self._add_places([Place(MODELS, shelf.cache)])
        except AiplatError:
            pass  # what could not be asked is not listed; the line above the panes says why

    def _add_places(self, new: list[Place]) -> None:
        if not self.is_shown:
            return
        self.places.extend(place for place in new if place.path)
        self.places.sort(key=lambda place: PLACES.index(place.what))
        lines = [
            Content.assemble((flat(place.what), "$text-muted"), "\n  ", flat(place.path))
            for place in self.places
        ]
        listed = self.query_one("#paths", OptionList)
        at = listed.highlighted or 0
        listed.set_options(Option(line) for line in lines)
        listed.highlighted = at if self.places else None

    # -- what a person does ----------------------------------------------------------------------

    def action_part(self, way: int) -> None:
        """Show another part."""
        tabs = self.query_one(TabbedContent)
        tabs.active = _TABS[(_TABS.index(tabs.active) + way) % len(_TABS)]
        first = {"look": "#themes", "keymap": "#key-list", "kept": "#keep", "places": "#paths"}
        self.query_one(first[tabs.active]).focus()

    @on(OptionList.OptionHighlighted, "#themes")
    def _on_theme_seen(self, event: OptionList.OptionHighlighted) -> None:
        """Show it while the cursor is there."""
        if event.option.id:
            self.app.theme = event.option.id

    @on(OptionList.OptionSelected, "#themes")
    def _on_theme_chosen(self, event: OptionList.OptionSelected) -> None:
        name = event.option.id or ""
        self._set(theme=name)
        self.aiplat.tell(f"The theme is {name}.")

    @on(OptionList.OptionSelected, "#choices")
    def _on_choice(self, event: OptionList.OptionSelected) -> None:
        """The next value of it."""
        chosen = choices_of(self.aiplat.preferences)[event.option_index]
        self._set(**{chosen.name: chosen.following})
        for place, choice in enumerate(choices_of(self.aiplat.preferences)):
            event.option_list.replace_option_prompt_at_index(place, _choice(choice).prompt)

    def _set(self, **changes: object) -> None:
        before = self.aiplat.preferences
        after = replace(before, **changes)
        if after != before:
            seen = self.app.theme
            self.aiplat.set_preferences(after)
            if "theme" not in changes:
                self.app.theme = seen

    @on(OptionList.OptionSelected, "#paths")
    def _on_path(self, event: OptionList.OptionSelected) -> None:
        self.app.copy_to_clipboard(self.places[event.option_index].path)

    @on(Input.Submitted, "#days")
    @on(Button.Pressed, "#keep")
    @work(exclusive=True, group="retain")
    async def _on_retain(self) -> None:
        """Keep conversations for that long; ask before something is deleted by it."""
        try:
            days = days_of(self.query_one("#days", Input).value)
        except AiplatError as fault:
            self.fault(str(fault))
            return
        self.fault("")
        before = self._state.days if self._state is not None else 0
        if days and (not before or days < before):
            text = (
                f"Conversations will be {lasting(days).removeprefix('each is ')}: those that are "
                "older already are deleted now, and cannot be brought back."
            )
            if not await self.app.push_screen_wait(Confirm("Keep them for less long?", text)):
                return
        try:
            done = await self.aiplat.link.call(calls.history("retain", Retention(days=days), Done))
        except AiplatError as fault:
            self.fault(str(fault))
            return
        self.aiplat.tell(done.message)
        self._ask_history()

    def on_unmount(self) -> None:
        """Show the theme again that was chosen."""
        self.aiplat.apply(self.aiplat.preferences)


def _choice(choice: Choice) -> Option:
    return Option(
        Content.assemble((f"{choice.title:<10}", "$text-muted"), ("‹ ", "$accent"), choice.words,
                         (" ›", "$accent"))
    )  # fmt: skip
