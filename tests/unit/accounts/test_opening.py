"""The owner's one-time link: single use, for minutes, bounded, and made on the machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.accounts.secret_forms import new_secret
from aiplat.control.sessions import WEB, OpenLink, OpenRedeem
from aiplat.domain.errors import InvalidApiKey, PermissionDenied, RateLimited
from tests.unit.accounts.helpers import GATEWAY, OTHER_GATEWAY, PEER, Home, refused

PAGE = f"{WEB}203.0.113.5"
BOUND = {"bound": "open_links"}


async def link(home: Home) -> str:
    made = await home.ask("open")
    assert isinstance(made, OpenLink)
    assert made.expires == home.clock.at + home.accounts.settings.open_seconds
    assert made.code not in repr(made)
    return made.code


async def redeem(home: Home, code: str, peer: str | None = PAGE) -> str:
    begun = await home.ask("open.redeem", OpenRedeem(code=code, label="Firefox"), "", peer)
    return str(begun.token)


async def test_it_logs_the_owner_in_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        code = await link(home)
        token = await redeem(home, code)
        me = await home.ask("whoami", None, token, PAGE)
        assert (me.user.name, me.user.role, me.by) == ("operator", "operator", "session")
        await home.ask("users.list", None, token, PAGE)
        with refused(InvalidApiKey, "was used already, or its time is over"):
            await redeem(home, code)
        with refused(PermissionDenied, "is done on the gateway's own machine only"):
            await home.ask("db.check", None, token, PAGE)
        log = home.rows("SELECT action, detail, peer FROM audit ORDER BY id")
        assert log == [("link.make", "", ""), ("session.begin", "by a one-time link", PAGE)]
        await home.written()
    assert code.split("-")[3].encode() not in home.path.read_bytes()


async def test_it_holds_for_minutes_and_one_life(tmp_path: Path) -> None:
    home = Home(tmp_path, open_seconds=120)
    async with home.running():
        good, late, lost = await link(home), await link(home), await link(home)
        home.clock.passes(119.9)
        await redeem(home, good)
        home.clock.passes(0.1)
        with refused(InvalidApiKey, "its time is over"):
            await redeem(home, late)
        home.opened()
        with refused(InvalidApiKey, "its time is over"):
            await redeem(home, lost)


async def test_links_are_bounded_and_the_oldest_gives_way(tmp_path: Path) -> None:
    home = Home(tmp_path, max_open_links=2)
    async with home.running():
        first, second, third = await link(home), await link(home), await link(home)
        assert home.count("aiplat_bound_hits_total", **BOUND) == 1
        with refused(InvalidApiKey, "was used already"):
            await redeem(home, first)
        await redeem(home, second)
        await redeem(home, third)


@pytest.mark.parametrize("peer", [None, PEER])
async def test_it_is_used_at_the_page_alone(tmp_path: Path, peer: str | None) -> None:
    home = Home(tmp_path)
    async with home.running():
        code = await link(home)
        with refused(PermissionDenied, "is done at the gateway's own page only"):
            await redeem(home, code, peer)
        await redeem(home, code)


@pytest.mark.parametrize("peer", [PAGE, PEER])
async def test_it_is_made_on_the_machine_alone(tmp_path: Path, peer: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        with refused(InvalidApiKey, "must know who asks"):
            await home.ask("open", None, "", peer)
        token = await redeem(home, await link(home))
        with refused(PermissionDenied, "is done on the gateway's own machine only"):
            await home.ask("open", None, token, peer)


async def test_who_guesses_is_slowed_down(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        code = await link(home)
        forged = f"{code.rsplit('-', 1)[0]}-{new_secret('open', GATEWAY)[0].split('-')[3]}"
        wrong = [forged, "", "x", new_secret("ses", GATEWAY)[0], new_secret("open", GATEWAY)[0],
                 new_secret("open", OTHER_GATEWAY)[0], code.upper(), code + "x", "é" * 40,
                 "x" * 10_000]  # fmt: skip
        for guess in wrong:
            with refused(InvalidApiKey, "."):
                await redeem(home, guess)
        assert home.count("aiplat_auth_failures_total", reason="link") == len(wrong)
        with refused(RateLimited, "of late from this machine: the next try is heard in 1 s"):
            await redeem(home, code)
        await redeem(home, code, f"{WEB}198.51.100.7")


async def test_what_one_may_know_beforehand(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        for peer in (PAGE, PEER, None):
            told = await home.ask("policy", None, "", peer)
            assert (told.gateway, told.registration) == (GATEWAY, "invite")
            assert (told.min_password, told.max_password) == (8, 256)
