"""What can be done where the focus is, and what is seen there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from aiplat.tui.dialogs import Dialog
from aiplat.tui.footer import Keys
from aiplat.tui.guide import Group, Key, joined, matching
from aiplat.tui.line import Line
from aiplat.tui.pane import Pane
from aiplat.tui.text import clean, flat

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame

_KEY_CELLS = 16
_GENERAL = (
    "Tab goes from part to part, arrows within one, Enter chooses, Esc goes back.\n"
    "{jump} puts a letter on each part: typing it goes there. {palette} finds actions by name."
)


class HelpScreen(Dialog[None]):
    """What the pane is for, and the keys: those of where the focus is, of the pane, of all.

    Arguments:
        title: of what is explained.
        about: what it is for.
        groups: the keys.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "scroll_by(1)", "Down", show=False, id="help.down"),
        Binding("up", "scroll_by(-1)", "Up", show=False, id="help.up"),
        Binding("pagedown", "page(1)", "Next page", id="help.next_page"),
        Binding("pageup", "page(-1)", "Page before", show=False, id="help.page_before"),
    ]

    DEFAULT_CSS = """
    HelpScreen > Vertical { width: 84; height: 96%; padding: 1 2 0 2; }
    HelpScreen Input { border: none; height: 1; padding: 0 1; background: $panel; }
    HelpScreen #keys { height: auto; }
    HelpScreen #read { height: 1fr; scrollbar-size-vertical: 1; }
    HelpScreen Keys { background: $surface; padding: 0; margin-top: 1; }
    HelpScreen Keys .always { display: none; }
    HelpScreen.-short > Vertical { padding: 0 1; }
    HelpScreen.-short Keys { margin-top: 0; }
    """

    heading = "Help"

    def __init__(self, title: str, about: str, groups: tuple[Group, ...]) -> None:
        super().__init__()
        self.heading = f"Help · {title}" if title else "Help"
        self._about = about
        self._groups = groups

    @classmethod
    def of(cls, app: Frame) -> HelpScreen:
        """Make it for what is seen now."""
        screen = app.screen
        pane = app.pane if len(app.screen_stack) == 1 else None
        shown: DOMNode = pane if pane is not None else screen
        title = (pane.id or "").capitalize() if pane is not None else _title(screen)
        return cls(title, about(shown), groups_of(app))

    def compose(self) -> ComposeResult:
        """A line to search, what is explained, and the keys of this screen."""
        with Vertical():
            yield Line(placeholder="Type to find a key or what it does", id="find", compact=True)
            with VerticalScroll(id="read", can_focus=False):
                yield Static("", id="keys", markup=False)
            yield Keys()

    def on_mount(self) -> None:
        """Show all."""
        super().on_mount()
        self.query_one("#find").focus()
        self._show("")

    def _show(self, query: str) -> None:
        found = matching(self._groups, query)
        parts: list[Content] = []
        if not query and self._about:
            parts.append(Content(clean(self._about) + "\n"))
        parts.extend(_group(group) for group in found)
        if not found:
            parts.append(Content(f"No key does “{flat(query)}”. Esc goes back."))
        elif not query:
            app = cast("Frame", self.app)
            keys = {"jump": app.key_of("app.jump"), "palette": app.key_of("app.palette")}
            parts.append(Content.assemble((_GENERAL.format(**keys), "$text-muted")))
        self.query_one("#keys", Static).update(Content("\n").join(parts))

    @on(Input.Changed, "#find")
    def _on_find(self, event: Input.Changed) -> None:
        self._show(event.value)
        self.query_one("#read").scroll_home(animate=False)

    def action_scroll_by(self, lines: int) -> None:
        """Scroll, while the line for the search keeps the focus."""
        self.query_one("#read").scroll_relative(y=lines, animate=False)

    def action_page(self, way: int) -> None:
        """Scroll a page."""
        read = self.query_one("#read")
        read.scroll_relative(y=way * max(1, read.size.height - 1), animate=False)


def _title(screen: Screen[object]) -> str:
    return flat(str(getattr(screen, "heading", "")))


def about(node: DOMNode) -> str:
    """What a pane or a screen says of itself (`HELP`)."""
    return str(getattr(node, "HELP", None) or "")


def groups_of(app: Frame) -> tuple[Group, ...]:
    """The keys that hold now: here, in this pane, everywhere. What makes no sense now is told."""
    screen = app.screen
    here: list[Key] = []
    moving: list[Key] = []
    pane: list[Key] = []
    everywhere: list[Key] = []
    taken: set[str] = set()
    chain = screen._modal_binding_chain
    for node, bindings in chain:
        for key, binding in bindings:
            if not binding.description or binding.system or key in taken:
                continue
            taken.add(key)
            shown = Key(app.get_key_display(binding), flat(binding.description),
                        _off(app, node, binding))  # fmt: skip
            place = _place(node, pane, here, everywhere)
            (moving if place is here and binding.id is None else place).append(shown)
    if not any(node is app for node, _ in chain):
        everywhere.extend(
            Key(app.get_key_display(binding), flat(binding.description))
            for key, binding in app._bindings
            if binding.description and binding.priority and key not in taken
        )
    named = (
        ("Here", here),
        ("In this pane", pane),
        ("Everywhere", everywhere),
        ("Moving and editing", moving),
    )
    return tuple(Group(title, joined(keys)) for title, keys in named if keys)


def _place(node: DOMNode, pane: list[Key], here: list[Key], everywhere: list[Key]) -> list[Key]:
    if isinstance(node, Pane):
        return pane
    if isinstance(node, Widget) and not isinstance(node, Screen):
        return here
    ours = type(node).__module__.startswith("aiplat.tui") and isinstance(node, Screen)
    return pane if ours else everywhere


def _off(app: Frame, node: DOMNode, binding: Binding) -> str:
    if app._check_action_state(binding.action, node):
        return ""
    why = getattr(node, "why_off", None)
    name = binding.action.partition("(")[0]
    return (cast("str", why(name)) if callable(why) else "") or "not now"


def _group(group: Group) -> Content:
    lines: list[Content] = [Content.assemble((group.title, "bold $accent"))]
    for key in group.keys:
        keys = f"  {key.keys}"
        if cell_len(keys) > _KEY_CELLS:
            lines.append(Content(keys))
            keys = ""
        gap = " " * (_KEY_CELLS - cell_len(keys) + 1)
        if key.off:
            lines.append(Content.assemble((f"{keys}{gap}{key.words}", "$text-muted"),
                                          (f"  ○ {key.off}", "$text-muted italic")))  # fmt: skip
        else:
            lines.append(Content.assemble((keys, "bold"), gap, key.words))
    return Content("\n").join([*lines, Content("")])
