"""The pane Keys: who one is at a gateway, one's keys, and for operators everyone's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType

from aiplat.control.accounts import AuditEntry, Invitation, KeyStatus, UserStatus, WhoAmI
from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Field
from aiplat.tui.keys import actions, people, words
from aiplat.tui.keys.facts import FactBox
from aiplat.tui.keys.faults import fault_words
from aiplat.tui.keys.form import SendForm
from aiplat.tui.keys.parts import StandingView, ViewName
from aiplat.tui.keys.views import KeysViews, Whose
from aiplat.tui.table import LiveTable

_OF_A_KEY = ("rotate", "revoke")
_OF_A_USER = ("shut", "limits", "role", "delete", "keys_of")
_OF_OPERATORS = ("whose", "show_view", "invite", "uninvite")
_KNOWN = ("make", "account", "ended")


class KeysPane(KeysViews):
    """Account, keys and where secrets are kept; for operators users, invitations, the audit log."""

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
            self.aiplat.tell(fault_words(fault), severity="error")
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
