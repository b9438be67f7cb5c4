"""Wrong passwords, invitations and sessions: seen by whoever runs the gateway."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import pytest

from aiplat.accounts import wrongs
from aiplat.accounts.secret_forms import new_secret
from aiplat.accounts.wrongs import Reason, Wrongs
from aiplat.control.accounts import Register
from aiplat.domain.errors import InvalidApiKey, RateLimited
from aiplat.telemetry.labels import AUTH_REASONS
from aiplat.telemetry.metrics import Metrics
from tests.unit.accounts.helpers import BAD, GATEWAY, GOOD, PEER, Clock, Home, refused

FAILURES = "aiplat_auth_failures_total"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "refused for" in record.message]


def test_each_reason_is_of_the_closed_set() -> None:
    assert set(get_args(Reason)) <= set(AUTH_REASONS)


async def test_wrong_passwords_are_counted_and_name_the_peer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        for name in ("ann", "nobody", "ann"):
            with refused(InvalidApiKey, "is wrong"):
                await home.login(name, BAD)
        await home.login("ann")
        assert home.count(FAILURES, reason="password") == 3
        [line] = lines(caplog)  # once, not each time
        assert line.startswith(f"refused for a wrong password: the peer {PEER}; more of it is")
        assert BAD not in caplog.text
        assert "ann" not in "".join(lines(caplog)), "nor which account: it may be a password"
        home.clock.passes(60)
        with refused(InvalidApiKey, "is wrong"):
            await home.login("nobody", BAD)
        assert len(lines(caplog)) == 2


async def test_wrong_invitations_and_sessions_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        for number, code in enumerate(("hello", new_secret("inv", GATEWAY)[0])):
            with refused(InvalidApiKey, "invitation"):
                wish = Register(name="ann", password=GOOD, invitation=code)
                await home.ask("register", wish, "", f"{PEER}{number}")
        for peer in ("12D3KooWElsewhere", None):
            with refused(InvalidApiKey, "is over"):
                await home.ask("whoami", None, new_secret("ses", GATEWAY)[0], peer)
        assert home.count(FAILURES, reason="invitation") == 2
        assert home.count(FAILURES, reason="session") == 2
        assert [line.split(";")[0].partition("wrong ")[2] for line in lines(caplog)] == [
            f"invitation: the peer {PEER}0", f"invitation: the peer {PEER}1",
            "session: the peer 12D3KooWElsewhere", "session: somebody on this machine",
        ]  # fmt: skip


def test_any_number_of_peers_make_a_bounded_number_of_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrongs, "MAX_LINES", 5)
    caplog.set_level(logging.WARNING)
    clock, metrics = Clock(), Metrics()
    seen = Wrongs(metrics, clock.now)
    for number in range(100):
        seen.saw("password", f"{PEER}{number}")
        clock.passes(0.1)
    assert len(lines(caplog)) == len(seen._told) == 5
    assert metrics.registry.get_sample_value(FAILURES, {"reason": "password"}) == 100
    clock.passes(60)
    seen.saw("password", PEER)
    assert len(lines(caplog)) == 6
    assert list(seen._told) == [PEER]


async def test_an_account_of_ones_own_does_not_make_guessing_others_faster(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("own")
        for number in range(9):
            with refused(InvalidApiKey, "is wrong"):
                await home.login(f"user{number}", BAD)
        await home.login("own")
        with refused(InvalidApiKey, "is wrong"):
            await home.login("user9", BAD)
        with refused(RateLimited, "There were 10 wrong passwords of late from this machine"):
            await home.login("user10", BAD)
        home.clock.passes(1)
        await home.login("own")
        with refused(InvalidApiKey, "is wrong"):
            await home.login("user11", BAD)
        with refused(RateLimited, "There were 11 wrong passwords of late from this machine"):
            await home.login("own")
