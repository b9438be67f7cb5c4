"""The pane Keys against a scripted gateway: what is asked of it, then what is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button, Input

from aiplat.control.accounts import (
    InvitationName,
    KeyList,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyWish,
    LimitsWish,
    Login,
    Register,
    RoleWish,
    UserInvite,
    UserName,
)
from aiplat.control.faults import NodeLost
from aiplat.control.messages import PeerStatus
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, NoPeer, PermissionDenied
from aiplat.tui.app import AiplatApp
from aiplat.tui.dialogs import Confirm
from aiplat.tui.keys import actions
from aiplat.tui.keys.facts import Choose, FactBox
from aiplat.tui.keys.form import SendForm, ShowOnce
from aiplat.tui.keys.pane import KeysPane
from tests.support.keys_scene import (
    ANN,
    BOB,
    BOSS,
    CARD,
    CI,
    CODE,
    GATEWAY,
    LAPTOP,
    MADE,
    ME,
    NO_RING,
    NOBODY,
    PASSWORD,
    SECRET,
    SESSION,
    link_of,
)
from tests.support.screens import (
    Copies,
    ScriptedLink,
    app_of,
    drive,
    each_look,
    looks_as,
    prefer,
    running,
    settled,
    status,
    text_of,
    until,
)

CLOSED = PermissionDenied("This gateway takes no registrations: its operator opens it.")
INVITED = PermissionDenied("… the second line of what is piped in.", param="invitation")


class Screen:
    """The pane, as a person sits before it."""

    def __init__(self, app: AiplatApp, link: ScriptedLink, pilot: Pilot[None]) -> None:
        self.app, self.link, self.pilot = app, link, pilot

    @property
    def pane(self) -> KeysPane:
        return self.app.screen_stack[0].query_one(KeysPane)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def enter(self, text: str) -> None:
        """Type into the field that has the focus."""
        field = self.app.screen.focused
        assert isinstance(field, Input)
        field.value = text
        await self.pilot.pause()

    async def fill(self, **values: str) -> None:
        for name, value in values.items():
            self.app.screen.query_one(f"#field-{name}", Input).value = value
        await self.pilot.pause()

    async def click(self, button: str) -> None:
        self.app.screen.query_one(f"#{button}", Button).press()
        await self.pilot.pause()

    async def dialog(self, kind: type[Any]) -> None:
        await until(self.pilot, lambda: isinstance(self.app.screen, kind), f"{kind.__name__}")
        await self.pilot.pause()

    async def gone(self) -> None:
        await until(self.pilot, lambda: len(self.app.screen_stack) == 1, "the dialog is gone")

    def text(self) -> str:
        """The screen as one line, without the frames of boxes: texts are broken to their width."""
        return " ".join(text_of(self.app).replace("│", " ").split())

    async def says(self, text: str) -> None:
        await until(self.pilot, lambda: text in self.text(), f"{text!r} in {self.text()}")

    async def asked(self, method: str, count: int = 1) -> Any:
        await until(self.pilot, lambda: len(self.link.of(f"accounts:{method}")) >= count, method)
        return self.link.of(f"accounts:{method}")[-1]

    def told(self) -> str:
        return "\n".join(note.message for note in self.app._notifications)


@asynccontextmanager
async def sitting(
    link: ScriptedLink, size: tuple[int, int] = (100, 30), **more: Any
) -> AsyncIterator[Screen]:
    app = app_of(link, **more)
    async with running(app, size, "keys") as pilot:
        await until(pilot, lambda: link.of("keyring"), "all was asked once")
        await pilot.pause()
        yield Screen(app, link, pilot)


# -- what is shown -------------------------------------------------------------------------------


def test_account_keys_and_keyring_are_asked_and_shown() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            assert link.of("accounts:keys.list") == [KeysAsk()]
            text = text_of(screen.app)
            for said in ("ann · user · at …Gate1234", "a log-in, until 2026-12-02 14:30",
                         "1.2M of 5M tokens, anew on 1 Dec", "● keyring: SecretService Keyring",
                         "▲ in 3 d", "◐ rotated", "3 m ago", "▲ file"):  # fmt: skip
                assert said in text, said
            assert "Users" not in text  # it is an operator's

    drive(test)


def test_ended_keys_are_shown_when_they_are_wanted() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            assert "✕ revoked" not in text_of(screen.app)
            await screen.press("e")
            assert await screen.asked("keys.list", 2) == KeysAsk(ended=True)
            await screen.says("✕ revoked")
            await screen.says("ended too")

    drive(test)


def test_without_keys_it_says_how_to_make_one() -> None:
    async def test() -> None:
        async with sitting(link_of(accounts_keys_list=KeyList(keys=()))) as screen:
            await screen.says("No key holds yet. n makes one")
            assert screen.pane.why_off("revoke") == "no key is chosen"
            await settled(
                screen.pilot
            )  # a table without rows is drawn as none, and keeps the focus
            assert screen.app.focused is not None
            await screen.press("n")
            await screen.says("Make it")

    drive(test)


def test_a_key_that_may_not_list_keys_says_so_and_the_account_stays() -> None:
    async def test() -> None:
        refusal = PermissionDenied("The key 'ci' has the scopes inference. Log in.")
        me = replace(ME, by="key", key=CI, scopes=("inference",))
        async with sitting(link_of(accounts_whoami=me, accounts_keys_list=refusal)) as screen:
            await screen.says("has the scopes inference. Log in.")
            await screen.says("the key ci")
            assert screen.pane.check_action("log_in", ())

    drive(test)


def test_a_detail_has_all_facts_and_what_can_be_done() -> None:
    async def test() -> None:
        copies = Copies()
        async with sitting(link_of(), copies=copies) as screen:
            await screen.press("down", "enter")
            await screen.dialog(FactBox)
            await screen.says("912,345 tokens")
            await screen.press("c")
            await until(screen.pilot, lambda: copies.texts == [LAPTOP.id], "it is copied")
            await screen.click("revoke")
            await screen.dialog(Confirm)

    drive(test)


def test_markup_and_controls_in_names_are_text() -> None:
    async def test() -> None:
        wild = replace(LAPTOP, name="[red]x[/]\x1b[2J", models=("[@click=app.quit]m[/]",))
        async with sitting(link_of(accounts_keys_list=KeyList(keys=(wild,)))) as screen:
            await screen.says("[red]x[/]")
            await screen.press("enter")
            await screen.dialog(FactBox)
            await screen.says("[@click=app.quit]m[/]")
            await screen.press("escape", "x")
            await screen.dialog(Confirm)
            await screen.says("Type [red]x[/] to confirm")

    drive(test)


# -- who is nobody -------------------------------------------------------------------------------


def test_who_is_nobody_is_told_what_to_do_and_logs_in() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=NOBODY)
        async with sitting(link) as screen:
            await screen.says("Nobody is logged in here")
            assert screen.pane.why_off("make") == "nobody is logged in"
            await screen.press("l")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password=PASSWORD)
            assert PASSWORD not in text_of(screen.app)
            fields = list(screen.app.screen.query(Input))
            link.says["accounts:whoami"] = ME
            await screen.click("yes")
            wish = await screen.asked("login")
            assert (wish.name, wish.password) == ("ann", PASSWORD)
            await screen.gone()
            assert all(field.value != PASSWORD for field in fields)
            assert "Logged in as ann at …Gate1234" in screen.told()
            await screen.says("laptop")
            await until(screen.pilot, lambda: screen.pane._keys.grid.has_focus, "keys have it")

    drive(test)


def test_a_wrong_password_is_told_in_the_form_and_typed_anew() -> None:
    async def test() -> None:
        wrong = InvalidApiKey("The name or the password is wrong.", param="password")
        link = link_of(accounts_whoami=NOBODY, accounts_login=wrong)
        async with sitting(link) as screen:
            await screen.press("l")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password="wrong horse")
            await screen.click("yes")
            await screen.says("The name or the password is wrong.")
            field = screen.app.screen.query_one("#field-password", Input)
            assert field.has_focus and not field.value
            assert screen.app.screen.query_one("#field-name", Input).value == "ann"
            link.says["accounts:login"] = SESSION
            await screen.enter(PASSWORD)
            await screen.click("yes")
            assert (await screen.asked("login", 2)).password == PASSWORD
            await screen.gone()

    drive(test)


def test_a_registration_asks_the_password_twice_and_the_code_where_it_is_wanted() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=NOBODY, accounts_register=INVITED)
        async with sitting(link) as screen:
            await screen.press("r")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password=PASSWORD, again="another")
            await screen.click("yes")
            await screen.says("The two passwords differ")
            assert not link.of("accounts:register")
            await screen.fill(password=PASSWORD, again=PASSWORD)
            await screen.click("yes")
            await screen.says("type the code that its operator gave you")
            assert screen.app.screen.query_one("#field-invitation", Input).has_focus
            await screen.enter(CODE)
            assert CODE not in text_of(screen.app)
            link.says["accounts:register"] = SESSION
            await screen.click("yes")
            wish = await screen.asked("register", 2)
            assert wish == Register(name="ann", password=PASSWORD, invitation=CODE)
            await screen.gone()

    drive(test)


def test_a_closed_gateway_is_remembered() -> None:
    async def test() -> None:
        async with sitting(link_of(accounts_whoami=NOBODY, accounts_register=CLOSED)) as screen:
            await screen.press("r")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password=PASSWORD, again=PASSWORD)
            await screen.click("yes")
            await screen.says("takes no registrations")
            await screen.press("escape")
            await screen.gone()
            await screen.says("It takes no registrations: its operator opens it")

    drive(test)


def test_where_there_are_several_gateways_the_field_names_one() -> None:
    async def test() -> None:
        several = InvalidRequest(
            "There are 2 gateways, and a password is for one: say which with --gateway "
            "(…aaaaaaaa, …bbbbbbbb).",
            param="gateway",
        )
        link = link_of(accounts_whoami=NOBODY, accounts_login=several)
        link.says["status"] = status(peers=(PeerStatus(peer_id=GATEWAY, roles=("gateway",)),))
        said: list[str] = []
        inner = link.call

        async def call(asked: Any) -> Any:
            said.append(getattr(asked.wish, "gateway", ""))
            return await inner(asked)

        link.call = call  # type: ignore[method-assign, assignment]  # it also notes the gateway
        async with sitting(link) as screen:
            await screen.press("l")
            await screen.dialog(SendForm)
            assert "Gate1234" in screen.app.screen.query_one("#field-gateway", Input).placeholder
            await screen.fill(name="ann", password=PASSWORD)
            await screen.click("yes")
            await screen.says("say which in the field Gateway")
            link.says["accounts:login"] = SESSION
            await screen.fill(gateway="aaaaaaaa", password=PASSWORD)
            await screen.click("yes")
            await screen.asked("login", 2)
            assert "aaaaaaaa" in said

    drive(test)


def test_another_gateway_is_asked_when_it_is_chosen() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            await screen.press("g")
            await screen.dialog(SendForm)
            await screen.enter("bbbbbbbb")
            link.says["accounts:whoami"] = InvalidRequest("No gateway has the peer id 'bbbbbbbb'.")
            await screen.press("enter")
            await screen.says("That gateway is not known")
            assert screen.pane.gateway == "bbbbbbbb"

    drive(test)


def test_a_client_without_a_gateway_and_a_node_that_is_gone() -> None:
    async def test() -> None:
        nobody = NoPeer("This node is a client, and no gateway is connected to it.")
        link = link_of(accounts_whoami=nobody)
        async with sitting(link) as screen:
            await screen.says("No gateway is reached")
            await screen.says("In Peers you create or join a network")
            link.vanish()
            screen.app.world.look_now()
            await screen.says("The node is not there")

    drive(test)


def test_what_was_seen_stays_when_the_gateway_is_away_for_a_while() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            link.says["accounts:whoami"] = NoPeer("The gateway …Gate1234 is not connected.")
            screen.pane.reload()
            await screen.says("The gateway …Gate1234 is not connected.")
            assert "laptop" in text_of(screen.app)
            link.says["accounts:whoami"] = NodeLost("The node does not answer.")
            screen.pane.reload()
            await screen.says("The node does not answer.")
            assert "laptop" in text_of(screen.app)

    drive(test)


def test_a_log_out_is_asked_for_first() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            await screen.press("L")
            await screen.dialog(Confirm)
            link.says["accounts:whoami"] = NOBODY
            await screen.click("yes")
            await screen.asked("logout")
            await screen.says("Nobody is logged in here")

    drive(test)


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_and_copied() -> None:
    async def test() -> None:
        link, copies = link_of(accounts_keys_create=replace(MADE, kept="keyring")), Copies()
        async with sitting(link, copies=copies) as screen:
            await screen.press("n")
            await screen.dialog(SendForm)
            await screen.fill(name="laptop", expires="90d", tokens_per_month="lots")
            await screen.click("yes")
            await screen.says("'lots' is no number")
            assert screen.app.screen.query_one("#field-tokens_per_month", Input).has_focus
            await screen.fill(tokens_per_month="5M")
            await screen.click("yes")
            assert await screen.asked("keys.create") == KeyWish(
                name="laptop", expires_seconds=7_776_000, store=True,
                limits=Limits(tokens_per_month=5_000_000),
            )  # fmt: skip
            await screen.dialog(ShowOnce)
            assert SECRET in text_of(screen.app).replace("\n", "").replace(" ", "") or SECRET[
                :40
            ] in text_of(screen.app)
            await screen.press("c")
            await until(screen.pilot, lambda: copies.texts == [SECRET], "it is copied")
            await screen.press("escape")
            await screen.gone()
            assert SECRET[:40] not in text_of(screen.app) and SECRET not in screen.told()

    drive(test)


def test_a_key_that_is_kept_nowhere_does_not_go_by_one_key() -> None:
    async def test() -> None:
        async with sitting(link_of()) as screen:
            await screen.press("n")
            await screen.dialog(SendForm)
            await screen.fill(name="laptop")
            await screen.click("yes")
            await screen.dialog(ShowOnce)
            await screen.press("enter")
            assert isinstance(screen.app.screen, ShowOnce)
            assert "kept nowhere else" in screen.told()
            await screen.click("close")
            await screen.gone()

    drive(test)


def test_without_a_keyring_a_key_goes_to_a_file_only_when_that_is_chosen() -> None:
    async def test() -> None:
        link = link_of(keyring=NO_RING)
        async with sitting(link) as screen:
            for keep, wish in (
                ("", KeyWish(name="laptop")),
                ("file", KeyWish(name="laptop", store=True, insecure=True)),
            ):
                await screen.press("n")
                await screen.dialog(SendForm)
                await screen.says("▲ There is no keyring to keep it in.")
                await screen.fill(name="laptop")
                if keep:
                    screen.app.screen.query_one("#field-keep").value = keep  # type: ignore[attr-defined]  # a Select
                    await screen.pilot.pause()
                await screen.click("yes")
                await screen.dialog(ShowOnce)
                assert link.of("accounts:keys.create")[-1] == wish
                await screen.press("escape", "escape")
                await screen.gone()

    drive(test)


def test_without_a_keyring_a_session_is_kept_in_the_clear_only_when_that_is_said() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=NOBODY, keyring=NO_RING)
        async with sitting(link) as screen:
            await screen.press("l")
            await screen.dialog(Choose)
            await screen.says("in the clear")
            assert screen.app.screen.query_one("#no").has_focus
            await screen.press("escape")
            await screen.gone()
            assert not link.of("accounts:login")
            await screen.press("l")
            await screen.dialog(Choose)
            await screen.click("clear")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password=PASSWORD)
            await screen.click("yes")
            assert await screen.asked("login") == Login(name="ann", password=PASSWORD)

    drive(test)


def test_a_long_reason_can_be_scrolled_and_answered_on_the_smallest_screen() -> None:
    async def test() -> None:
        ring = replace(NO_RING, mend="Install one, and try again. " * 30 + "That is the end.")
        async with sitting(link_of(accounts_whoami=NOBODY, keyring=ring), (60, 18)) as screen:
            await screen.press("l")
            await screen.dialog(Choose)
            assert "Keep it in the clear" in screen.text()
            await screen.press("shift+tab", "end")
            await screen.says("or a copy of it, is you.")

    drive(test)


def test_a_form_that_is_being_sent_is_not_left() -> None:
    async def test() -> None:
        link, goes = link_of(), asyncio.Event()
        inner = link.call

        async def call(asked: Any) -> Any:
            if getattr(asked.wish, "method", "") == "keys.create":
                await goes.wait()
            return await inner(asked)

        link.call = call  # type: ignore[method-assign, assignment]  # it waits
        async with sitting(link) as screen:
            await screen.press("n")
            await screen.dialog(SendForm)
            await screen.fill(name="laptop")
            await screen.click("yes")
            await screen.says("One moment …")
            await screen.press("escape")
            await screen.says("It is being done")
            goes.set()
            await screen.dialog(ShowOnce)

    drive(test)


def test_a_key_is_rotated_with_an_overlap() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            await screen.press("down", "o")
            await screen.dialog(SendForm)
            await screen.fill(overlap="1h")
            await screen.click("yes")
            assert await screen.asked("keys.rotate") == KeyRotate(
                key=LAPTOP.id, overlap_seconds=3600, store=True
            )
            await screen.dialog(ShowOnce)

    drive(test)


def test_what_is_rotated_or_ended_is_not_rotated_again() -> None:
    async def test() -> None:
        async with sitting(link_of()) as screen:
            await screen.press("down", "down")
            assert screen.pane.why_off("rotate") == "it is rotated"
            assert screen.pane.why_off("revoke") == ""
            await screen.press("o")
            assert len(screen.app.screen_stack) == 1

    drive(test)


def test_a_key_is_revoked_when_its_name_was_typed() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            await screen.press("down", "x")
            await screen.dialog(Confirm)
            await screen.press(*"lapto", "enter")
            assert isinstance(screen.app.screen, Confirm)
            assert not link.of("accounts:keys.revoke")
            await screen.press("p", "enter")
            assert await screen.asked("keys.revoke") == KeyName(key=LAPTOP.id)
            await screen.gone()
            assert "is revoked" in screen.told()

    drive(test)


def test_secrets_are_told_of_in_full() -> None:
    async def test() -> None:
        async with sitting(link_of(keyring=NO_RING)) as screen:
            await screen.says("✕ no keyring")
            await screen.press("D")
            await screen.dialog(FactBox)
            assert len(screen.link.of("keyring")) == 2
            await screen.says("Install one, such as gnome-keyring")

    drive(test)


# -- operators -----------------------------------------------------------------------------------


def test_an_operator_sees_everyones_keys_or_one_accounts() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.press("W")
            await screen.dialog(SendForm)
            screen.app.screen.query_one("#field-whose").value = "everyone"  # type: ignore[attr-defined]  # a Select
            await screen.pilot.pause()
            await screen.click("yes")
            assert await screen.asked("keys.list", 2) == KeysAsk(everyone=True)
            await screen.says("of everyone")
            await screen.says("phone")
            await screen.press("u")
            await screen.asked("users.list")
            await screen.says("✕ disabled")
            await screen.press("y")
            assert await screen.asked("keys.list", 3) == KeysAsk(user="ann")
            await screen.says("of ann")

    drive(test)


def test_anothers_key_is_revoked_in_their_name() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.press("x")
            await screen.dialog(Confirm)
            await screen.press(*"ci", "enter")
            assert await screen.asked("keys.revoke") == KeyName(key=CI.id, user="ann")

    drive(test)


@pytest.mark.parametrize(
    ("key", "typed", "method", "wish"),
    [
        ("t", "", "users.disable", UserName(name="ann")),
        ("d", "ann", "users.delete", UserName(name="ann")),
        ("p", "", "users.role", RoleWish(name="ann", role="operator")),
    ],
)
def test_accounts_are_changed_when_it_was_confirmed(
    key: str, typed: str, method: str, wish: object
) -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.press("u")
            await screen.asked("users.list")
            await until(screen.pilot, lambda: screen.pane._users.current == ANN, "ann is first")
            await screen.press(key)
            await screen.dialog(Confirm)
            assert screen.app.screen.query_one("#yes", Button).disabled == bool(typed)
            await screen.press(*typed)
            await screen.click("yes")
            assert await screen.asked(method) == wish
            await screen.gone()

    drive(test)


def test_a_disabled_account_is_let_in_again_and_limits_are_set() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.press("u")
            await until(screen.pilot, lambda: screen.pane._users.current == ANN, "ann is first")
            await screen.press("m")
            await screen.dialog(SendForm)
            await screen.fill(requests_per_minute="", concurrent="8")
            await screen.click("yes")
            assert await screen.asked("users.limits") == LimitsWish(
                name="ann", requests_per_minute=0, concurrent=8
            )
            await screen.gone()
            await screen.press("down", "down")
            await until(screen.pilot, lambda: screen.pane._users.current == BOB, "bob is last")
            await screen.press("t")
            assert await screen.asked("users.enable") == UserName(name="bob")

    drive(test)


def test_people_are_invited_and_an_invitation_is_withdrawn() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.press("i")
            await screen.dialog(SendForm)
            await screen.fill(uses="3")
            await screen.click("yes")
            assert await screen.asked("users.invite") == UserInvite(uses=3)
            await screen.dialog(ShowOnce)
            await screen.says(CODE[:40])
            await screen.press("escape", "escape")
            await screen.gone()
            await screen.press("v")
            await screen.says(CARD.id)
            await screen.press("w")
            await screen.dialog(Confirm)
            await screen.click("yes")
            assert await screen.asked("users.uninvite") == InvitationName(id=CARD.id)

    drive(test)


def test_the_audit_log_is_read_and_its_name_can_be_clicked() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=BOSS)
        async with sitting(link) as screen:
            await screen.pilot.click("#view-audit")
            assert (await screen.asked("users.audit")).most == 200
            await screen.says("user.disable")
            await screen.press("down", "enter")
            await screen.dialog(FactBox)
            await screen.says("name laptop, scopes inference")

    drive(test)


def test_what_is_an_operators_is_hidden_from_others() -> None:
    async def test() -> None:
        link = link_of()
        async with sitting(link) as screen:
            for action in ("whose", "invite", "show_view('users')"):
                assert screen.pane.why_off(action) == "only an operator may", action
            await screen.press("u", "i", "a", "v")
            assert screen.pane.view == "keys" and len(screen.app.screen_stack) == 1
            assert not link.of("accounts:users.list")

    drive(test)


# -- the flows as the first card calls them ------------------------------------------------------


def test_who_is_nobody_logs_in_before_a_key_is_made() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=NOBODY)
        app, done = app_of(link), []
        async with running(app) as pilot:
            screen = Screen(app, link, pilot)

            async def flow() -> None:
                done.append(await actions.make_key(app))

            app.run_worker(flow())
            await screen.dialog(Choose)
            await screen.click("login")
            await screen.dialog(SendForm)
            await screen.fill(name="ann", password=PASSWORD)
            link.says["accounts:whoami"] = ME
            await screen.click("yes")
            await until(pilot, lambda: cast("Any", app.screen).heading == "New key", "the form")
            await screen.press("escape")
            await until(pilot, lambda: done == [False], "it is told that none was made")

    drive(test)


def test_a_flow_whose_node_is_gone_tells_it_and_raises_nothing() -> None:
    async def test() -> None:
        link = link_of(accounts_whoami=NodeLost("The node does not answer."),
                       keyring=NodeLost("The node does not answer."))  # fmt: skip
        app, done = app_of(link), []
        async with running(app) as pilot:

            async def flow() -> None:
                done.append((await actions.make_key(app), await actions.log_in(app),
                             await actions.register(app)))  # fmt: skip

            app.run_worker(flow())
            await until(pilot, lambda: done == [(False, False, "")], "all were tried")
            assert "The node does not answer." in Screen(app, link, pilot).told()

    drive(test)


def test_a_fault_of_the_program_shows_no_variable() -> None:
    async def test() -> None:
        app = app_of(link_of())
        async with running(app):
            password = PASSWORD + "in a variable"
            try:
                raise RuntimeError(f"{len(password)} characters")
            except RuntimeError:
                app._fatal_error()
            shown = "".join(
                segment.text for segment in cast("Any", app._exit_renderables[0]).segments
            )
            assert "RuntimeError" in shown and "test_keys" in shown
            assert "horse" not in shown
            app._exit_renderables.clear()

    drive(test)


# -- pictures ------------------------------------------------------------------------------------

LEADER = replace(ME, user=replace(ANN, role="operator"))
"""Ann as an operator: with limits, and all views."""


async def draw(screen: Screen, name: str, keys: Sequence[str], waits: str) -> None:
    """Press keys, wait for a text, and compare; Esc then leaves a dialog."""
    await screen.press(*keys)
    await screen.says(waits)
    for field in screen.app.screen.query(Input):
        field.cursor_blink = False
    await until(screen.pilot, lambda: screen.app.screen.focused is not None, "something has it")
    await screen.pilot.pause(0.05)
    await screen.pilot.pause()
    await looks_as(screen.pilot, name)
    if len(screen.app.screen_stack) > 1:
        await screen.press("escape")
        await screen.gone()


@each_look()
def test_pictures_of_who_is_known(
    size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        end = f"{size[0]}x{size[1]}-{look}"
        link = link_of(accounts_whoami=LEADER)
        async with sitting(link, size, preferences=prefer(look, monkeypatch)) as screen:
            await draw(screen, f"keys-{end}", (), "laptop")
            await draw(screen, f"keys-detail-{end}", ("enter",), "smollm2-135m")
            await draw(screen, f"keys-new-{end}", ("n",), "Holds for")
            await draw(screen, f"keys-revoke-{end}", ("x",), "Type ci to confirm")
            words = "It is shown this once, and by nobody again."
            screen.app.push_screen(ShowOnce("The key laptop", words, "sk-aip-…", is_kept=True))
            await draw(screen, f"keys-shown-once-{end}", (), words)
            await draw(screen, f"keys-users-{end}", ("u",), "✕ disabled")

    drive(test)


@each_look()
def test_pictures_of_who_is_nobody(
    size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        end = f"{size[0]}x{size[1]}-{look}"
        link = link_of(accounts_whoami=NOBODY, keyring=NO_RING)
        async with sitting(link, size, preferences=prefer(look, monkeypatch)) as screen:
            await screen.says("✕ no keyring")
            await draw(screen, f"keys-nobody-{end}", (), "Nobody is logged in here")
            await draw(screen, f"keys-doctor-{end}", ("D",), "because")
            await draw(screen, f"keys-no-keyring-{end}", ("r",), "in the clear")
            await screen.press("r")
            await screen.dialog(Choose)
            await screen.click("clear")
            await screen.dialog(SendForm)
            await draw(screen, f"keys-register-{end}", (), "The same again")

    drive(test)
