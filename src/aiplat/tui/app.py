"""The full screen: five panes, of which one is seen, between a line of names and one of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from aiplat.tui.banner import Banner
from aiplat.tui.footer import Keys
from aiplat.tui.frame import Frame
from aiplat.tui.pane import Pane
from aiplat.tui.topbar import TabName, TopBar

if TYPE_CHECKING:
    from textual.command import Provider


WIDTH, HEIGHT = 60, 18
"""Columns and lines in which all can be seen."""


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


class AiplatApp(Frame):
    """The full screen of one node (`Frame`)."""

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
        Binding("f4", "leave_node", "Do not start it", show=False, priority=True, id="app.leave"),
        Binding("f8", "models", "Models", show=False, priority=True, id="app.models"),
        Binding("f9", "settings", "Settings", show=False, priority=True, id="app.settings"),
        Binding("f10", "welcome", "First steps", show=False, priority=True, id="app.welcome"),
        Binding("ctrl+q", "quit", "Quit", priority=True, id="app.quit"),
        # At once, so that what is typed behind it goes to where it leads.
        Binding("tab", "focus_next", show=False, priority=True),
        Binding("shift+tab", "focus_previous", show=False, priority=True),
    ]
    CSS = """
    #panes { height: 1fr; }
    CommandPalette SearchIcon { display: none; }
    /* All commands come at once; on a busy machine Textual 8.2.8 shows it, and hides it never. */
    CommandPalette LoadingIndicator, CommandPalette LoadingIndicator.--visible { display: none; }
    CommandPalette > Vertical { width: 76; max-width: 100%; }
    CommandPalette CommandInput { padding-left: 1; }
    ToastRack { align: right top; margin: 1 0 0 0; }
    Toast { background: $panel; }
    """

    _wanted = ""
    _is_small = False

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._showing = asyncio.Lock()

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
        self.watch(self.screen, "focused", self._focus_moved, init=False)
        self.call_after_refresh(self._furnish)

    def _focus_moved(self, focused: Widget | None) -> None:
        """Let no key be lost when what had the focus is hidden, as a table without rows is."""
        pane = self.pane if focused is None and self.is_running else None
        if pane is not None:
            pane.call_next(pane.refocus)

    def on_resize(self, event: Resize) -> None:
        """Say once when not all of it can be seen any more."""
        was, self._is_small = self._is_small, event.size.width < WIDTH or event.size.height < HEIGHT
        if self._is_small and not was:
            self.tell(
                f"This terminal has {event.size.width} columns and {event.size.height} lines: not "
                f"all can be seen with fewer than {WIDTH} and {HEIGHT}.", severity="warning",
            )  # fmt: skip

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

    def is_seen(self, pane: Widget) -> bool:
        """Whether that pane is the one."""
        return self.pane is pane

    async def show_pane(self, name: str) -> None:
        """Show a pane; it is made when it is shown first. The pane that was asked for last wins.

        A key and a click may ask at the same time: each pane is whole before it is shown.
        """
        self._wanted = name
        async with self._showing:
            if self._wanted == name:
                await self._show(name)

    async def _show(self, name: str) -> None:
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
        screen.query_one(Banner).show(self.world, self.key_of)
        for pane in screen.query(Pane):
            pane.node_changed()

    # -- actions ---------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave every key to a screen that asks for one (`TAKES_EVERY_KEY`)."""
        return not (self.screen_stack and getattr(self.screen, "TAKES_EVERY_KEY", False))

    async def action_show(self, name: str) -> None:
        """Leave all dialogs, and show a pane; a dialog that may not be left yet stays."""
        from aiplat.tui.dialogs import Dialog

        while len(self.screen_stack) > 1:
            above, screen = len(self.screen_stack), self.screen
            if isinstance(screen, Dialog):
                screen.action_leave()
            else:
                screen.dismiss(None)
            if len(self.screen_stack) == above:
                return
        await self.show_pane(name)

    async def action_quit(self) -> None:
        """Leave, unless something is being sent whose answer would be lost."""
        from aiplat.tui.dialogs import Dialog

        if any(isinstance(screen, Dialog) and screen.is_busy for screen in self.screen_stack):
            self.tell("Something is being sent: wait for its answer.", severity="warning")
            return
        self.exit()

    def action_start_node(self) -> None:
        """Start the node, if it is gone."""
        if self.world.is_attached:
            self.tell("The node runs.")
        else:
            self.world.start_now()

    def action_leave_node(self) -> None:
        """Do not start the node again that is gone."""
        self.world.leave_it()

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
