"""The full screen: five panes, of which one is seen, between a line of names and one of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Event, Key
from textual.widgets import ContentSwitcher

from aiplat.domain.errors import AiplatError
from aiplat.tui.banner import Banner
from aiplat.tui.clipboard import Clipboard
from aiplat.tui.clock import Clock, SystemClock
from aiplat.tui.footer import Keys
from aiplat.tui.link import Link, Start
from aiplat.tui.pane import Pane
from aiplat.tui.preferences import Preferences, PreferencesFile
from aiplat.tui.terminal_keys import mend, untyped
from aiplat.tui.text import clean
from aiplat.tui.themes import DARK, THEMES, with_muted
from aiplat.tui.threads import in_thread
from aiplat.tui.topbar import TabName, TopBar
from aiplat.tui.world import World

if TYPE_CHECKING:
    from textual.command import Provider


def _chat() -> Pane:
    from aiplat.tui.chat.pane import ChatPane

    return ChatPane(id="chat")


def _peers() -> Pane:
    from aiplat.tui.peers.pane import PeersPane

    return PeersPane(id="peers")


def _keys() -> Pane:
    from aiplat.tui.keys.pane import KeysPane

    return KeysPane(id="keys")


def _usage() -> Pane:
    from aiplat.tui.usage.pane import UsagePane

    return UsagePane(id="usage")


def _logs() -> Pane:
    from aiplat.tui.logs.pane import LogsPane

    return LogsPane(id="logs")


PANES: dict[str, tuple[str, Callable[[], Pane]]] = {
    "chat": ("Chat", _chat),
    "peers": ("Peers", _peers),
    "keys": ("Keys", _keys),
    "usage": ("Usage", _usage),
    "logs": ("Logs", _logs),
}


def _commands() -> type[Provider]:
    from aiplat.tui.commands import ActionsProvider

    return ActionsProvider


class AiplatApp(App[None]):
    """The full screen of one node.

    Arguments:
        link: asks the node.
        start: starts one; None where this face may not.
        preferences: what the person set.
        clock: what time it is.
        clipboard: where copies go; None for the real one.
    """

    TITLE = "aiplat"
    COMMANDS: ClassVar = {_commands}
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]  # noqa: RUF012  # so typed in App
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-tall")]  # noqa: RUF012  # the same
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+1", "show('chat')", "Chat", show=False, priority=True, id="app.chat"),
        Binding("alt+2", "show('peers')", "Peers", show=False, priority=True, id="app.peers"),
        Binding("alt+3", "show('keys')", "Keys", show=False, priority=True, id="app.keys"),
        Binding("alt+4", "show('usage')", "Usage", show=False, priority=True, id="app.usage"),
        Binding("alt+5", "show('logs')", "Logs", show=False, priority=True, id="app.logs"),
        Binding("f1", "help", "Help", priority=True, id="app.help"),
        Binding("ctrl+p", "command_palette", "Commands", priority=True, id="app.palette"),
        Binding("f2", "jump", "Jump", show=False, priority=True, id="app.jump"),
        Binding("f5", "start_node", "Start the node", show=False, priority=True, id="app.start"),
        Binding("f8", "models", "Models", show=False, priority=True, id="app.models"),
        Binding("f9", "settings", "Settings", show=False, priority=True, id="app.settings"),
        Binding("f10", "welcome", "First steps", show=False, priority=True, id="app.welcome"),
        Binding("ctrl+q", "quit", "Quit", priority=True, id="app.quit"),
    ]
    CSS = """
    #panes { height: 1fr; }
    CommandPalette SearchIcon { display: none; }
    CommandPalette > Vertical { width: 76; max-width: 100%; }
    CommandPalette CommandInput { padding-left: 1; }
    ToastRack { align: right top; margin: 1 0 0 0; }
    Toast { background: $panel; }
    """

    def __init__(
        self,
        link: Link,
        start: Start | None = None,
        *,
        preferences: PreferencesFile | None = None,
        clock: Clock | None = None,
        clipboard: Clipboard | None = None,
    ) -> None:
        mend()
        super().__init__()
        self.link = link
        self.clock = clock if clock is not None else SystemClock()
        self.preferences_file = preferences if preferences is not None else PreferencesFile(None)
        self.preferences, self._wrong = self.preferences_file.read()
        self.world = World(link, start, self.clock, self._world_changed)
        self._wanted = ""
        self._copier = clipboard if clipboard is not None else Clipboard(self._to_terminal)
        for theme in THEMES:
            self.register_theme(theme)
        self.apply(self.preferences)

    async def on_event(self, event: Event) -> None:
        """Take an event; a key with Alt types nothing."""
        await super().on_event(untyped(event) if isinstance(event, Key) else event)

    # -- what is seen ----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The lines above, the panes, the keys."""
        yield TopBar({name: title for name, (title, _) in PANES.items()})
        yield Banner(id="banner")
        with ContentSwitcher(initial=None, id="panes"):
            pass
        yield Keys()

    def on_mount(self) -> None:
        """Paint the frame; what is in it comes when that is seen, and the node behind it."""
        self.query_one(TopBar).activate("chat")
        self.call_after_refresh(self._furnish)

    async def _furnish(self) -> None:
        self.run_worker(self.world.run(), name="world", exit_on_error=True)
        await self.show_pane(self._wanted or "chat")
        if self._wrong:
            self.tell(self._wrong, severity="warning")
        if not self.preferences.welcomed:
            self.call_after_refresh(self.action_welcome)

    @property
    def pane(self) -> Pane | None:
        """The pane that is seen."""
        found = self.query_one("#panes", ContentSwitcher).visible_content
        return found if isinstance(found, Pane) else None

    def is_seen(self, pane: Pane) -> bool:
        """Whether that pane is the one."""
        return self.pane is pane

    async def show_pane(self, name: str) -> None:
        """Show a pane; it is made when it is shown first. The pane that was asked for last wins."""
        self._wanted = name
        switcher = self.screen_stack[0].query_one("#panes", ContentSwitcher)
        before = switcher.visible_content
        if isinstance(before, Pane) and before.id == name:
            return
        if isinstance(before, Pane):
            before.hidden()
        if not switcher.query(f"#{name}"):
            made = PANES[name][1]()
            made.display = False
            await switcher.mount(made)
        if self._wanted != name:
            return
        switcher.current = name
        self.screen_stack[0].query_one(TopBar).activate(name)
        pane = switcher.query_one(f"#{name}", Pane)
        pane.shown()
        pane.focus_first()

    def _world_changed(self) -> None:
        if not self.is_running or not self.screen_stack:
            return
        screen = self.screen_stack[0]
        screen.query_one(TopBar).show(self.world)
        screen.query_one(Banner).show(self.world, self.key_of("app.start"))
        for pane in screen.query(Pane):
            pane.node_changed()

    def key_of(self, binding_id: str) -> str:
        """The key that does that now, as it is shown to a person; empty where none does."""
        for node in (self.screen, self):
            for key, binding in node._bindings:
                if binding.id == binding_id:
                    wanted = self._keymap.get(binding_id, key).partition(",")[0]
                    return self.get_key_display(Binding(wanted, ""))
        return ""

    # -- what a person is told -------------------------------------------------------------------

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something in a corner, for some seconds."""
        self.notify(
            clean(text), severity=severity, markup=False,  # type: ignore[arg-type]  # one of three words
            timeout=4.0 if severity == "information" else 8.0,
        )  # fmt: skip

    def tell_fault(self, fault: AiplatError) -> None:
        """Say what went wrong."""
        self.tell(str(fault), severity="error")

    def _fatal_error(self) -> None:
        """End after a fault of the program's, and show where it was.

        Textual's own shows the values of variables too, and one of them may be a password.
        """
        from rich.segment import Segments
        from rich.traceback import Traceback

        self.bell()
        shown = self.console.render(Traceback(show_locals=False, width=None), self.console.options)
        self._exit_renderables.append(Segments(shown))
        self._close_messages_no_wait()

    # -- what a person set -----------------------------------------------------------------------

    def get_css_variables(self) -> dict[str, str]:
        """The colours of the theme."""
        self.theme_variables = with_muted(super().get_css_variables(), self.current_theme)
        return self.theme_variables

    def apply(self, preferences: Preferences) -> None:
        """Take what is set."""
        self.preferences = preferences
        known = preferences.theme in self.available_themes
        self.theme = preferences.theme if known else DARK
        self.animation_level = "full" if preferences.animation else "none"
        self.set_keymap(preferences.keymap)

    def set_preferences(self, preferences: Preferences) -> None:
        """Take what is set, and keep it for the next run."""
        self.apply(preferences)
        try:
            self.preferences_file.write(preferences)
        except AiplatError as fault:
            self.tell_fault(fault)

    # -- copying ---------------------------------------------------------------------------------

    def copy_to_clipboard(self, text: str) -> None:
        """Copy, and say "copied" only when it was."""
        self._copy(text)

    @work(group="copy")
    async def _copy(self, text: str) -> None:
        done = await in_thread(lambda: self._copier.copy(text))
        self.tell(done.words, severity="information" if done.certain else "warning")

    def _to_terminal(self, sequence: str) -> None:
        if self._driver is not None:
            self.call_from_thread(self._driver.write, sequence)

    # -- actions ---------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave every key to a screen that asks for one (`TAKES_EVERY_KEY`)."""
        return not (self.screen_stack and getattr(self.screen, "TAKES_EVERY_KEY", False))

    async def action_show(self, name: str) -> None:
        """Show a pane."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        await self.show_pane(name)

    def action_start_node(self) -> None:
        """Start the node, if it is gone."""
        if self.world.is_attached:
            self.tell("The node runs.")
        else:
            self.world.start_now()

    def action_help(self) -> None:
        """Show what can be done here."""
        from aiplat.tui.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen.of(self))

    def action_jump(self) -> None:
        """Show a letter at each place that can have the focus, and go where one is typed."""
        from aiplat.tui.jump import JumpScreen

        if isinstance(self.screen, JumpScreen):
            self.screen.dismiss(None)
        else:
            self.push_screen(JumpScreen(self.screen), self._jumped)

    async def _jumped(self, target: object) -> None:
        from textual.widget import Widget

        if isinstance(target, TabName):
            await self.show_pane(target.pane)
        elif isinstance(target, Widget) and target.is_mounted:
            target.focus()

    def action_settings(self) -> None:
        """Show what can be set."""
        from aiplat.tui.settings.screen import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    @work(group="models", exclusive=True)
    async def action_models(self) -> None:
        """Choose which models this machine has and offers."""
        from aiplat.tui.models.chooser import choose_model

        await choose_model(self)

    def action_welcome(self) -> None:
        """Show the card of the first steps."""
        from aiplat.tui.welcome.card import WelcomeCard

        if len(self.screen_stack) == 1:
            self.push_screen(WelcomeCard())


__all__ = ["PANES", "AiplatApp", "Vertical"]
