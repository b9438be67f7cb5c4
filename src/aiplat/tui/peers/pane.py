"""The pane Peers: who is in the network, what they have to offer, and how this machine is shared.

Asks for the peers each second while it is seen, for their figures and what was given and taken now
and then. What is done is in `actions`; what is said in the modules of words.
"""

from __future__ import annotations

from typing import ClassVar, cast

from msgspec.structs import replace
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import DataTable

from aiplat.control import calls
from aiplat.control.messages import MemberStatus, PeerStatus, ShareStatus, Status
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.peers import actions, bindings, possible, words
from aiplat.tui.peers.columns import member_columns, peer_columns
from aiplat.tui.peers.detail import Detail, DetailScreen, Shown
from aiplat.tui.peers.doctor import DoctorScreen
from aiplat.tui.peers.history import History
from aiplat.tui.peers.rows import Row, rows_of
from aiplat.tui.peers.share_words import share_lines, short_share
from aiplat.tui.peers.told import Told
from aiplat.tui.peers.words import Line, act
from aiplat.tui.table import LiveTable
from aiplat.tui.waiting import waiting_words

EXCHANGE_SECONDS = 10.0
"""Between two questions for what was given and taken; the node looks on its disk for it."""
MEMBERS_SECONDS = 30.0
"""Between two questions for the members, of whom there can be thousands."""
_ASKING = "Asking the node who is there …"
_ASKING_MEMBERS = "Asking the node for its members …"
_TABLES = 2


class PeersPane(Pane):
    """A line of the network, the table of peers or of members, and below how it is shared."""

    HELP: ClassVar[str] = bindings.HELP
    BINDINGS: ClassVar[list[BindingType]] = bindings.BINDINGS

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    PeersPane #network { padding: 0 1; margin-bottom: 1; }
    PeersPane #troubles { padding: 0 1; margin-bottom: 1; }
    PeersPane #alone { padding: 0 1; margin-bottom: 1; }
    PeersPane #middle { height: 1fr; }
    PeersPane #members { display: none; }
    PeersPane.-members #members { display: block; }
    PeersPane.-members #all { display: none; }
    PeersPane #detail { display: none; width: 48; border-left: solid $border; }
    .-wide PeersPane #detail { display: block; }
    PeersPane.-members #detail { display: none; }
    PeersPane #share { border-top: solid $border; text-wrap: nowrap; text-overflow: ellipsis; }
    .-short PeersPane #network, .-short PeersPane #troubles, .-short PeersPane #alone
        { margin-bottom: 0; }
    .-short PeersPane #troubles { max-height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    .-narrow PeersPane #network { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self._peers: tuple[PeerStatus, ...] | None = None
        self._told: ShareStatus | None = None
        self._told_at: float | None = None
        self._members_at: float | None = None
        self._members_told = False
        self._history = History(self.aiplat.link)
        self._lives = self.world.lives
        self._fault = ""
        self._off: tuple[bool, ...] = ()

    def compose(self) -> ComposeResult:
        """Its parts, from above."""
        yield Notice()
        yield Told(id="network")
        yield Told(id="troubles")
        yield Told(id="alone")
        with Horizontal(id="middle"):
            yield LiveTable[Row](
                peer_columns(), lambda row: row.key, sort="state", id="all",
                empty=_ASKING, first=lambda row: row.here,
            )  # fmt: skip
            yield LiveTable[MemberStatus](
                member_columns(self.aiplat.clock), lambda member: member.peer_id, sort="joined",
                empty=_ASKING_MEMBERS, id="members",
            )  # fmt: skip
            yield Detail(id="detail")
        yield Told(id="share")

    def focus_first(self) -> None:
        """The table that is shown."""
        self._shown_table().grid.focus()

    # -- what is asked ---------------------------------------------------------------------------

    async def load(self) -> None:
        """Ask for the peers, and now and then for the rest."""
        if self.has_class("-members"):
            await self._load_members()
        self._peers = (await self.ask(calls.peers())).peers
        self._draw()
        now = self.aiplat.clock.monotonic()
        if self._told_at is None or now - self._told_at >= EXCHANGE_SECONDS:
            self._told = await self.ask(calls.share())
            self._told_at = now
        if self._history.take_turn(now):
            self._ask_history()
        self._draw()

    async def _load_members(self) -> None:
        now = self.aiplat.clock.monotonic()
        if self._members_at is not None and now - self._members_at < MEMBERS_SECONDS:
            return
        members = (await self.ask(calls.members())).members
        self._members_at, self._members_told = now, True
        if self._is_whole:
            none = "Nobody is a member yet. Invite a machine: it is one when it joins."
            self._members_table.show(members, none)

    @work(exclusive=True, group="figures")
    async def _ask_history(self) -> None:
        """What the peers did; in a worker of its own, for a slow disk keeps nothing else up."""
        status = self._status
        await self._history.ask(self.aiplat.clock.now(), () if status is None else status.roles)
        self._draw_detail()

    def on_mount(self) -> None:
        """Say what is waited for."""
        self.call_after_refresh(self._wait)  # not before all of it is there

    def node_changed(self) -> None:
        """Show what its status says; of a node that was started anew, ask for all anew."""
        if self.world.lives != self._lives:
            self._lives = self.world.lives
            self._history.forget()
            self._told_at = self._members_at = None
        self._wait()
        self._draw()

    def show_fault(self, text: str) -> None:
        """Show what went wrong, and where nothing is told yet say so."""
        super().show_fault(text)
        self._fault = text
        self._wait()

    def _wait(self) -> None:
        """Say in each table of which nothing was told yet why that is so."""
        if not self._is_whole:
            return
        phase = self.world.phase
        if self._peers is None:
            self._table.show((), waiting_words(phase, _ASKING, self._fault))
        if not self._members_told:
            words = waiting_words(phase, _ASKING_MEMBERS, self._fault)
            self._members_table.show((), words)

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def _status(self) -> Status | None:
        return self.world.status

    @property
    def _table(self) -> LiveTable[Row]:
        return cast("LiveTable[Row]", self.query_one("#all", LiveTable))

    @property
    def _members_table(self) -> LiveTable[MemberStatus]:
        return cast("LiveTable[MemberStatus]", self.query_one("#members", LiveTable))

    @property
    def _is_whole(self) -> bool:
        """Whether its parts are there: not before it is composed, nor while it is taken down."""
        return len(self.query(DataTable)) == _TABLES and bool(self.query("#share"))

    def _shown_table(self) -> LiveTable[Row] | LiveTable[MemberStatus]:
        return self._members_table if self.has_class("-members") else self._table

    def _draw(self) -> None:
        status = self._status
        if not self._is_whole or status is None:
            return
        local = self.aiplat.clock.local
        if not status.network or not status.network.owner:
            self.remove_class("-members")
        self.query_one("#network", Told).tell([words.network_line(status, local)])
        self.query_one("#troubles", Told).tell(words.troubles(status))
        if self._peers is not None:
            self._table.show(rows_of(status, self._peers))
            self.query_one("#alone", Told).tell(
                words.nobody(status, len(self._peers), self.aiplat.key_of)
            )
        self._draw_share(status)
        self._draw_detail()
        self._tell_keys()

    def _tell_keys(self) -> None:
        """Have the keys at the foot drawn anew, if others make sense now."""
        off = tuple(bool(self.why_off(binding.action)) for _, binding in self._bindings)
        if off != self._off:
            self._off = off
            self.refresh_bindings()

    def _draw_share(self, status: Status) -> None:
        share = self.share
        if share is None:
            return
        high = self.app.size.height
        if high < 24:
            lines = short_share(share, self.aiplat.key_of)
        else:
            lines = share_lines(share, self.aiplat.key_of, users=1 if high < 30 else 3)
        self.query_one("#share", Told).tell(lines)

    @property
    def share(self) -> ShareStatus | None:
        """How this machine is shared: by the newest status, with what was given and taken."""
        status, told = self._status, self._told
        now = status.share if status is not None else None
        if now is None:
            return told
        return now if told is None else replace(now, exchange=told.exchange)

    def _draw_detail(self) -> None:
        if not self._is_whole:
            return
        row = self._table.current
        self.query_one("#detail", Detail).show(self._shown(row) if row is not None else None)
        screen = self.app.screen
        if isinstance(screen, DetailScreen) and self._peers is not None:
            for now in rows_of(self._status, self._peers):
                if now.key == screen.key:
                    offered = [name for name, _ in possible.offers(now, self._status)]
                    screen.show(self._shown(now), offered)

    def _shown(self, row: Row) -> Shown:
        hints: Line = ()
        for name, what in possible.offers(row, self._status):
            hints = (*hints, *((("   ", ""),) if hints else ()),
                     act(self.aiplat.key_of, f"peers.{name}", what))  # fmt: skip
        figures = self._history.of(row.key, self.aiplat.clock.now())
        return Shown(row, self._status, figures, self._history.problem, hints,
                     self.aiplat.preferences.graphs)  # fmt: skip

    def on_resize(self, event: Resize) -> None:
        """Show as much of the share as there is room for."""
        self._draw()

    @on(LiveTable.Highlighted)
    def _on_highlight(self, event: LiveTable.Highlighted) -> None:
        event.stop()
        self._draw_detail()
        self._tell_keys()

    @on(LiveTable.Chosen)
    def _on_choose(self, event: LiveTable.Chosen) -> None:
        event.stop()
        if event.table is not self._table or not isinstance(event.row, Row):
            return
        if self.screen.has_class("-wide"):
            self.query_one("#detail").focus()
        else:
            self._show_detail(event.row)

    @work(group="flow")
    async def _show_detail(self, row: Row) -> None:
        offered = [name for name, _ in possible.offers(row, self._status)]
        said = await self.app.push_screen_wait(DetailScreen(self._shown(row), offered))
        if said:
            await self._do_with(said, row)

    # -- what can be done ------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what makes no sense now."""
        return not self.why_off(action)

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now, in a few words; empty where it does."""
        if not self._is_whole:
            return ""
        sees_members = self.has_class("-members")
        if action in possible.WITH_ROW:
            if not sees_members:
                return possible.why_not_with(action, self._table.current, self._status)
            if action == "revoke":
                return possible.why_not_revoke(self._members_table.current, self._status)
            return "of peers, not of members"
        if action == ("members" if sees_members else "all"):
            return "they are shown"
        return possible.why_not(action, self._status, self.share)

    # -- actions ---------------------------------------------------------------------------------

    @work(group="flow")
    async def action_invite(self) -> None:
        """Invite another machine."""
        await actions.invite(self.aiplat)

    @work(group="flow")
    async def action_create(self) -> None:
        """Make a network."""
        await actions.create(self.aiplat)
        self._news()

    @work(group="flow")
    async def action_join(self) -> None:
        """Join a network."""
        await actions.join(self.aiplat)
        self._news()

    @work(group="flow")
    async def action_leave(self) -> None:
        """Leave the network."""
        status = self._status
        if status is not None and status.network is not None:
            await actions.leave(self.aiplat, status.network)
            self._news()

    def action_members(self) -> None:
        """Show the members instead of the peers."""
        self._see(members=True)

    def action_all(self) -> None:
        """Show the peers again."""
        self._see(members=False)

    def _see(self, *, members: bool) -> None:
        self.set_class(members, "-members")
        self._shown_table().grid.focus()
        self._tell_keys()
        self.reload()

    def action_doctor(self) -> None:
        """Look what is wrong."""
        self.app.push_screen(DoctorScreen())

    def action_drain(self) -> None:
        """Place nothing more there."""
        self._with_current("drain")

    def action_undrain(self) -> None:
        """Place requests there again."""
        self._with_current("undrain")

    def action_block(self) -> None:
        """Shut it out."""
        self._with_current("block")

    def action_unblock(self) -> None:
        """Let it in again."""
        self._with_current("unblock")

    def action_revoke(self) -> None:
        """Take its certificate away."""
        self._with_current("revoke")

    @work(group="flow")
    async def action_pause(self) -> None:
        """Take nothing new from others."""
        await actions.pause(self.aiplat, off=False)
        self._news()

    @work(group="flow")
    async def action_pause_now(self) -> None:
        """The same, and end what they have under way."""
        await actions.pause(self.aiplat, off=False, now=True)
        self._news()

    @work(group="flow")
    async def action_resume(self) -> None:
        """Take requests of others again."""
        await actions.pause(self.aiplat, off=True)
        self._news()

    @work(group="flow")
    async def action_terms(self) -> None:
        """Choose on which terms this machine is shared."""
        await actions.edit_share(self.aiplat)
        self._news()

    @work(group="flow")
    async def _with_current(self, name: str) -> None:
        if self.has_class("-members"):
            member = self._members_table.current
            if member is not None and name == "revoke":
                await actions.revoke(self.aiplat, member.peer_id)
                self._news()
        elif (row := self._table.current) is not None:
            await self._do_with(name, row)

    async def _do_with(self, name: str, row: Row) -> None:
        peer = "" if row.here else row.peer.peer_id
        match name:
            case "drain" | "undrain":
                await actions.drain(self.aiplat, peer, off=name == "undrain")
            case "block":
                await actions.block(self.aiplat, peer)
            case "unblock":
                await actions.unblock(self.aiplat, peer)
            case "revoke":
                await actions.revoke(self.aiplat, peer)
        self._news()

    def _news(self) -> None:
        """Something was done: ask for all of it anew."""
        self._told_at = self._members_at = None
        self.reload()
