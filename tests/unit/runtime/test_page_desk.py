"""Who sits at the page: known by a log-in alone, and told apart by where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.control.accounts import Login, Nothing, Register, Session, WhoAmI
from aiplat.control.sessions import Policy
from aiplat.domain.errors import InvalidApiKey, NotReady, RateLimited
from aiplat.runtime.page_desk import PageDesk
from tests.unit.accounts.helpers import BAD, GOOD, Home, refused

HERE, THERE = "127.0.0.1", "203.0.113.5"


@pytest.mark.parametrize("address", [HERE, "::1", "", THERE])
async def test_nobody_is_the_owner_by_where_it_comes_from(tmp_path: Path, address: str) -> None:
    home = Home(tmp_path)
    desk = PageDesk(home.accounts)
    async with home.running():
        assert isinstance(await desk.answer("policy", Nothing(), "", address), Policy)
        with refused(InvalidApiKey, "must know who asks"):
            await desk.answer("whoami", Nothing(), "", address)
        key = await home.key("k", scopes=("admin",))
        with refused(InvalidApiKey, "That is no session of an aiplat gateway"):
            await desk.answer("whoami", Nothing(), key.key, address)
    assert desk.asked == 2


async def test_a_log_in_is_known_and_where_from_is_written_down(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    desk = PageDesk(home.accounts)
    async with home.running():
        wish = Register(name="ann", password=GOOD, label="Firefox")
        begun = await desk.answer("register", wish, "", "2001:db8:1:2:3::4")
        assert isinstance(begun, Session)
        me = await desk.answer("whoami", Nothing(), begun.token, HERE)
        assert isinstance(me, WhoAmI)
        assert (me.user.name, me.by) == ("ann", "session")
        await desk.answer("logout", Nothing(), begun.token, HERE)
        sources = home.rows("SELECT DISTINCT peer FROM audit ORDER BY id")
        assert sources == [("web:2001:db8:1:2::/64",), ("web:",)]


async def test_each_source_is_slowed_down_by_itself(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    desk = PageDesk(home.accounts)
    async with home.running():
        await home.register("ann")
        for number in range(10):
            with refused(InvalidApiKey, "The name or the password is wrong"):
                wrong = Login(name=f"nobody{number}", password=BAD)
                await desk.answer("login", wrong, "", THERE)
        with refused(RateLimited, "of late from this machine"):
            await desk.answer("login", Login(name="ann", password=GOOD), "", THERE)
        await desk.answer("login", Login(name="ann", password=GOOD), "", "198.51.100.7")
        await desk.answer("login", Login(name="ann", password=GOOD), "", HERE)


async def test_a_node_without_accounts_says_so() -> None:
    with refused(NotReady, "This node is no gateway"):
        await PageDesk(None).answer("policy", Nothing(), "", HERE)
