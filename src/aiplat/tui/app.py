"""The full screen: five panes, of which one is seen, between a line of names and one of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import ContentSwitcher, Footer

from aiplat.domain.errors import AiplatError
from aiplat.tui.banner import Banner
from aiplat.tui.clipboard import Clipboard
from aiplat.tui.clock import Clock, SystemClock
from aiplat.tui.link import Link, Start
from aiplat.tui.pane import Pane
from aiplat.tui.preferences import Preferences, PreferencesFile
from aiplat.tui.text import clean
from aiplat.tui.themes import DARK, THEMES
from aiplat.tui.threads import in_thread
from aiplat.tui.topbar import TopBar
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
        Binding("f2", "jump", "Jump", show=False, priority=True, id="app.jump"),
        Binding("f5", "start_node", "Start the node", show=False, priority=True, id="app.start"),
        Binding("f9", "settings", "Settings", show=False, priority=True, id="app.settings"),
        Binding("f10", "welcome", "First steps", show=False, priority=True, id="app.welcome"),
        Binding("ctrl+q", "quit", "Quit", priority=True, id="app.quit"),
    ]
    CSS = """
    #panes { height: 1fr; }
    Footer { padding: 0 1; }
    .-narrow Footer { padding: 0; }
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
        super().__init__()
        self.link = link
        self.clock = clock if clock is not None else SystemClock()
        self.preferences_file = preferences if preferences is not None else PreferencesFile(None)
        self.preferences, self._wrong = self.preferences_file.read()
        self.world = World(link, start, self.clock, self._world_changed)
        self._copier = clipboard if clipboard is not None else Clipboard(self._to_terminal)
        for theme in THEMES:
            self.register_theme(theme)
        self.apply(self.preferences)

    # -- what is seen ----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The lines above, the panes, the keys."""
        yield TopBar({name: title for name, (title, _) in PANES.items()})
        yield Banner(id="banner")
        with ContentSwitcher(initial=None, id="panes"):
            pass
        yield Footer()

    async def on_mount(self) -> None:
        """Show the chat at once; the node comes up behind it."""
        await self.show_pane("chat")
        if self._wrong:
            self.tell(self._wrong, severity="warning")
        self.run_worker(self.world.run(), name="world", exit_on_error=True)
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
        """Show a pane; it is made when it is shown first."""
        switcher = self.screen_stack[0].query_one("#panes", ContentSwitcher)
        before = switcher.visible_content
        if isinstance(before, Pane) and before.id == name:
            return
        if isinstance(before, Pane):
            before.hidden()
        if not switcher.query(f"#{name}"):
            await switcher.mount(PANES[name][1]())
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

    # -- what a person set -----------------------------------------------------------------------

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

        if not isinstance(self.screen, JumpScreen):
            self.push_screen(JumpScreen(self.screen), self._jumped)

    def _jumped(self, target: object) -> None:
        from textual.widget import Widget

        if isinstance(target, Widget) and target.is_mounted:
            target.focus()

    def action_settings(self) -> None:
        """Show what can be set."""
        from aiplat.tui.settings.screen import SettingsScreen

        if not isinstance(self.screen, SettingsScreen):
            self.push_screen(SettingsScreen())

    def action_welcome(self) -> None:
        """Show the card of the first steps."""
        from aiplat.tui.welcome.card import WelcomeCard

        if len(self.screen_stack) == 1:
            self.push_screen(WelcomeCard())


__all__ = ["PANES", "AiplatApp", "Vertical"]
