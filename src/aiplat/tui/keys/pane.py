"""The pane Keys: who one is at a gateway, one's keys, and for operators everyone's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
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
    KeyStatus,
    Nothing,
    UserList,
    UserStatus,
    WhoAmI,
)
from aiplat.control.faults import NodeLost, NoNode
from aiplat.domain.errors import AiplatError, InvalidApiKey, PermissionDenied, UserDisabled
from aiplat.tui.dialogs import Field
from aiplat.tui.keys import actions, people, words
from aiplat.tui.keys.columns import (
    KeysTable,
    audit_columns,
    invitation_columns,
    key_columns,
    user_columns,
)
from aiplat.tui.keys.facts import FactBox
from aiplat.tui.keys.form import SendForm
from aiplat.tui.keys.parts import AccountHead, StandingView, ViewBar, ViewName
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.table import LiveTable

VIEWS = {"keys": "Keys", "users": "Users", "invitations": "Invitations", "audit": "Audit log"}
KEYRING_SECONDS = 60.0
"""Between two looks at the keyring: it is written to and read, and may be slow."""
MOST_ENTRIES = 200
"""Of the audit log."""

_OFFERS = {"register": "Register", "log_in": "Log in", "log_out": "Log out",
           "gateway": "Another gateway"}  # fmt: skip
_OF_A_KEY = ("rotate", "revoke")
_OF_A_USER = ("shut", "limits", "role", "delete", "keys_of")
_OF_OPERATORS = ("whose", "show_view", "invite", "uninvite")
_KNOWN = ("make", "account", "ended")


@dataclass(frozen=True)
class Whose:
    """Whose keys are shown: everyone's, one account's, or with neither one's own."""

    everyone: bool = False
    user: str = ""

    @property
    def words(self) -> str:
        """It in words."""
        return "of everyone" if self.everyone else f"of {self.user}" if self.user else "yours"


class KeysPane(Pane):
    """Account, keys and where secrets are kept; for operators users, invitations, the audit log."""

    SECONDS: ClassVar[float] = 5.0
    HELP: ClassVar[str] = (
        "Who you are at a gateway, what you may take there, and your keys: with one a program, or "
        "another machine, asks for answers in your name.\n"
        "A key is shown once, when it is made or rotated; then only its name and id are known.\n"
        "● active   ◐ rotated: holds beside its successor for a while   ○ expired   ✕ revoked\n"
        "▲ before a date: it ends within a week.\n"
        "Kept: where this node has the secret, to ask with it; – is not at all.\n"
        "The line “secrets”: ● in the keyring   ▲ some lie in a file, in the clear   ✕ no keyring\n"
        "Month: tokens since the first of this month (UTC), when limits of a month begin anew.\n"
        "An operator of the gateway sees everyone's keys (Whose), and the views Users, "
        "Invitations and Audit log."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "make", "New key", id="keys.make"),
        Binding("o", "rotate", "Rotate", id="keys.rotate"),
        Binding("x", "revoke", "Revoke", id="keys.revoke"),
        Binding("t", "shut", "Disable/enable", id="keys.shut"),
        Binding("m", "limits", "Limits", id="keys.limits"),
        Binding("p", "role", "Role", show=False, id="keys.role"),
        Binding("d", "delete", "Delete", id="keys.delete"),
        Binding("y", "keys_of", "Its keys", id="keys.keys_of"),
        Binding("i", "invite", "Invite", show=False, id="keys.invite"),
        Binding("w", "uninvite", "Withdraw", id="keys.uninvite"),
        Binding("k", "show_view('keys')", "Keys", id="keys.keys"),
        Binding("u", "show_view('users')", "Users", id="keys.users"),
        Binding("v", "show_view('invitations')", "Invitations", show=False, id="keys.invitations"),
        Binding("a", "show_view('audit')", "Audit log", show=False, id="keys.audit"),
        Binding("e", "ended", "Ended too", show=False, id="keys.ended"),
        Binding("W", "whose", "Whose", show=False, id="keys.whose"),
        Binding("r", "register", "Register", id="keys.register"),
        Binding("l", "log_in", "Log in", id="keys.log_in"),
        Binding("L", "log_out", "Log out", show=False, id="keys.log_out"),
        Binding("A", "account", "Account", show=False, id="keys.account"),
        Binding("g", "gateway", "Gateway", show=False, id="keys.gateway"),
        Binding("D", "keyring", "Secrets", id="keys.doctor"),
    ]

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
                _numbered(audit_columns(clock)), lambda entry: entry[0], id="audit-table",
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
                self._table(self.view).show((), words.fault_words(fault))
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
        make = self.aiplat.key_of("keys.make") or "n"
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
            standing = words.standing(fault, self._registration)
        else:
            standing = words.LOOKING if self.world.is_attached else words.ABSENT
        had = self._has_focus()
        self.remove_class("-known")
        self.query_one("#standing", StandingView).show(standing)
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

    # -- which actions make sense ----------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        return not self._why_off(action, parameters)

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now, for F1."""
        name, _, rest = action.partition("(")
        return self._why_off(name, (rest.strip("')"),) if rest else ())

    def _why_off(self, action: str, parameters: tuple[object, ...]) -> str:
        me = self.me
        if action in ("register", "log_in"):
            return self._why_known(me)
        if action == "log_out":
            return "" if me is None or me.by == "session" else "nobody is logged in"
        if me is None and action in (*_KNOWN, *_OF_A_KEY, *_OF_A_USER, *_OF_OPERATORS):
            return "nobody is logged in"
        if action in (*_OF_A_USER, *_OF_OPERATORS) and not words.is_operator(self.me_now):
            return "only an operator may"
        if action == "show_view":
            return "it is shown" if parameters == (self.view,) else ""
        return self._why_row_off(action)

    def _why_known(self, me: WhoAmI | None) -> str:
        """Why nobody logs in; where there are several gateways one may be known at each."""
        if me is None or self.gateway or len(actions.gateways(self.world)) > 1:
            return ""
        known = {"operator": "you own this gateway", "session": "you are logged in"}
        return known.get(me.by, "")

    def _why_row_off(self, action: str) -> str:
        if action in _OF_A_KEY:
            key = self._keys.current if self.view == "keys" else None
            if key is None:
                return "no key is chosen"
            if key.state in ("revoked", "expired") or (action, key.state) == ("rotate", "rotated"):
                return f"it is {key.state}"
        if action in ("ended", "whose") and self.view != "keys":
            return "it is of the view Keys"
        if action in _OF_A_USER and (self.view != "users" or self._users.current is None):
            return "no account is chosen"
        if action == "uninvite" and (
            self.view != "invitations" or self._invitations.current is None
        ):
            return "no invitation is chosen"
        return ""

    # -- flows -----------------------------------------------------------------------------------

    @work(group="flow")
    async def _run(self, flow: Callable[[], Awaitable[object]], *, keyring: bool = False) -> None:
        """Do something step by step, and look anew.

        Arguments:
            keyring: whether what is kept may be otherwise after it.
        """
        try:
            await flow()
        except AiplatError as fault:
            self.aiplat.tell(words.fault_words(fault), severity="error")
        if keyring:
            self._secrets_at = None
        self.reload()

    async def action_register(self) -> None:
        """Make an account."""

        async def flow() -> None:
            learnt = await actions.register(self.aiplat, self.gateway)
            self._registration = "" if learnt == "done" else learnt or self._registration

        self._run(flow, keyring=True)

    def action_log_in(self) -> None:
        """Begin a session."""
        self._run(lambda: actions.log_in(self.aiplat, self.gateway), keyring=True)

    def action_log_out(self) -> None:
        """End it."""
        self._run(lambda: actions.log_out(self.aiplat, self.gateway), keyring=True)

    def action_make(self) -> None:
        """Make a key."""
        self._run(lambda: actions.make_key(self.aiplat, self.gateway), keyring=True)

    def action_rotate(self) -> None:
        """Put a new secret in the key's place."""
        if (key := self._keys.current) is not None and not self._why_off("rotate", ()):
            self._run(lambda: actions.rotate(self.aiplat, key, self.me_now, self.gateway),
                      keyring=True)  # fmt: skip

    def action_revoke(self) -> None:
        """Take the key away."""
        if (key := self._keys.current) is not None and not self._why_off("revoke", ()):
            self._run(lambda: actions.revoke(self.aiplat, key, self.me_now, self.gateway),
                      keyring=True)  # fmt: skip

    def action_keyring(self) -> None:
        """Tell all of where secrets are kept."""

        async def flow() -> None:
            state = await actions.show_keyring(self.aiplat)
            if state is not None:
                self._secrets, self._secrets_at = state, self.aiplat.clock.monotonic()

        self._run(flow)

    def action_account(self) -> None:
        """Tell all of who one is."""
        rows = words.account_rows(self.me_now, self.aiplat.clock, chosen=bool(self.gateway))
        rows.insert(1, words.fact("gateway", self.me_now.gateway))
        if self._secrets is not None:
            rows.append(words.badge(self._secrets))
        box = FactBox("Account", rows, copied=self.me_now.gateway)
        self._run(lambda: self.aiplat.push_screen_wait(box))

    def action_gateway(self) -> None:
        """Choose at which gateway one's account is shown."""

        async def take(values: dict[str, str]) -> str:
            return values["gateway"]

        form = SendForm(
            "Which gateway", [actions.gateway_field(self.world, self.gateway)], take,
            text="Whose accounts and keys are shown: a gateway's peer id, the end of it, or its "
            "address. Empty is the one that you are known at, or this node's own.",
            done="Show",
        )  # fmt: skip

        async def flow() -> None:
            await self.aiplat.push_screen_wait(form)
            if form.got is not None and form.got != self.gateway:
                self.gateway, self.me, self.whose = form.got, None, Whose()
                self._registration = ""
                self._stand()
                self._draw()

        self._run(flow)

    # -- views -----------------------------------------------------------------------------------

    def action_show_view(self, view: str) -> None:
        """Show keys, users, invitations or the audit log."""
        if view == "keys":
            self.whose = Whose() if self.view == "keys" else self.whose
        self._show_view(view)
        self.reload()

    def _show_view(self, view: str) -> None:
        had = self._has_focus()
        self.view, self._more = view, 0
        self.query_one("#views", ContentSwitcher).current = f"{view}-table"
        if had:
            self.focus_first()
        self._draw()

    @on(ViewName.Asked)
    def _on_view(self, event: ViewName.Asked) -> None:
        event.stop()
        if self.me is not None:
            self.action_show_view(event.view)

    def action_ended(self) -> None:
        """Show ended keys too, or no more."""
        self.with_ended = not self.with_ended
        self._draw()
        self.reload()

    def action_whose(self) -> None:
        """Choose whose keys are shown."""

        async def take(values: dict[str, str]) -> Whose:
            if values["whose"] == "user":
                return Whose(user=values["user"])
            return Whose(everyone=values["whose"] == "everyone")

        now = "everyone" if self.whose.everyone else "user" if self.whose.user else "mine"
        form = SendForm(
            "Whose keys",
            [Field("whose", "Show", value=now,
                   choices=(("mine", "yours"), ("everyone", "everyone's"),
                            ("user", "one account's"))),
             Field("user", "The account", value=self.whose.user, hint="its name, for the last")],
            take, done="Show",
        )  # fmt: skip

        async def flow() -> None:
            await self.aiplat.push_screen_wait(form)
            if form.got is not None:
                self.whose = form.got

        self._run(flow)

    def action_keys_of(self) -> None:
        """Show the account's keys."""
        if (user := self._users.current) is not None:
            self.whose = Whose(user=user.name)
            self.action_show_view("keys")

    # -- users and invitations -------------------------------------------------------------------

    def _with_user(self, flow: Callable[[Any, UserStatus, str], Awaitable[bool]]) -> None:
        if self.view == "users" and (user := self._users.current) is not None:
            self._run(lambda: flow(self.aiplat, user, self.gateway))

    def action_shut(self) -> None:
        """Shut the account out, or let it in again."""
        self._with_user(people.let_in_or_out)

    def action_limits(self) -> None:
        """Change what the account may take."""
        self._with_user(people.set_limits)

    def action_role(self) -> None:
        """Make it an operator's, or a user's again."""
        self._with_user(people.change_role)

    def action_delete(self) -> None:
        """Delete the account."""
        self._with_user(people.delete)

    def action_invite(self) -> None:
        """Make a code to register with."""
        self._run(lambda: people.invite(self.aiplat, self.gateway))

    def action_uninvite(self) -> None:
        """Withdraw the invitation."""
        if self.view == "invitations" and (one := self._invitations.current) is not None:
            self._run(lambda: people.uninvite(self.aiplat, one, self.gateway))

    # -- rows ------------------------------------------------------------------------------------

    @on(StandingView.Chosen)
    async def _on_offer(self, event: StandingView.Chosen) -> None:
        event.stop()
        await self.run_action(event.action)

    @on(LiveTable.Highlighted)
    def _on_row(self) -> None:
        self._tell_keys()

    @on(LiveTable.Chosen)
    def _on_chosen(self, event: LiveTable.Chosen) -> None:
        event.stop()
        clock, row = self.aiplat.clock, event.row
        offers: tuple[str, ...] = ()
        match row:
            case KeyStatus():
                box = words.name(row.name), words.key_rows(row, clock), row.id
                offers = _OF_A_KEY
            case UserStatus():
                box = words.name(row.name), words.user_rows(row, clock), row.id
                offers = ("keys_of", "shut", "limits")
            case Invitation():
                limits = words.fact("limits", words.invitation_limits(row))
                facts = [words.fact("uses left", str(row.uses)), limits,
                         words.fact("until", words.when(row.expires, clock)),
                         words.fact("made", words.when(row.created, clock))]  # fmt: skip
                box = "An invitation", facts, row.id
                offers = ("uninvite",)
            case (_, AuditEntry() as entry):
                box = "From the audit log", words.audit_rows(entry, clock), ""
            case _:
                return
        self._read(box, [name for name in offers if not self._why_off(name, ())])

    def _read(self, box: tuple[str, list[words.Row], str], offers: list[str]) -> None:
        title, rows, copied = box
        facts = [words.fact("id", copied), *rows] if copied else rows
        buttons = [(name, _BUTTONS[name]) for name in offers]

        async def flow() -> None:
            said = await self.aiplat.push_screen_wait(
                FactBox(title, facts, copied=copied, offers=buttons)
            )
            if said is not None:
                await self.run_action(said)

        self._run(flow)


_BUTTONS = {"rotate": "Rotate", "revoke": "Revoke", "keys_of": "Its keys",
            "shut": "Disable/enable", "limits": "Limits", "uninvite": "Withdraw"}  # fmt: skip


def _numbered(columns: Any) -> Any:
    """The columns of entries, for entries with their place: two entries may be alike."""
    from dataclasses import replace

    def of(tell: Callable[[AuditEntry], Any]) -> Callable[[tuple[int, AuditEntry]], Any]:
        return lambda row: tell(row[1])

    return tuple(
        replace(column, cell=of(column.cell),
                sort=None if column.sort is None else of(column.sort))
        for column in columns
    )  # fmt: skip
