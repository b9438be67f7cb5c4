"""The pane Usage: graphs of what was asked and how the machine was, totals, limits."""

from __future__ import annotations

import os
import sys
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Grid
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from aiplat.control import calls
from aiplat.control.accounts import KeyList, KeysAsk, Nothing, UsageAsk, UsageReply, WhoAmI
from aiplat.control.series import Column, SeriesReply
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role
from aiplat.tui.dialogs import Field, Form
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.preferences import Graphs
from aiplat.tui.table import Column as TableColumn
from aiplat.tui.table import LiveTable
from aiplat.tui.text import clean
from aiplat.tui.threads import in_thread
from aiplat.tui.usage import export, words
from aiplat.tui.usage.bars import Limit, limits_of
from aiplat.tui.usage.board import Board
from aiplat.tui.usage.choices import Choices
from aiplat.tui.usage.figures import Figure, figures_of, totals_of
from aiplat.tui.usage.graph import Graph
from aiplat.tui.usage.pages import BOARD, GRAPHS, Pages, pages_for
from aiplat.tui.usage.plot import Pen, pen_for
from aiplat.tui.usage.ranges import RANGES, Range
from aiplat.tui.usage.sums import TABLE_BY, Sum, of_accounts, of_series

_BY: tuple[Column, ...] = ("", "model", "key", "peer")
_VIEWS: tuple[Role, ...] = ("gateway", "client", "processor")
_PENS: tuple[Graphs, ...] = ("auto", "braille", "blocks", "ascii")
_TITLES = ("Tokens a second", "Requests", "Time to first token", "Errors", "Engine CPU and GPU",
           "Engine memory")  # fmt: skip
LIMIT_SECONDS = 10.0
"""Between two looks at the limits: the gateway may be another machine."""
_OF_GRAPHS = ("style", "alone", "next", "previous")


def _table_columns() -> list[TableColumn[Sum]]:
    def number(key: str, title: str, least: int = 0) -> TableColumn[Sum]:
        def of(row: Sum) -> int:
            return int(getattr(row, key))

        return TableColumn(key, title, lambda row: f"{of(row):,}", sort=of, right=True,
                           least=least, falls=True)  # fmt: skip

    return [
        TableColumn("name", "Name", lambda row: row.name),
        number("requests", "Requests"),
        number("errors", "Errors"),
        number("prompt", "In", least=80),
        number("cached", "From cache", least=100),
        number("completion", "Out", least=70),
        number("total", "Tokens"),
    ]


class UsagePane(Pane):
    """What was asked and what it cost: now, and up to 30 days back."""

    HELP: ClassVar[str] = words.HELP

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "range", "Range", id="usage.range"),
        Binding("left", "shorter", "Shorter", show=False, id="usage.shorter"),
        Binding("right", "longer", "Longer", show=False, id="usage.longer"),
        Binding("b", "by", "By", id="usage.by"),
        Binding("v", "view", "Seen as", id="usage.view"),
        Binding("n,down", "next", "Next", key_display="n", id="usage.next"),
        Binding("p,up", "previous", "Previous", show=False, key_display="p", id="usage.previous"),
        Binding("z", "alone", "Alone", id="usage.alone"),
        Binding("t", "table", "Table", id="usage.table"),
        Binding("space", "pause", "Pause", id="usage.pause"),
        Binding("e", "export", "Export", id="usage.export"),
        Binding("g", "style", "Drawn in", id="usage.style"),
    ]
    DEFAULT_CSS = """
    UsagePane ContentSwitcher { height: 1fr; }
    UsagePane #body { height: 1fr; layout: vertical; }
    UsagePane #body.-beside { layout: horizontal; }
    UsagePane #graphs { height: 1fr; width: 1fr; grid-gutter: 1 1; }
    UsagePane #brief { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    UsagePane Board { width: 1fr; height: 1fr; padding: 1 1 0 1; }
    UsagePane #body.-beside Board { width: 38; padding: 0 1 0 2; }
    .-short UsagePane Board { padding: 0 1; }
    UsagePane #sums-head { height: auto; padding: 0 1; margin-bottom: 1; color: $text-muted; }
    UsagePane #sums { height: 1fr; }
    .-short UsagePane #sums-head { margin-bottom: 0; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.place = 1
        self.by: Column = ""
        self.view: Role | None = None
        self.table_by = TABLE_BY[0]
        self.alone = self.paused = False
        self.seen_first = 0
        self._pages = Pages((tuple(range(BOARD)),), 2, True)
        self._due = 0.0
        self._limits_due = 0.0
        self._reply: SeriesReply | None = None
        self._reply_at = 0.0
        self._figures: tuple[Figure, ...] = ()
        self._sums: list[Sum] = []
        self._off: tuple[str, ...] = ()
        self._who: WhoAmI | None = None
        self._key_names: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """What is chosen, and below it the graphs or the table."""
        yield Notice()
        yield Notice(id="problem")
        yield Choices()
        with ContentSwitcher(initial="body"):
            with Container(id="body"):
                with Grid(id="graphs"):
                    for key, title in zip(GRAPHS, _TITLES, strict=True):
                        yield Graph(title, id=f"graph-{key}")
                yield Board(id="board")
                yield Static("", id="brief", markup=False)
            with Container(id="table"):
                yield Static("", id="sums-head", markup=False)
                yield LiveTable(_table_columns(), lambda row: row.id, sort="total", id="sums",
                                empty="Asking …")  # fmt: skip

    def on_mount(self) -> None:
        """Show what is chosen at first."""
        self._arrange()

    def on_resize(self) -> None:
        """Show as many graphs as there is room for."""
        self._arrange()

    def focus_first(self) -> None:
        """The first graph that is seen, or the table."""
        if self.is_table:
            self.query_one(LiveTable).grid.focus()
        else:
            self._focus_page()

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def chosen(self) -> Range:
        """The time that is shown."""
        return RANGES[self.place]

    @property
    def is_table(self) -> bool:
        """Whether the table is shown, and not the graphs."""
        return self.query_one(ContentSwitcher).current == "table"

    @property
    def views(self) -> tuple[Role, ...]:
        """The roles of the node, each of which has seen requests of its own."""
        status = self.world.status
        return tuple(role for role in _VIEWS if status is None or role in status.roles)

    @property
    def role(self) -> Role:
        """The role whose requests are shown."""
        views = self.views
        if self.view in views:
            return self.view
        return views[0] if views else "client"

    @property
    def pen(self) -> Pen:
        """What graphs are drawn with."""
        encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
        return pen_for(self.aiplat.preferences.graphs, encoding, os.environ.get("TERM", ""))

    def _counted_by_accounts(self) -> bool:
        """Whether the table is of the accounts: they count by the hour, or by the day."""
        return self.chosen.seconds >= 86_400

    def _table_choices(self) -> tuple[str, ...]:
        return TABLE_BY if self._counted_by_accounts() else TABLE_BY[:-1]

    def name_of(self, value: str) -> str:
        """What a person calls a value of what is shown by."""
        by = self.table_by if self.is_table else self.by
        own = "" if self.world.status is None else self.world.status.peer_id
        return words.name_of(by, value, self._key_names, own)

    # -- asking ----------------------------------------------------------------------------------

    def hidden(self) -> None:
        """It is not seen any more."""
        super().hidden()
        self.workers.cancel_group(self, "limits")
        self._due = self._limits_due = 0.0

    async def load(self) -> None:
        """Ask for what is shown, as often as it can change."""
        now = self.aiplat.clock.monotonic()
        if now >= self._limits_due and not self.paused:
            self._limits_due = float("inf")
            self._look_at_limits()
        if now < self._due:
            return
        await (self._load_table() if self.is_table else self._load_graphs())
        # What is held still is asked for once, when something else was chosen.
        self._due = float("inf") if self.paused else now + self.chosen.every

    async def _load_graphs(self) -> None:
        at = self.aiplat.clock.now()
        reply = await self.ask(calls.series(self.chosen.ask(at, self.by, self.role)))
        self._reply, self._reply_at = reply, at
        self._draw()

    async def _load_table(self) -> None:
        chosen, trouble = self.chosen, ""
        if self._counted_by_accounts():
            everyone = self._who is not None and self._who.user.role == "operator"
            ask = UsageAsk(since_seconds=chosen.seconds, by=self.table_by, everyone=everyone)
            try:
                told = await self.ask(calls.accounts("usage", ask, UsageReply))
            except AiplatError as fault:
                trouble = str(fault)
            else:
                since = words.when(self.aiplat.clock.local(told.since))
                head = words.of_accounts(told, since, everyone=everyone)
                self._show_sums(of_accounts(told, self.name_of), head)
                return
        by: Column = "model" if self.table_by == "day" else self.table_by
        wish = msgspec.structs.replace(
            chosen.ask(self.aiplat.clock.now(), by, self.role), machine=False
        )
        reply = await self.ask(calls.series(wish))
        self._show_sums(
            of_series(reply, self.name_of), words.of_series(by, chosen.words, self.role, trouble)
        )

    def _show_sums(self, sums: list[Sum], head: str) -> None:
        self._sums = sums
        self.query_one("#sums-head", Static).update(Content(clean(head)))
        empty = f"Nothing was asked in the last {self.chosen.words}. r shows a longer time."
        self.query_one(LiveTable).show(sums, empty)

    @work(exclusive=True, group="limits")
    async def _look_at_limits(self) -> None:
        """Ask apart from the graphs: the gateway may be far away, or not there."""
        try:
            limits, trouble = await self._limits()
        except AiplatError as fault:
            self._who = None
            limits, trouble = [], f"None to show. {fault}"
        self.query_one(Board).show_limits(limits, trouble, self.pen)
        self._limits_due = self.aiplat.clock.monotonic() + LIMIT_SECONDS

    async def _limits(self) -> tuple[list[Limit], str]:
        self._who = who = await self.ask(calls.accounts("whoami", Nothing(), WhoAmI))
        wish = KeysAsk(everyone=who.user.role == "operator")
        keys = (await self.ask(calls.accounts("keys.list", wish, KeyList))).keys
        self._key_names = {key.id: key.name for key in keys}
        mine = [key for key in keys if key.user == who.user.name]
        return limits_of(who, mine, self.aiplat.clock.now()), ""

    # -- showing ---------------------------------------------------------------------------------

    def node_changed(self) -> None:
        """It may have other roles."""
        self._tell_choices()

    def _draw(self) -> None:
        """Draw what was last told."""
        reply, chosen = self._reply, self.chosen
        if reply is None:
            return
        status = self.world.status
        begun = 0.0 if status is None else self._reply_at - status.uptime_seconds
        self._figures = figures_of(
            reply, since=int(self._reply_at) - chosen.seconds, now=self._reply_at, by=self.by,
            name=self.name_of, begun=begun, words=chosen.words,
        )  # fmt: skip
        for figure in self._figures:
            self.query_one(f"#graph-{figure.key}", Graph).show(
                figure, self.aiplat.clock.local, self.pen
            )
        self.query_one(Board).show_totals(chosen.words, totals_of(reply), words.notes(chosen))
        self.query_one("#brief", Static).update(Content(words.brief(reply.total)))
        self.query_one("#problem", Notice).tell(reply.problem, "warning")

    def _arrange(self) -> None:
        """Give each graph its place, and hide those that are on other pages."""
        width, height = self.size.width or self.app.size.width, self.size.height
        self._pages = pages_for(width, max(0, height - 3), alone=self.alone)
        page = self._pages.pages[self._pages.page_of(self.seen_first)]
        for place, key in enumerate(GRAPHS):
            self.query_one(f"#graph-{key}").display = place in page
        shown = sum(place != BOARD for place in page)
        grid = self.query_one("#graphs", Grid)
        grid.display = shown > 0
        columns = max(1, min(self._pages.columns, shown))
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = max(1, -(-shown // columns))
        self.query_one("#body").set_class(self._pages.beside, "-beside")
        board = self.query_one(Board)
        board.display = self._pages.beside or BOARD in page
        board.set_class(not self._pages.beside and width >= 80, "-across")
        self.query_one("#brief").display = not board.display
        self._tell_choices()

    def _tell_choices(self) -> None:
        if not self.is_mounted:
            return
        number, count = self._pages.page_of(self.seen_first), len(self._pages.pages)
        is_table = self.is_table
        by = f"by {self.table_by if is_table else self.by or 'all'}"
        one_view = len(self.views) < 2 or (is_table and self._counted_by_accounts())
        page = "" if is_table or count < 2 else f"{number + 1}/{count}"
        self.query_one(Choices).show(
            self.place, by, "" if one_view else words.VIEWS[self.role],
            "‖ paused" if self.paused else "● live", page,
        )  # fmt: skip
        off = tuple(self.why_off(action) for action in (*_OF_GRAPHS, "view"))
        if off != self._off:  # the footer is made anew by it
            self._off = off
            self.refresh_bindings()

    def _changed(self) -> None:
        """Something else was chosen: ask at once."""
        self._due = 0.0
        self._tell_choices()
        self.reload()

    def _focus_page(self) -> None:
        page = self._pages.pages[self._pages.page_of(self.seen_first)]
        wanted = self.seen_first if self.seen_first in page else page[0]
        self.query_one(Board if wanted == BOARD else f"#graph-{GRAPHS[wanted]}").focus()

    # -- what a person does ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        return not self.why_off(action)

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now; empty where it does."""
        if not self.is_mounted:
            return ""
        if self.is_table and action in _OF_GRAPHS:
            return "the table is shown"
        if action in ("next", "previous") and len(self._pages.pages) < 2:
            return "all is on the screen"
        if action == "view" and len(self.views) < 2:
            return "this node has one role"
        if action == "view" and self.is_table and self._counted_by_accounts():
            return "the gateway's accounts count this"
        return ""

    def action_range(self) -> None:
        """Show the next time."""
        self.action_take_range((self.place + 1) % len(RANGES))

    def action_shorter(self) -> None:
        """Show a shorter time."""
        self.action_take_range(max(0, self.place - 1))

    def action_longer(self) -> None:
        """Show a longer time."""
        self.action_take_range(min(len(RANGES) - 1, self.place + 1))

    def action_take_range(self, place: int) -> None:
        """Show that time."""
        if place != self.place:
            self.place = place
            if self.table_by not in self._table_choices():
                self.table_by = TABLE_BY[0]
            self._changed()

    def action_by(self) -> None:
        """Give other things lines, or rows, of their own."""
        if self.is_table:
            choices = self._table_choices()
            at = choices.index(self.table_by)
            self.table_by = TABLE_BY[(at + 1) % len(choices)]
        else:
            self.by = _BY[(_BY.index(self.by) + 1) % len(_BY)]
        self._changed()

    def action_view(self) -> None:
        """Show what another role of the node saw."""
        views = self.views
        self.view = views[(views.index(self.role) + 1) % len(views)] if views else None
        self._changed()

    def action_next(self) -> None:
        """Show the next graphs."""
        self._walk(1)

    def action_previous(self) -> None:
        """Show those before."""
        self._walk(-1)

    def _walk(self, step: int) -> None:
        pages = self._pages.pages
        self.seen_first = pages[(self._pages.page_of(self.seen_first) + step) % len(pages)][0]
        self._arrange()
        self._focus_page()

    def action_alone(self) -> None:
        """Show one graph alone, or all again."""
        focused = self.app.focused
        if not self.alone and isinstance(focused, Graph) and focused.id is not None:
            self.seen_first = GRAPHS.index(focused.id.removeprefix("graph-"))
        self.alone = not self.alone
        self._arrange()
        self._focus_page()

    @on(Graph.Wanted)
    def _on_wanted(self, event: Graph.Wanted) -> None:
        event.stop()
        event.graph.focus()
        self.call_after_refresh(self.action_alone)

    def action_table(self) -> None:
        """Show the table, or the graphs again."""
        switcher = self.query_one(ContentSwitcher)
        switcher.current = "body" if self.is_table else "table"
        if self.table_by not in self._table_choices():
            self.table_by = TABLE_BY[0]
        self._changed()
        self.call_after_refresh(self.focus_first)

    def action_pause(self) -> None:
        """Hold it still, or go on."""
        self.paused = not self.paused
        self._due = float("inf") if self.paused else 0.0
        if not self.paused:
            self._limits_due = min(self._limits_due, self.aiplat.clock.monotonic())
            self.reload()
        self._tell_choices()

    def action_style(self) -> None:
        """Draw with something else, and keep that."""
        now = self.aiplat.preferences
        graphs = _PENS[(_PENS.index(now.graphs) + 1) % len(_PENS)]
        self.aiplat.set_preferences(msgspec.structs.replace(now, graphs=graphs))
        self.aiplat.tell(words.drawn_in(graphs, self.pen.name))
        self._draw()
        self._limits_due = min(self._limits_due, self.aiplat.clock.monotonic())

    @work(group="export", exclusive=True)
    async def action_export(self) -> None:
        """Write what is shown to a file."""
        if self.is_table:
            text = export.text_of_sums(self.table_by, self._sums)
        else:
            text = export.text_of_figures(self._figures)
        if text.count("\n") < 2:
            self.aiplat.tell("There is nothing to write yet.", severity="warning")
            return
        time = self.aiplat.clock.local(self.aiplat.clock.now())
        name = f"aiplat-usage-{self.chosen.name.replace(' ', '')}-{time:%Y%m%d-%H%M%S}.csv"
        form = Form(
            "Export", [Field("path", "File", name, hint="a name, or a path")], done="Write",
            text="Writes what is shown as comma-separated values. A file that is there stays.",
            check=lambda values: export.path_of(values["path"]),
        )  # fmt: skip
        values = await self.app.push_screen_wait(form)
        if values is None:
            return
        try:
            path = export.path_of(values["path"])
            await in_thread(lambda: export.write(path, text))
        except AiplatError as fault:
            self.aiplat.tell_fault(fault)
        else:
            self.aiplat.tell(f"Written to {path.absolute()}.")
