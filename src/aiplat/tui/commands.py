"""Every action, in the command palette: those of other panes, too, and each theme.

What is chosen of another pane shows the pane first. Names are plain text, never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from aiplat.tui.actions import Known, known_actions
from aiplat.tui.pane import Pane
from aiplat.tui.text import cut, flat
from aiplat.tui.threads import in_thread

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_NAME_CELLS = 32
_PLACE_CELLS = 12


@dataclass(frozen=True)
class Command:
    """One line of the palette.

    Arguments:
        name: what it does.
        place: where, in a word.
        key: that does the same, as it is shown; empty where none does.
        run: does it.
    """

    name: str
    place: str
    key: str
    run: Callable[[], object]

    @property
    def text(self) -> str:
        """What is searched."""
        return f"{self.name}  {self.place}"


class ActionsProvider(Provider):
    """Gives what can be done now."""

    async def startup(self) -> None:
        """Import the panes that were not shown yet, without holding up the screen."""
        self._known = await in_thread(known_actions)

    @property
    def aiplat(self) -> Frame:
        """The app, as what it is."""
        return cast("Frame", self.app)

    async def discover(self) -> Hits:
        """All actions, while nothing is typed; first those of where one is."""
        for command in actions_of(self.aiplat, self.screen, self._known):
            yield DiscoveryHit(_line(command, ()), command.run, text=command.text)

    async def search(self, query: str) -> Hits:
        """Those actions and themes whose names hold what is typed, letter by letter."""
        matcher = self.matcher(query)
        style = self.match_style
        commands = [
            *actions_of(self.aiplat, self.screen, self._known), *themes_of(self.aiplat)
        ]  # fmt: skip
        for command in commands:
            score, offsets = matcher.fuzzy_search.match(query, command.text)
            if score > 0:
                yield Hit(score, _line(command, offsets, style), command.run, text=command.text)


def actions_of(app: Frame, screen: Screen[object], known: tuple[Known, ...]) -> Iterator[Command]:
    """What can be done from there: what is active first, then everywhere, then the other panes."""
    by_id = {action.id: action for action in known}
    seen: set[str] = set()
    active = sorted(screen.active_bindings.values(), key=lambda found: not found.binding.show)
    for node, binding, enabled, _ in active:
        name = binding.id or ""
        if name in seen or node is app or name not in by_id or not binding.description:
            continue
        seen.add(name)
        if enabled:
            yield _command(app, by_id[name], _doing(app, binding.action, node))
    for action in known:
        if action.id in seen or action.id == "app.palette":
            continue
        if action.group == "app":
            yield _command(app, action, _doing(app, action.action, app))
        elif action.pane and is_possible(app, action):
            yield _command(app, action, _elsewhere(app, action))


def themes_of(app: Frame) -> Iterator[Command]:
    """A command for each theme."""
    from msgspec.structs import replace

    def set_to(theme: str) -> Callable[[], object]:
        return lambda: app.set_preferences(replace(app.preferences, theme=theme))

    for theme in sorted(app.available_themes):
        yield Command(f"Theme {flat(theme)}", "Settings", "", set_to(theme))


def is_possible(app: Frame, action: Known) -> bool:
    """Whether the pane of an action lets it be done; one that was not shown yet is asked then."""
    found = find(app, action)
    if found is None:
        return not app.screen_stack[0].query(f"#{action.pane}")
    return bool(app._check_action_state(action.action, found))


def find(app: Frame, action: Known) -> DOMNode | None:
    """Who in its pane does it; None where the pane, or that part of it, is not there."""
    for pane in app.screen_stack[0].query(f"#{action.pane}").results(Pane):
        for node in (pane, *pane.walk_children(Widget)):
            if any(binding.id == action.id for _, binding in node._bindings):
                return node
    return None


def _doing(app: Frame, action: str, node: DOMNode) -> Callable[[], object]:
    async def run() -> None:
        await app.run_action(action, default_namespace=node)

    return run


def _elsewhere(app: Frame, action: Known) -> Callable[[], object]:
    async def run() -> None:
        await app.action_show(action.pane)
        node = find(app, action)
        if node is None or not await app.run_action(action.action, default_namespace=node):
            app.tell(f"“{action.description}” makes no sense here now.", severity="warning")

    return run


def _command(app: Frame, action: Known, run: Callable[[], object]) -> Command:
    return Command(flat(action.description), action.place, shown_key(app, action), run)


def shown_key(app: Frame, action: Known) -> str:
    """The key of an action now, as a person reads it."""
    key = app.preferences.keymap.get(action.id, action.keys).partition(",")[0].strip()
    return app.get_key_display(next(iter(Binding.make_bindings([Binding(key, "")])))) if key else ""


def _line(command: Command, offsets: object, style: Style | None = None) -> Content:
    """The name, the place, the key, in columns; the letters that were found stand out."""
    name = Content(cut(command.name, _NAME_CELLS))
    place = Content(cut(command.place, _PLACE_CELLS))
    begin = len(command.name) + 2
    for offset in cast("tuple[int, ...]", offsets):
        if style is None:
            break
        if offset < len(name):
            name = name.stylize(style, offset, offset + 1)
        elif offset >= begin and offset - begin < len(place):
            place = place.stylize(style, offset - begin, offset - begin + 1)
    return Content.assemble(
        name, " " * (_NAME_CELLS - cell_len(name.plain) + 1),
        place.stylize_before("not bold $text-muted"),
        " " * (_PLACE_CELLS - cell_len(place.plain) + 1), (command.key, "not bold $accent"),
    )  # fmt: skip
