"""Who may make an account: by each policy, with good and bad invitations, two at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aiplat.accounts import invitations
from aiplat.accounts.secret_forms import new_secret
from aiplat.control.accounts import (
    InvitationList,
    InvitationName,
    Register,
    RoleWish,
    Session,
    UserInvite,
    UserName,
)
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    Overloaded,
    PermissionDenied,
    RateLimited,
)
from tests.unit.accounts.helpers import DAY, GATEWAY, GOOD, OTHER_GATEWAY, PEER, Home, refused
from tests.unit.accounts.test_admission import changed


async def registers(home: Home, code: str = "", name: str = "ann", peer: str = PEER) -> Session:
    wish = Register(name=name, password=GOOD, invitation=code)
    made: Session = await home.ask("register", wish, "", peer)
    return made


async def all_at_once(home: Home, *wishes: Register) -> list[Session | AiplatError]:
    """What each of them comes to, each from a peer of its own."""
    found: list[Session | AiplatError] = []

    async def one(number: int, wish: Register) -> None:
        try:
            found.append(await home.ask("register", wish, "", f"{PEER}{number}"))
        except AiplatError as error:
            found.append(error)

    async with trio.open_nursery() as nursery:
        for number, wish in enumerate(wishes):
            nursery.start_soon(one, number, wish)
    return sorted(found, key=lambda one: isinstance(one, AiplatError))


# -- policies --------------------------------------------------------------------------------------


async def test_closed_takes_nobody(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        invited = await home.ask("users.invite", UserInvite())
        for code in ("", invited.code):
            with refused(PermissionDenied, "takes no registrations: its operator opens it with"):
                await registers(home, code)
        assert home.hasher.work == 0


async def test_open_takes_everybody_with_the_default_limits(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", requests_per_minute=7, tokens_per_month=1000)
    async with home.running():
        session = await registers(home, name=" Ann ")
        user = home.user("ann")
        assert session.user.name == "ann"
        assert user.limits == Limits(
            requests_per_minute=7, tokens_per_minute=2_000_000, concurrent=256,
            tokens_per_month=1000,
        )  # fmt: skip
        assert user.role == "user", "nobody who comes from outside is made an operator"
        assert session.gateway == GATEWAY
        assert (await home.ask("whoami", None, session.token, PEER)).by == "session"
        with refused(PermissionDenied, "Only an operator"):
            await home.ask("users.role", RoleWish(name="ann", role="operator"), session.token, PEER)
    home.opened()
    assert home.user("ann").limits == user.limits
    assert home.user("ann").id == user.id


async def test_by_invitation_a_code_is_needed(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        with refused(PermissionDenied, "registers only who has an invitation") as caught:
            await registers(home)
        assert caught.value.param == "invitation"
        invited = await home.ask("users.invite", UserInvite(limits=Limits(concurrent=3)))
        await registers(home, invited.code)
        assert home.user("ann").limits == Limits(concurrent=3), "these, and no other"
        plain = await home.ask("users.invite", UserInvite())
        await registers(home, plain.code, "bob")
        assert home.user("bob").limits == home.settings.limits


# -- invitations that are none ---------------------------------------------------------------------


async def test_an_invitation_is_for_as_many_as_it_says(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite(uses=2, expires_seconds=DAY))
        assert (invited.uses, invited.expires) == (2, home.clock.at + DAY)
        await registers(home, invited.code, "ann")
        with refused(InvalidRequest, "The name 'ann' is taken"):
            await registers(home, invited.code, "ann")
        await registers(home, invited.code, "bob")
        with refused(InvalidApiKey, "The invitation was used as often as it may be"):
            await registers(home, invited.code, "eve")


async def test_an_invitation_expires(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite(expires_seconds=60))
        home.clock.passes(60)
        with refused(InvalidApiKey, "The invitation has expired"):
            await registers(home, invited.code)
        await home.ask("users.invite", UserInvite())
        assert home.rows("SELECT count(*) FROM invitations") == [(1,)], "what is over is removed"


async def test_one_that_is_mistyped_or_anothers(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite())
        for code in (changed(invited.code), new_secret("inv", OTHER_GATEWAY)[0]):
            with refused(InvalidApiKey, "knows no such invitation: see that the code") as caught:
                await registers(home, code)
            assert code not in str(caught.value)
        for code in ("hello", invited.code[:-1], (await home.key()).key, "x" * 10**6):
            with refused(InvalidApiKey, "invitation code"):
                await registers(home, code)
        assert home.directory.named("ann") is None
        assert home.rows("SELECT uses_left FROM invitations") == [(1,)]
        await registers(home, invited.code)


async def test_who_guesses_codes_is_slowed_down(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        for _ in range(10):
            with refused(InvalidApiKey, "no such invitation"):
                await registers(home, new_secret("inv", GATEWAY)[0])
        before = home.hasher.work
        for _ in range(50):
            with refused(RateLimited, "There were 10 wrong passwords of late from this machine"):
                await registers(home, new_secret("inv", GATEWAY)[0])
        assert home.hasher.work == before


@pytest.mark.parametrize(
    "code", ["", "hello", new_secret("inv", GATEWAY)[0]], ids=["none", "word", "unknown"]
)
async def test_without_an_invitation_nobody_hears_which_names_there_are(
    tmp_path: Path, code: str
) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite())
        await registers(home, invited.code, "ann")
        before, told = home.hasher.work, set()
        for name in ("ann", "bob", "operator", "Eve"):
            with pytest.raises((InvalidApiKey, PermissionDenied)) as caught:
                await registers(home, code, name)
            told.add(str(caught.value))
        assert len(told) == 1
        assert home.hasher.work == before, "nor is anything hashed"
        failures = home.accounts._arrivals._proving._by_peer._failures
        assert failures.get(PEER, (0, 0.0))[0] == 4 * bool(code)
        with refused(InvalidApiKey, "was used as often as it may be"):
            await registers(home, invited.code, "ann")


async def test_an_invitation_used_by_two_at_once_lets_one_in(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite())
        names = ("ann", "bob", "eve", "joe")
        wishes = [Register(name=n, password=GOOD, invitation=invited.code) for n in names]
        one, *others = await all_at_once(home, *wishes)
        assert isinstance(one, Session)
        assert [type(other) for other in others] == [InvalidApiKey] * 3
        assert len(home.directory.users) == 2
        assert home.rows("SELECT count(*) FROM users") == [(2,)]


# -- names -----------------------------------------------------------------------------------------


async def test_of_two_at_once_with_one_name_one_gets_it(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", max_hashing=100)
    async with home.running():
        wishes = [Register(name="ann", password=f"{GOOD} {n}") for n in range(8)]
        one, *others = await all_at_once(home, *wishes)
        assert isinstance(one, Session)
        assert [str(other) for other in others] == [str(others[0])] * 7
        assert "The name 'ann' is taken here: choose another, or log in" in str(others[0])
        assert home.rows("SELECT count(*) FROM users WHERE name = 'ann'") == [(1,)]
        assert home.user("ann").id == one.user.id
        assert home.rows("SELECT count(*) FROM sessions") == [(1,)]


@pytest.mark.parametrize("name", ["operator", "Operator", " OPERATOR\n"])
async def test_the_owners_name_is_taken(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        with refused(InvalidRequest, "The name 'operator' is taken"):
            await home.register(name)


@pytest.mark.parametrize("name", ["x'); DROP TABLE users; --", "ann\0", "", "аnn"])
async def test_a_name_that_is_none_touches_nothing(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        with refused(InvalidRequest, "A name has 1 to 32"):
            await home.register(name)
        assert home.rows("SELECT name FROM users") == [("operator",)]
        assert home.hasher.work == 0


async def test_a_deleted_ones_name_is_free_for_another_account(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        first = await home.register("ann")
        await home.ask("users.delete", UserName(name="ann"))
        second = await home.register("ann")
        assert first.user.id != second.user.id
        with refused(InvalidApiKey, "is over: log in again"):
            await home.ask("whoami", None, first.token)


# -- bounds ----------------------------------------------------------------------------------------


async def test_accounts_are_bounded_also_when_all_come_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", max_users=3, max_hashing=100)
    async with home.running():
        found = await all_at_once(home, *(Register(name=f"u{n}", password=GOOD) for n in range(9)))
        assert [type(one) for one in found] == [Session] * 2 + [PermissionDenied] * 7
        assert "This gateway has 3 accounts, which is its bound" in str(found[-1])
        assert home.rows("SELECT count(*) FROM users") == [(3,)]
        gone = next(user.name for user in home.directory if not user.is_local)
        await home.ask("users.delete", UserName(name=gone))
        await home.register("new")


async def test_passwords_that_wait_are_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", hashing=1, max_hashing=2)
    async with home.running():
        found = await all_at_once(home, *(Register(name=f"u{n}", password=GOOD) for n in range(9)))
        kinds = [type(one) for one in found]
        assert kinds.count(Session) >= 3
        assert set(kinds) == {Session, Overloaded}


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
async def test_a_password_that_is_none(tmp_path: Path, password: str) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        with refused(InvalidRequest, "A password has 8 to 256 characters"):
            await home.register("ann", password)
        assert home.directory.named("ann") is None


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (UserInvite(uses=0), "for 1 to 1000 people, not 0"),
        (UserInvite(uses=-1), "not -1"),
        (UserInvite(uses=10**30), "not 1000000000000000000000000000000"),
        (UserInvite(expires_seconds=59), "holds from 60 to 31622400 seconds .a year., not 59"),
        (UserInvite(expires_seconds=10**30), "not 1000000000000000000000000000000"),
        (UserInvite(limits=Limits(concurrent=0)), "concurrent must be from 1 to"),
        (UserInvite(limits=Limits(tokens_per_month=10**12 + 1)), "but is 1000000000001"),
    ],
)
async def test_an_invitation_has_bounds(tmp_path: Path, wish: UserInvite, words: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        with refused(InvalidRequest, words):
            await home.ask("users.invite", wish)
        assert home.rows("SELECT * FROM invitations") == []


async def test_invitations_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAX_INVITATIONS", 2)
    home = Home(tmp_path)
    async with home.running():
        for _ in range(2):
            await home.ask("users.invite", UserInvite(expires_seconds=60))
        with refused(InvalidRequest, "There are 2 invitations that hold, which is the bound"):
            await home.ask("users.invite", UserInvite())
        home.clock.passes(60)
        await home.ask("users.invite", UserInvite())


async def test_invitations_are_listed_and_withdrawn(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        limits = Limits(concurrent=3)
        first = await home.ask("users.invite", UserInvite(uses=5, limits=limits))
        home.clock.passes(10)
        second = await home.ask("users.invite", UserInvite(expires_seconds=60))
        third = await home.ask("users.invite", UserInvite())
        ann = Register(name="ann", password=GOOD, invitation=first.code)
        await home.ask("register", ann, "", PEER)
        told: InvitationList = await home.ask("users.invitations")
        assert {one.id: (one.uses, one.limits) for one in told.invitations} == {
            second.id: (1, None), third.id: (1, None), first.id: (4, limits),
        }  # fmt: skip
        assert [one.created for one in told.invitations] == sorted(
            (one.created for one in told.invitations), reverse=True
        )
        assert first.code not in str(told)
        assert not first.is_closed
        home.clock.passes(60)
        for gone in (first.id, third.code):
            await home.ask("users.uninvite", InvitationName(id=gone))
        assert (await home.ask("users.invitations")).invitations == ()
        wish = Register(name="bob", password=GOOD, invitation=first.code)
        with refused(InvalidApiKey, "knows no such invitation"):
            await home.ask("register", wish, "", PEER)
        assert home.directory.named("ann") is not None
        for name in (first.id, "nothing", "'; DROP TABLE invitations; --", first.code):
            with refused(InvalidRequest, "There is no invitation") as caught:
                await home.ask("users.uninvite", InvitationName(id=name))
            assert first.code not in str(caught.value)
        done = [row for row in home.rows("SELECT action, target FROM audit") if "uninv" in row[0]]
        assert done == [("user.uninvite", first.id), ("user.uninvite", third.id)]
