"""The command palette: what can be done here, in other panes, in Models and Settings; the themes.

What is chosen of another pane shows the pane first. Models and Settings are shown, and no more:
what is done there goes with what is chosen there. Names are plain text, never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from aiplat.tui.actions import Known, known_actions, title_of
from aiplat.tui.pane import Pane
from aiplat.tui.text import cut, flat
from aiplat.tui.threads import in_thread

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_TABLES = ("peers", "keys", "usage")
"""The panes with a table."""
_SCREENS = {"models": "app.models", "settings": "app.settings"}
"""Screens of their own, by the group of their actions, and what shows them."""
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
        elif action.group in _SCREENS:
            yield _command(app, action, _on_screen(app, action, by_id[_SCREENS[action.group]]))
    yield from _of_tables(app, known, seen)


def _of_tables(app: Frame, known: tuple[Known, ...], seen: set[str]) -> Iterator[Command]:
    """What can be done with the tables of the panes, by pane."""
    here = app.pane.id if app.pane is not None else None
    for pane in _TABLES:
        for action in known:
            if action.group != "table" or (pane == here and action.id in seen):
                continue
            there = replace(action, pane=pane)
            if is_possible(app, there):
                run = _elsewhere(app, there)
                yield Command(flat(action.description), title_of(pane), app.key_of(action.id), run)


def themes_of(app: Frame) -> Iterator[Command]:
    """A command for each theme."""
    from msgspec import structs

    def set_to(theme: str) -> Callable[[], object]:
        return lambda: app.set_preferences(structs.replace(app.preferences, theme=theme))

    for theme in sorted(app.available_themes):
        yield Command(f"Theme {flat(theme)}", "Settings", "", set_to(theme))


def is_possible(app: Frame, action: Known) -> bool:
    """Whether the pane of an action lets it be done; one that was not shown yet is asked then."""
    found = find(app, action)
    if found is None:
        return not app.screen_stack[0].query(f"#{action.pane}")
    return bool(app._check_action_state(action.action, found))


def find(app: Frame, action: Known) -> DOMNode | None:
    """Who in its pane does it; None where the pane, or that part of it, is not there or hidden."""
    for pane in app.screen_stack[0].query(f"#{action.pane}").results(Pane):
        for node in (pane, *pane.walk_children(Widget)):
            does = any(binding.id == action.id for _, binding in node._bindings)
            if does and _is_shown(node, pane):
                return node
    return None


def _is_shown(node: Widget, pane: Pane) -> bool:
    """Whether it would be seen if its pane was."""
    return node is pane or all(
        above.display for above in node.ancestors_with_self
        if isinstance(above, Widget) and pane in above.ancestors
    )  # fmt: skip


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


def _on_screen(app: Frame, action: Known, opens: Known) -> Callable[[], object]:
    async def run() -> None:
        await app.run_action(opens.action, default_namespace=app)
        app.tell(f"“{action.description}”: {app.key_of(action.id)}, with what is chosen here.")

    return run


def _command(app: Frame, action: Known, run: Callable[[], object]) -> Command:
    return Command(flat(action.description), action.place, app.key_of(action.id), run)


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
