"""Log-ins: told apart, listed, ended, and with them what they have under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.control.accounts import Login, UserName
from aiplat.control.sessions import WEB, PasswordChange, SessionEnd, SessionList, SessionsAsk
from aiplat.domain.errors import (
    InvalidApiKey,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    UserDisabled,
)
from tests.unit.accounts.helpers import DAY, GOOD, PEER, Home, finishes, refused, until
from tests.unit.accounts.test_operators import Ended

PAGE = f"{WEB}203.0.113.5"
OTHER = "another good horse"


async def log_in(home: Home, name: str, label: str, peer: str = PAGE) -> str:
    """A session's token."""
    begun = await home.ask("login", Login(name=name, password=GOOD, label=label), "", peer)
    return str(begun.token)


async def listed(
    home: Home, token: str = "", user: str = "", peer: str | None = PAGE
) -> SessionList:
    told = await home.ask("sessions.list", SessionsAsk(user=user), token, peer)
    assert isinstance(told, SessionList)
    return told


async def test_log_ins_are_told_apart(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        home.clock.passes(61)
        token = await log_in(home, "ann", "  Firefox\non\u202e Linux " + "x" * 200)
        home.clock.passes(180)
        told = (await listed(home, token)).sessions
        assert [one.current for one in told] == [True, False]
        here, first = told
        assert here.label == "Firefox on Linux " + "x" * 43
        assert (here.source, first.source, first.label) == (PAGE, PEER, "")
        assert here.created == first.created + 61
        assert here.last_used == int(home.clock.at) // 60 * 60
        assert first.last_used == 0
        await home.written()
        home.opened()
        again = home.directory.sessions[here.id]
        assert (again.label, again.source, again.last_used) == (
            here.label, PAGE, here.last_used,
        )  # fmt: skip
        assert token.split("-")[3] not in repr(told)


async def test_one_is_ended_by_its_id_and_all_others_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        tokens = [await log_in(home, "ann", f"browser {n}") for n in range(4)]
        mine = tokens[0]
        ids = {s.label: s.id for s in (await listed(home, mine)).sessions}
        done = await home.ask("sessions.end", SessionEnd(id=ids["browser 1"]), mine, PAGE)
        assert done.message == "1 log-in of the account ann ended."
        with refused(InvalidApiKey, "is over: log in again"):
            await listed(home, tokens[1])
        await home.ask("sessions.end", SessionEnd(id=tokens[2]), mine, PAGE)  # a whole token
        done = await home.ask("sessions.end", SessionEnd(others=True), mine, PAGE)
        assert done.message == "2 log-ins of the account ann ended."
        assert [one.id for one in (await listed(home, mine)).sessions] == [ids["browser 0"]]
        assert home.rows("SELECT id FROM sessions") == [(ids["browser 0"],)]
        done = await home.ask("sessions.end", SessionEnd(others=True), mine, PAGE)
        assert done.message == "0 log-ins of the account ann ended."
        told = home.rows("SELECT detail, peer FROM audit WHERE action = 'session.end'")
        assert told == [("1 log-in", PAGE), ("1 log-in", PAGE), ("2 log-ins", PAGE)]


async def test_only_an_operator_sees_and_ends_anothers(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        for method, wish in (
            ("sessions.list", SessionsAsk(user="bob")),
            ("sessions.end", SessionEnd(id=bob.id, user="bob")),
            ("sessions.end", SessionEnd(others=True, user="bob")),
        ):
            with refused(PermissionDenied, "Only an operator"):
                await home.ask(method, wish, ann.token, PAGE)
        with refused(InvalidRequest, "has no log-in .* that holds"):
            await home.ask("sessions.end", SessionEnd(id=bob.id), ann.token, PAGE)
        assert [s.id for s in (await listed(home, user="bob", peer=None)).sessions] == [bob.id]
        await home.ask("sessions.end", SessionEnd(others=True, user="bob"))
        assert (await listed(home, user="bob", peer=None)).sessions == ()
        assert len((await listed(home, ann.token)).sessions) == 1


@pytest.mark.parametrize("wish", [SessionEnd(), SessionEnd(id="x", others=True)])
async def test_which_one_has_to_be_said(tmp_path: Path, wish: SessionEnd) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        with refused(InvalidRequest, "Say which log-in shall end"):
            await home.ask("sessions.end", wish, ann.token, PAGE)


async def test_those_that_are_over_are_not_listed(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", session_days=1)
    async with home.running():
        ann = await home.register("ann")
        home.clock.passes(DAY - 1)
        token = await log_in(home, "ann", "later")
        home.clock.passes(1)
        assert [one.label for one in (await listed(home, token)).sessions] == ["later"]
        with refused(InvalidApiKey, "is over"):
            await listed(home, ann.token)
        assert home.count("aiplat_auth_failures_total", reason="session") == 1


# -- a log-in that asks for answers ----------------------------------------------------------------


async def test_it_asks_for_its_user_with_its_users_limits(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", requests_per_minute=2)
    async with home.running():
        ann = await home.register("ann")
        lease = home.admit(ann.token)
        assert (lease.payer, lease.key, lease.session) == (ann.user.id, "", ann.id)
        finishes(lease, tokens=5, prompt=12)
        state = home.accounts.admission.state(ann.token)
        assert state is not None
        assert state.requests_remaining == 1
        home.admit(ann.token)
        with refused(RateLimited, "The user 'ann' may send 2 requests a minute"):
            home.admit(ann.token)
        await home.written()
        assert (await home.usage(ann.token)).total.total_tokens == 17
        rows = (await home.usage(ann.token, by="key")).rows
        assert [row.name for row in rows] == ["no key (ann)"]


async def test_it_asks_at_its_own_gateways_page_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        with refused(PermissionDenied, "at the page of its gateway alone"):
            home.admit(ann.token, asker=PEER)
        with refused(InvalidApiKey, "That is no API key"):
            home.accounts.check_key(ann.token, "inference")
        with refused(InvalidApiKey, "is over"):
            home.admit(ann.token[:-1] + ("a" if ann.token[-1] != "a" else "b"))
        await home.ask("users.disable", UserName(name="ann"))
        with refused(InvalidApiKey, "is over"):
            home.admit(ann.token)
        assert home.count("aiplat_auth_failures_total", reason="session") == 3
        assert home.accounts.meter.live() == []


@pytest.mark.parametrize("how", ["logout", "end", "password", "disable", "over"])
async def test_what_it_has_under_way_ends_with_it(tmp_path: Path, how: str) -> None:
    home = Home(tmp_path, registration="open", session_days=1)
    ended = Ended(home)
    async with home.running():
        await home.register("ann")
        key = await home.key("k", await log_in(home, "ann", "other"))
        mine = await log_in(home, "ann", "mine")
        home.admit(mine, request="req-mine")
        home.admit(key.key, request="req-key")
        [me] = [s.id for s in (await listed(home, mine)).sessions if s.current]
        if how == "logout":
            await home.ask("logout", None, mine, PAGE)
        elif how == "end":
            await home.ask("sessions.end", SessionEnd(id=me, user="ann"))
        elif how == "password":
            other = await log_in(home, "ann", "third")
            await home.ask("password.change", PasswordChange(old=GOOD, new=OTHER), other, PAGE)
        elif how == "disable":
            await home.ask("users.disable", UserName(name="ann"))
        else:
            home.clock.passes(DAY)
        if how == "over":  # the others end it at once
            await until(lambda: ended.errors, "it ends")
        names = {name for name, _ in ended.errors}
        assert names == ({"req-mine", "req-key"} if how == "disable" else {"req-mine"})
        kind = UserDisabled if how == "disable" else InvalidApiKey
        assert isinstance(ended.errors[0][1], kind)


async def test_that_one_gave_way_is_in_the_audit_log(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", max_sessions_per_user=2, session_days=1)
    async with home.running():
        ann = await home.register("ann")
        await log_in(home, "ann", "second")
        await log_in(home, "ann", "third")
        with refused(InvalidApiKey, "is over"):
            await listed(home, ann.token)
        told = "SELECT action, detail FROM audit WHERE action LIKE 'session.%' ORDER BY id"
        assert home.rows(told)[-2:] == [
            ("session.begin", ""), ("session.end", "1 log-in gave way"),
        ]  # fmt: skip
        home.clock.passes(DAY + 1)  # those that are over by themselves were not ended
        await log_in(home, "ann", "fourth")
        assert home.rows(told)[-1] == ("session.begin", "")
