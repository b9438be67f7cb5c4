"""The pane Usage: graphs of what was asked and how the machine was, totals, limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.widgets import ContentSwitcher

from aiplat.control import calls
from aiplat.control.accounts import UsageBy
from aiplat.control.series import Column
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.preferences import Graphs
from aiplat.tui.usage import accounts, bindings, export, words
from aiplat.tui.usage.accounts import Known
from aiplat.tui.usage.bars import Limit
from aiplat.tui.usage.body import Body
from aiplat.tui.usage.choices import Choices
from aiplat.tui.usage.figures import Figure
from aiplat.tui.usage.firsts import first_tokens
from aiplat.tui.usage.graph import Graph
from aiplat.tui.usage.pages import GRAPHS
from aiplat.tui.usage.plot import Pen, pen_for
from aiplat.tui.usage.ranges import RANGES, Range
from aiplat.tui.usage.sums import TABLE_BY, of_accounts, of_series
from aiplat.tui.usage.sums_table import SumsTable
from aiplat.tui.usage.told import Told
from aiplat.tui.usage.writing import write_out
from aiplat.tui.waiting import waiting_words

_BY: tuple[Column, ...] = ("", "model", "key", "peer")
_VIEWS: tuple[Role, ...] = ("gateway", "client", "processor")
_PENS: tuple[Graphs, ...] = ("auto", "braille", "blocks", "ascii")
_LINES = 3
"""What stands above and below the graphs."""
LIMIT_SECONDS = 10.0
"""Between two looks at the limits: the gateway may be another machine."""
_OF_GRAPHS = ("style", "alone", "next", "previous")


class UsagePane(Pane):
    """What was asked and what it cost: now, and up to 30 days back."""

    HELP: ClassVar[str] = words.HELP

    BINDINGS: ClassVar[list[BindingType]] = bindings.BINDINGS
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
        self.table_by: UsageBy = TABLE_BY[0]
        self.paused = False
        self.figures: tuple[Figure, ...] = ()
        self._due = 0.0
        self._limits_due = 0.0
        self._answer: Told | None = None
        self._known = Known()
        self._fault = ""
        self._off: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """What is chosen, and below it the graphs or the table."""
        yield Notice()
        yield Notice(id="problem")
        yield Choices()
        with ContentSwitcher(initial="body"):
            yield Body(id="body")
            yield SumsTable(id="table")

    def on_mount(self) -> None:
        """Show what is chosen at first."""
        self._arrange()
        self.call_after_refresh(self.node_changed)  # not before all of it is there

    def on_resize(self) -> None:
        """Show as many graphs as there is room for."""
        self._arrange()

    def focus_first(self) -> None:
        """The first graph that is seen, or the table."""
        with suppress(NoMatches):  # the program ends, and takes the parts of the pane away first
            if self.is_table:
                self._table.focus_rows()
            else:
                self._body.focus_page()

    @property
    def _body(self) -> Body:
        return self.query_one(Body)

    @property
    def _table(self) -> SumsTable:
        return self.query_one(SumsTable)

    @property
    def alone(self) -> bool:
        """Whether one graph is shown alone."""
        return self._body.alone

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

    def _table_choices(self) -> tuple[UsageBy, ...]:
        return TABLE_BY if self._counted_by_accounts() else TABLE_BY[:-1]

    def _namer(self, by: str) -> Callable[[str], str]:
        """Gives what a person calls a model, a key, a peer, or a day."""
        own = "" if self.world.status is None else self.world.status.peer_id
        names = self._known.names
        return lambda value: words.name_of(by, value, names, own)

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
        at, chosen, by = self.aiplat.clock.now(), self.chosen, self.by
        reply = await self.ask(calls.series(chosen.ask(at, by, self.role)))
        self._answer = Told(chosen, by, at, reply)
        self._draw()

    async def _load_table(self) -> None:
        chosen, by, role = self.chosen, self.table_by, self.role
        trouble = await self._load_counts(chosen, by) if self._counted_by_accounts() else None
        if trouble == "":
            return
        now, link = self.aiplat.clock.now(), self.aiplat.link
        column: Column = "" if by == "day" else by
        ask = msgspec.structs.replace(chosen.ask(now, column, role), machine=False)
        reply = await self.ask(calls.series(ask))
        firsts = await first_tokens(link, chosen, by, role, now)
        head = words.of_series(by, chosen, role, trouble or "")
        self._table.show(chosen, by, of_series(reply, by, self._namer(by), firsts), head)

    async def _load_counts(self, chosen: Range, by: UsageBy) -> str:
        """Show what the gateway's accounts counted; gives why there is nothing to show, or ""."""
        link, known = self.aiplat.link, self._known
        try:
            told = await accounts.usage(link, chosen.seconds, by, known)
        except AiplatError as fault:
            return words.account_fault(fault)
        # As a processor it knows who asked, and accounts who answered.
        role: Role = "gateway" if "gateway" in self.views else "client"
        firsts = await first_tokens(link, chosen, by, role, self.aiplat.clock.now())
        since = words.when(self.aiplat.clock.local(told.since))
        head = words.of_accounts(told, since, role, everyone=known.sees_all)
        self._table.show(chosen, by, of_accounts(told, self._namer(by), firsts), head)
        return ""

    @work(exclusive=True, group="limits")
    async def _look_at_limits(self) -> None:
        """Ask apart from the graphs: the gateway may be far away, or not there."""
        limits: list[Limit] = []
        trouble = ""
        try:
            self._known = await accounts.look(self.aiplat.link)
        except AiplatError as fault:
            self._known = Known()
            trouble = f"None to show. {words.account_fault(fault)}"
        else:
            limits = self._known.limits(self.aiplat.clock.now())
        self._body.board.show_limits(limits, trouble, self.pen)
        self._limits_due = self.aiplat.clock.monotonic() + LIMIT_SECONDS

    # -- showing ---------------------------------------------------------------------------------

    def node_changed(self) -> None:
        """It may be there, or not be there any more, or have other roles."""
        self._tell_choices()
        self._wait()

    def show_fault(self, text: str) -> None:
        """Show what went wrong, and where nothing is told yet say so."""
        super().show_fault(text)
        self._fault = text
        self._wait()

    def _wait(self) -> None:
        """Say in each part that nothing was told of yet why that is so."""
        if not self.is_mounted:
            return
        phase = self.world.phase
        told = waiting_words(phase, "Asking the node …", self._fault)
        self._body.wait(told, waiting_words(phase, "Asking the gateway …"))
        self._table.wait(told)

    def _draw(self) -> None:
        """Draw what was last told."""
        told = self._answer
        if told is None:
            return
        status = self.world.status
        begun = 0.0 if status is None else told.at - status.uptime_seconds
        self.figures = told.figures(self._namer(told.by), begun)
        self._body.show(told, self.figures, self.aiplat.clock.local, self.pen)
        self.query_one("#problem", Notice).tell(told.reply.problem, "warning")

    def _arrange(self) -> None:
        """Show as many graphs as there is room for below the line of what is chosen."""
        width, height = self.size.width or self.app.size.width, self.size.height
        self._body.lay_out(width, max(0, height - _LINES))
        self._tell_choices()

    def _tell_choices(self) -> None:
        if not self.is_mounted:
            return
        is_table, number, count = self.is_table, self._body.number, self._body.count
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
        if action in ("next", "previous") and self._body.count < 2:
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
        self._body.walk(step)
        self._arrange()
        self._body.focus_page()

    def action_alone(self) -> None:
        """Show one graph alone, or all again."""
        body, focused = self._body, self.app.focused
        if not body.alone and isinstance(focused, Graph) and focused.id is not None:
            body.first = GRAPHS.index(focused.id.removeprefix("graph-"))
        body.alone = not body.alone
        self._arrange()
        body.focus_page()

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
        chosen = self.chosen if self._answer is None else self._answer.chosen
        if self.is_table:
            chosen = self._table.chosen or self.chosen
            text = export.text_of_sums(self._table.by, self._table.sums)
        else:
            text = export.text_of_figures(self.figures)
        await write_out(self.aiplat, chosen.name, text)
