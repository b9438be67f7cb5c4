"""The conversations: those that are kept, found by their words, and those that are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from aiplat.tui.line import Line
from aiplat.tui.steady import Steady
from aiplat.tui.text import cut, flat


@dataclass(frozen=True)
class Item:
    """A conversation in the list.

    Arguments:
        when: in words.
        runs: whether an answer is under way.
        kept: whether the node keeps it.
        found: a line that the search found, with the places of its words.
    """

    id: str
    title: str
    when: str = ""
    runs: bool = False
    kept: bool = True
    found: str = ""
    marks: tuple[tuple[int, int], ...] = ()


SEARCH_SECONDS = 0.25
"""How long no key has come before the words are searched for: the node reads all turns for them."""


class Sidebar(Vertical):
    """The list, and the line that searches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", show=False, id="sidebar.search"),
        Binding("delete", "want('delete')", "Delete", id="sidebar.delete"),
        Binding("r", "want('rename')", "Rename", id="sidebar.rename"),
        Binding("x", "want('export')", "Export", id="sidebar.export"),
        Binding("escape", "leave", "Back", show=False, id="sidebar.leave"),
    ]

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    Sidebar { width: 32; border-right: vkey $border-blurred; display: none; }
    Sidebar.-shown { display: block; }
    Sidebar Input { border: none; height: 1; padding: 0 1; margin: 0 0 1 0; background: $surface; }
    Sidebar OptionList { border: none; height: 1fr; background: $background; padding: 0;
        scrollbar-size-vertical: 1; }
    Sidebar OptionList:focus { border: none; }
    Sidebar .trouble { display: none; color: $warning; padding: 0 1; margin-bottom: 1; height: auto;
        max-height: 4; }
    Sidebar.-troubled .trouble { display: block; }
    Sidebar .empty { display: none; color: $text-muted; padding: 0 1; height: auto; }
    Sidebar.-empty .empty { display: block; }
    Sidebar.-empty OptionList { display: none; }
    .-narrow Sidebar { width: 100%; border: none; }
    .-narrow Sidebar.-shown { display: none; }
    .-narrow ChatPane.-list Sidebar, .-narrow ChatPane.-list Sidebar.-shown { display: block; }
    """

    class Searched(Message):
        """Other words to search for."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    class Opened(Message):
        """A conversation was chosen."""

        def __init__(self, conversation: str) -> None:
            super().__init__()
            self.conversation = conversation

    class Wanted(Message):
        """Something is to be done with a conversation."""

        def __init__(self, what: str, conversation: str) -> None:
            super().__init__()
            self.what = what
            self.conversation = conversation

    class Left(Message):
        """The person goes back to writing."""

    def __init__(self) -> None:
        super().__init__(id="sidebar")
        self.items: tuple[Item, ...] = ()
        self._drawn: tuple[object, ...] = ()
        self._sought = ""
        self._pause: Timer | None = None

    def compose(self) -> ComposeResult:
        """The line, what is wrong, the list, what is said instead of it."""
        yield Line(placeholder="Search all conversations", id="search", compact=True)
        yield Steady(classes="trouble")
        yield OptionList(id="conversations", markup=False)
        yield Steady(classes="empty")

    @property
    def words(self) -> str:
        """What is searched for; what is typed, once no key comes any more."""
        return self._sought

    def _typed(self) -> str:
        return self.query_one("#search", Input).value.strip()

    def show(
        self, items: Sequence[Item], current: str, *, trouble: str = "", more: int = 0
    ) -> None:
        """Show these conversations.

        Arguments:
            current: the one that is seen.
            trouble: why they may not be as the node has them.
            more: how many there are beyond these.
        """
        drawn = (tuple(items), current, trouble, more, self.size.width)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self.items = tuple(items)
        options = self.query_one(OptionList)
        at = self._marked()
        options.clear_options()
        room = max(10, (self.size.width or 32) - 3)
        options.add_options([Option(_drawn(item, room, item.id == current), id=item.id)
                             for item in items])  # fmt: skip
        if more:
            options.add_option(Option(Content.styled(f"  and {more} more: search", "$text-muted"),
                                      disabled=True))  # fmt: skip
        ids = [item.id for item in items]
        wanted = at if at in ids else current
        if wanted in ids:
            options.highlighted = ids.index(wanted)
        said = trouble or (
            "No conversation holds these words." if self.words else
            "What you ask is kept here, on this machine alone."
        )  # fmt: skip
        self.query_one(".empty", Static).update(Content(flat(said)))
        self.set_class(not items, "-empty")
        self.query_one(".trouble", Static).update(Content(f"▲ {flat(trouble)}"))
        self.set_class(bool(items) and bool(trouble), "-troubled")

    def _marked(self) -> str:
        options = self.query_one(OptionList)
        place = options.highlighted
        if place is None or place >= options.option_count:
            return ""
        return options.get_option_at_index(place).id or ""

    def focus_list(self) -> None:
        """Put the focus on the list, or on the search where it is empty."""
        if self.items:
            self._go_to_list()
        else:
            self.query_one("#search").focus()

    def _go_to_list(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            options.highlighted = 0
        options.focus()

    def action_search(self) -> None:
        """Type what to search for."""
        self.query_one("#search").focus()

    def action_want(self, what: str) -> None:
        """Tell the pane what is to be done with the marked conversation."""
        if marked := self._marked():
            self.post_message(self.Wanted(what, marked))

    def action_leave(self) -> None:
        """Clear the search, or go back to writing."""
        if self._typed():
            self.query_one("#search", Input).value = ""
        else:
            self.post_message(self.Left())

    @on(Input.Changed, "#search")
    def _on_words(self, event: Input.Changed) -> None:
        event.stop()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(SEARCH_SECONDS, self._search)

    def _search(self) -> None:
        """Search once no key comes any more, or at Enter."""
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
            self._sought = self._typed()
            self.post_message(self.Searched(self.words))

    @on(Input.Submitted, "#search")
    def _on_sought(self, event: Input.Submitted) -> None:
        event.stop()
        self._search()
        if self.items:
            self._go_to_list()

    @on(OptionList.OptionSelected)
    def _on_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id:
            self.post_message(self.Opened(event.option_id))


def _drawn(item: Item, room: int, current: bool) -> Content:
    """Title and time, and below it the line that was found."""
    sign = ("◉ ", "$success") if item.runs else ("○ ", "$warning") if not item.kept else ("  ", "")
    when = f" {item.when}" if item.when else ""
    title = cut(flat(item.title) or "New conversation", room - len(when) - 2)
    space = " " * max(0, room - 2 - _cells(title) - len(when))
    line = Content.assemble(
        sign, (title, "bold $accent" if current else ""), space, (when, "$text-muted")
    )
    if not item.found:
        return line
    found = cut(item.found, room - 2)
    below = Content.styled("  " + found, "$text-muted")
    for first, last in item.marks:
        if first < len(found) - 1:
            below = below.stylize("bold $accent", 2 + first, 2 + min(last, len(found)))
    return Content.assemble(line, "\n", below)


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
