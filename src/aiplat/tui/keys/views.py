"""What the pane Keys knows and shows: who one is, four tables, or what is so instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Button, ContentSwitcher

from aiplat.control import calls
from aiplat.control.accounts import (
    AuditAsk,
    AuditEntry,
    AuditLog,
    Invitation,
    InvitationList,
    KeyList,
    KeyringState,
    KeysAsk,
    Nothing,
    UserList,
    UserStatus,
    WhoAmI,
)
from aiplat.control.faults import NodeLost, NoNode
from aiplat.domain.errors import AiplatError, InvalidApiKey, PermissionDenied, UserDisabled
from aiplat.tui.keys import words
from aiplat.tui.keys.columns import (
    KeysTable,
    audit_columns,
    invitation_columns,
    key_columns,
    user_columns,
)
from aiplat.tui.keys.faults import ABSENT, LOOKING, fault_words, standing
from aiplat.tui.keys.parts import AccountHead, StandingView, ViewBar
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.table import LiveTable

VIEWS = {"keys": "Keys", "users": "Users", "invitations": "Invitations", "audit": "Audit log"}
KEYRING_SECONDS = 60.0
"""Between two looks at the keyring: it is written to and read, and may be slow."""
MOST_ENTRIES = 200

_OFFERS = {"register": "Register", "log_in": "Log in", "log_out": "Log out",
           "gateway": "Another gateway"}  # fmt: skip


@dataclass(frozen=True)
class Whose:
    """Whose keys are shown: everyone's, one account's, or with neither one's own."""

    everyone: bool = False
    user: str = ""

    @property
    def words(self) -> str:
        """It in words."""
        return "of everyone" if self.everyone else f"of {self.user}" if self.user else "yours"


class KeysViews(Pane):
    """The pane without what can be done in it."""

    SECONDS: ClassVar[float] = 5.0

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    KeysPane ContentSwitcher { height: 1fr; }
    KeysPane ViewBar { display: none; }
    KeysPane.-known ViewBar { display: block; }
    KeysPane LiveTable { padding: 0 1; }
    .-short KeysPane LiveTable { padding: 0; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.me: WhoAmI | None = None
        self.gateway = ""
        self.whose = Whose()
        self.with_ended = False
        self.view = "keys"
        self._fault: AiplatError | None = None
        self._secrets: KeyringState | None = None
        self._secrets_at: float | None = None
        self._registration = ""
        self._more = 0
        self._off: tuple[str, ...] = ()
        self._life = 0

    def compose(self) -> ComposeResult:
        """Who one is, the views' names, and the view."""
        clock = self.aiplat.clock
        yield Notice()
        yield AccountHead()
        yield ViewBar(VIEWS)
        with ContentSwitcher(initial="standing", id="views"):
            yield StandingView(_OFFERS, id="standing")
            yield KeysTable(key_columns(clock), lambda key: key.id, id="keys-table")
            yield LiveTable[UserStatus](
                user_columns(clock), lambda user: user.id, sort="used", id="users-table",
                empty="Nobody has an account here. Invite makes a code to register with.",
            )  # fmt: skip
            yield LiveTable[Invitation](
                invitation_columns(clock), lambda one: one.id, sort="until",
                id="invitations-table", empty="No invitation holds. Invite makes one.",
            )  # fmt: skip
            yield LiveTable[tuple[int, AuditEntry]](
                audit_columns(clock), lambda entry: entry[0], id="audit-table",
                empty="Nothing was written down yet.",
            )  # fmt: skip

    def on_mount(self) -> None:
        """Say what is waited for."""
        self._stand()

    def focus_first(self) -> None:
        """The table, or the first button."""
        if self.me is not None:
            self._table(self.view).grid.focus()
        else:
            for button in self.query("#standing Button").results(Button):
                if button.display:
                    button.focus()
                    return
            self.query_one("#standing", StandingView).focus()  # the keys are those of this pane

    # -- what is asked ---------------------------------------------------------------------------

    async def load(self) -> None:
        """Who one is, what the view shows, and now and then where secrets are kept."""
        await self._load_me()
        if self.me is not None:
            try:
                await self._load_view(self.me)
            except PermissionDenied as fault:
                self._table(self.view).show((), fault_words(fault))
            self._draw()
        await self._load_keyring()

    async def _load_me(self) -> None:
        try:
            me = await self._at("whoami", Nothing(), WhoAmI)
        except (NoNode, NodeLost):
            raise
        except AiplatError as fault:
            if self.me is not None and not isinstance(fault, InvalidApiKey | UserDisabled):
                raise
            self.me = None
            self._stand(fault)
            self._draw()
        else:
            self._registration, self._fault = "", None
            self._know(me)

    async def _load_view(self, me: WhoAmI) -> None:
        if self.view != "keys" and not words.is_operator(me):
            self._show_view("keys")
        match self.view:
            case "users":
                users = await self._at("users.list", Nothing(), UserList)
                self._users.show(users.users)
                self._more = users.more
            case "invitations":
                invitations = await self._at("users.invitations", Nothing(), InvitationList)
                self._invitations.show(invitations.invitations)
            case "audit":
                log = await self._at("users.audit", AuditAsk(most=MOST_ENTRIES), AuditLog)
                self._audit.show([(-place, entry) for place, entry in enumerate(log.entries)])
            case _:
                asked = KeysAsk(user=self.whose.user, everyone=self.whose.everyone,
                                ended=self.with_ended)  # fmt: skip
                keys = await self._at("keys.list", asked, KeyList)
                self._keys.of_all = self.whose != Whose()
                self._keys.show(keys.keys, self._no_keys())
                self._more = keys.more

    def _no_keys(self) -> str:
        make = self.aiplat.key_of("keys.make")
        if self.whose.user:
            return f"{self.whose.user} has no key that holds."
        ended = "" if self.with_ended else " Ended ones are not shown."
        return f"No key holds yet. {make} makes one: for this machine, or for a program.{ended}"

    async def _load_keyring(self) -> None:
        now = self.aiplat.clock.monotonic()
        if self._secrets_at is not None and now - self._secrets_at < KEYRING_SECONDS:
            return
        self._secrets = await self.ask(calls.keyring())
        self._secrets_at = now
        self._draw()

    async def _at(self, method: str, wish: Any, reply: type[calls.Reply]) -> calls.Reply:
        return await self.ask(calls.accounts(method, wish, reply, gateway=self.gateway))

    # -- what is shown ---------------------------------------------------------------------------

    def node_changed(self) -> None:
        """Ask another node anew; say where there is none."""
        if not self.query(StandingView):
            return  # it is made just now
        if not self.world.is_attached:
            self._fault = None
        elif self._life != self.world.lives:
            if self._life:
                self._secrets_at = None
                self.reload()
            self._life = self.world.lives
        if self.me is None:
            self._stand(self._fault)

    def _stand(self, fault: AiplatError | None = None) -> None:
        """Show what is so instead of keys."""
        self._fault = fault
        if fault is not None:
            told = standing(fault, self._registration)
        else:
            told = LOOKING if self.world.is_attached else ABSENT
        had = self._has_focus()
        self.remove_class("-known")
        self.query_one("#standing", StandingView).show(told)
        self.query_one("#views", ContentSwitcher).current = "standing"
        focused = self.screen.focused
        if had and not (isinstance(focused, Button) and focused.display and focused.is_on_screen):
            self.focus_first()
        self._tell_keys()

    def _know(self, me: WhoAmI) -> None:
        had, first = self._has_focus(), self.me is None
        self.me = me
        self.add_class("-known")
        if first:
            self.query_one("#views", ContentSwitcher).current = f"{self.view}-table"
            if had:
                self.focus_first()
        self._draw()

    def _has_focus(self) -> bool:
        """Whether the focus is in here, or nowhere while this is what is seen."""
        if not self.aiplat.is_seen(self):
            return False
        focused = self.screen.focused
        return focused is None or self in focused.ancestors

    def _draw(self) -> None:
        rows = []
        if self.me is not None:
            rows = words.account_rows(self.me, self.aiplat.clock, chosen=bool(self.gateway))
        if self._secrets is not None:
            rows.append(words.badge(self._secrets))
        self.query_one(AccountHead).show(rows)
        if self.me is None:
            return
        self.query_one(ViewBar).show(self.view, self._shown(),
                                     operator=words.is_operator(self.me))  # fmt: skip
        self._tell_keys()

    def _tell_keys(self) -> None:
        """Have the footer made anew, which is dear, where other actions make sense than before."""
        now = tuple(
            self.why_off(binding.action)
            for binding in self.BINDINGS
            if isinstance(binding, Binding)
        )
        if now != self._off:
            self._off = now
            self.refresh_bindings()

    def _shown(self) -> str:
        parts = []
        if self.view == "keys":
            parts = [self.whose.words] if words.is_operator(self.me_now) else []
            parts += ["ended too"] if self.with_ended else []
        if self._more and self.view in ("keys", "users"):
            parts.append(f"{self._more} more are not listed")
        return " · ".join(parts)

    @property
    def me_now(self) -> WhoAmI:
        """Who one is, where that is known."""
        assert self.me is not None
        return self.me

    def _table(self, view: str) -> LiveTable[Any]:
        return self.query_one(f"#{view}-table", LiveTable)

    @property
    def _keys(self) -> KeysTable:
        return self.query_one(KeysTable)

    @property
    def _users(self) -> LiveTable[UserStatus]:
        return self._table("users")

    @property
    def _invitations(self) -> LiveTable[Invitation]:
        return self._table("invitations")

    @property
    def _audit(self) -> LiveTable[tuple[int, AuditEntry]]:
        return self._table("audit")

    def _show_view(self, view: str) -> None:
        had = self._has_focus()
        self.view, self._more = view, 0
        self.query_one("#views", ContentSwitcher).current = f"{view}-table"
        if had:
            self.focus_first()
        self._draw()
