"""What every part of the screen may ask of the whole: the node, the clock, what a person set, and
how a person is told something. `app` puts the panes in.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import work
from textual.app import App
from textual.binding import Binding
from textual.events import Event as TextualEvent
from textual.events import Key
from textual.widget import Widget

from aiplat.domain.errors import AiplatError
from aiplat.tui import binding_map, terminal_keys
from aiplat.tui.clipboard import Clipboard
from aiplat.tui.clock import Clock, SystemClock
from aiplat.tui.keymap import key_of, sound
from aiplat.tui.link import Link, Start
from aiplat.tui.preferences import Preferences, PreferencesFile
from aiplat.tui.terminal_keys import untyped
from aiplat.tui.text import clean
from aiplat.tui.themes import DARK, THEMES, with_muted
from aiplat.tui.threads import in_thread
from aiplat.tui.world import World

if TYPE_CHECKING:
    from aiplat.control.calls import Call, Reply
    from aiplat.control.events import Event
    from aiplat.control.messages import Ask


class PatientLink:
    """Puts questions to a node that is about to be there, once it is (`Link`).

    Arguments:
        link: asks it.
        world: knows how it is.
    """

    def __init__(self, link: Link, world: World) -> None:
        self._link = link
        self._world = world

    async def call(self, call: Call[Reply]) -> Reply:
        """Put one question."""
        if self._world.phase in ("looking", "starting"):
            await self._world.settled()
        return await self._link.call(call)

    def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Give the events of an answer."""
        return self._link.ask(ask)

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        """The same of an answer that the node keeps."""
        return self._link.follow(request)


class Frame(App[None]):
    """The full screen without its panes.

    Arguments:
        link: asks the node.
        start: starts one; None where this face may not.
        preferences: what the person set.
        clock: what time it is.
        clipboard: where copies go; None for the real one.
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
        terminal_keys.mend()
        binding_map.mend()
        super().__init__()
        self.clock = clock if clock is not None else SystemClock()
        self.preferences_file = preferences if preferences is not None else PreferencesFile(None)
        told, self._wrong = self.preferences_file.read()
        keymap, no_keys = sound(told.keymap)
        self.preferences = replace(told, keymap=keymap)
        self._wrong = self._wrong or no_keys
        self.world = World(link, start, self.clock, self._world_changed)
        self.link = PatientLink(link, self.world)
        self._copier = clipboard if clipboard is not None else Clipboard(self._to_terminal)
        for theme in THEMES:
            self.register_theme(theme)
        self.apply(self.preferences)

    async def on_event(self, event: TextualEvent) -> None:
        """Take an event; a key with Alt types nothing."""
        await super().on_event(untyped(event) if isinstance(event, Key) else event)

    # -- what `app` adds --------------------------------------------------------------------------

    async def show_pane(self, name: str) -> None:
        """Show a pane by its name."""
        raise NotImplementedError

    async def action_show(self, name: str) -> None:
        """Leave all dialogs, and show a pane."""
        raise NotImplementedError

    @property
    def pane(self) -> Widget | None:
        """The pane that is seen."""
        raise NotImplementedError

    def is_seen(self, pane: Widget) -> bool:
        """Whether that pane is seen."""
        raise NotImplementedError

    def _world_changed(self) -> None:
        """Show how the node is."""
        raise NotImplementedError

    def key_of(self, binding_id: str) -> str:
        """The key that does that now, as it is shown to a person; empty where none does."""
        return key_of(self, self.preferences.keymap, binding_id)

    def get_key_display(self, binding: Binding) -> str:
        """A key as a person reads it: F1, not f1."""
        shown = super().get_key_display(binding)
        return shown.upper() if shown[:1] == "f" and shown[1:].isdigit() else shown

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
        self.preferences_file.keep(preferences)
        self._write_preferences()

    @work(group="preferences")
    async def _write_preferences(self) -> None:
        try:
            await in_thread(self.preferences_file.flush)
        except AiplatError as fault:
            self.tell_fault(fault)

    def on_unmount(self) -> None:
        """Write what was set last, if there was no time for it yet."""
        with suppress(AiplatError):
            self.preferences_file.flush()

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
