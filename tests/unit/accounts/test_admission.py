"""The one decision before any work: who asks, by what, for which model, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.accounts.secret_forms import new_secret
from aiplat.control.accounts import KeyName, KeyRotate, LimitsWish, UserName
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import (
    InvalidApiKey,
    NotReady,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    UserDisabled,
)
from aiplat.http.errors import problem_of
from tests.unit.accounts.helpers import GATEWAY, OTHER_GATEWAY, PEER, Home, finishes, refused

REASONS = "aiplat_auth_failures_total"


def changed(key: str) -> str:
    """The same key with another last letter."""
    return key[:-1] + ("A" if key[-1] != "A" else "B")


async def test_a_key_pays_for_its_user(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        session = await home.register("ann")
        made = await home.key(credential=session.token)
        lease = home.admit(made.key, asker=PEER, is_trusted=False)
        assert (lease.payer, lease.key) == (home.user("ann").id, made.id)
        finishes(lease)
        await home.written()
        minute = home.clock.at // 60 * 60
        assert home.rows("SELECT last_used FROM keys") == [(minute,)]
        assert home.held_key(made).last_used == minute


async def test_who_owns_the_node_needs_none(tmp_path: Path) -> None:
    home = Home(tmp_path, keyless="none")
    async with home.running():
        lease = home.admit(asker=None)
        assert (lease.payer, lease.key) == (home.directory.owner.id, "")


# -- keys that are none ----------------------------------------------------------------------------


async def keys_that_are_none(home: Home) -> dict[str, tuple[str, type[Exception], str]]:
    """By the reason that is counted: the key, and how it is refused."""
    session = await home.register("ann")
    made = {name: await home.key(name, session.token) for name in ("revoked", "good")}
    await home.ask("keys.revoke", KeyName(key="revoked"), session.token)
    short = await home.key("expired", session.token, expires_seconds=60)
    usage = await home.key("usage", session.token, scopes=("usage",))
    tiny = await home.key("tiny", session.token, models=("small", "other"))
    bob = await home.register("bob")
    his = await home.key(credential=bob.token)
    await home.ask("users.disable", UserName(name="bob"))
    home.clock.passes(60)
    return {
        "wrong": (changed(made["good"].key), InvalidApiKey, "knows no such API key"),
        "expired": (short.key, InvalidApiKey, "'expired' has expired. `aiplat keys create`"),
        "revoked": (made["revoked"].key, InvalidApiKey, "'revoked' is revoked."),
        "malformed": (made["good"].key[:-2], InvalidApiKey, "That is no API key of an aiplat"),
        "other_gateway": (new_secret("sk", OTHER_GATEWAY)[0], InvalidApiKey, "of another gateway"),
        "disabled": (his.key, UserDisabled, "The account 'bob' is disabled by the gateway's"),
        "scope": (usage.key, PermissionDenied, "'usage' has the scope usage, but inference is"),
        "model": (tiny.key, PermissionDenied, "may not ask the model 'tiny', but small, other."),
    }  # fmt: skip


async def test_each_is_refused_with_its_reason_and_nothing_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        cases = await keys_that_are_none(home)
        for reason, (key, kind, words) in cases.items():
            assert home.count(REASONS, reason=reason) == 0
            with refused(kind, words) as caught:  # type: ignore[arg-type]  # it is a leaf
                home.admit(key, model="tiny")
            assert home.count(REASONS, reason=reason) == 1
            assert key not in str(caught.value)
            assert key.split("-")[-1] not in str(caught.value)
        assert home.accounts.meter.live() == []
        unknown = new_secret("sk", GATEWAY)[0]
        with refused(InvalidApiKey, "knows no such API key"):
            home.admit(unknown)
        with refused(InvalidApiKey, "has 1000000 characters, but one has at most 128"):
            home.admit("x" * 1_000_000)
        for other in (
            new_secret("open", GATEWAY)[0],
            new_secret("inv", GATEWAY)[0],
            "sk-aip-local-x",
        ):
            with refused(InvalidApiKey, "That is no API key of an aiplat gateway"):
                home.admit(other)


async def test_another_gateways_key_is_told_apart_though_its_id_is_known(tmp_path: Path) -> None:
    """A forged one: the id of a key of here, the secret of another."""
    home = Home(tmp_path)
    async with home.running():
        made = await home.key()
        forged = f"sk-aip-{made.id}-" + new_secret("sk", OTHER_GATEWAY)[0].split("-")[3]
        with refused(InvalidApiKey, "knows no such API key"):
            home.admit(forged)
        home.admit(made.key)


async def test_a_key_ends_to_the_second(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = await home.key(expires_seconds=60)
        home.clock.passes(59.9)
        home.admit(made.key)
        home.clock.passes(0.1)
        with refused(InvalidApiKey, "has expired"):
            home.admit(made.key)
        new = await home.ask("keys.rotate", KeyRotate(key="laptop", overlap_seconds=0))
        with refused(InvalidApiKey, "'laptop' was rotated, and its overlap is over"):
            home.admit(made.key)
        home.admit(new.key)


# -- models ----------------------------------------------------------------------------------------


async def test_a_key_with_models_has_a_default_among_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        some = await home.key("some", models=("b", "a", "b"))
        any_ = await home.key("any")
        default = home.accounts.admission.default_model
        assert (default(some.key, ""), default(some.key, "a")) == ("b", "a")
        assert (default(any_.key, ""), default("", ""), default("nonsense", "")) == ("", "", "")
        assert default(changed(any_.key), "") == ""
        assert default("sk-aip-" + "x" * 10_000, "") == ""
        for model in ("a", "b"):
            home.admit(some.key, model=model)
        for model in ("", "B", "a ", "c"):
            with refused(PermissionDenied, "may not ask the model") as caught:
                home.admit(some.key, model=model)
            assert caught.value.param == "model"
        home.admit(any_.key, model="whatever")


# -- without a key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "is_public", "trusted", "let_in"),
    [
        ({}, False, True, True),
        ({"keyless": "members"}, False, False, False),
        ({"keyless": "none"}, False, True, False),
        ({}, True, True, False),
        ({"registration": "open"}, False, True, False),
        ({"registration": "invite"}, False, True, False),
        ({"registration": "closed"}, False, True, True),
    ],
)
async def test_who_may_ask_without_a_key(
    tmp_path: Path, settings: dict[str, Any], is_public: bool, trusted: bool, let_in: bool
) -> None:
    home = Home(tmp_path, **settings)
    home.is_open = is_public
    async with home.running():
        if let_in:
            lease = home.admit(asker=PEER, is_trusted=trusted)
            assert (lease.payer, lease.key) == (f"peer:{PEER}", "")
        else:
            with refused(InvalidApiKey, "answers nobody without an API key. `aiplat register`"):
                home.admit(asker=PEER, is_trusted=trusted)
            assert home.count(REASONS, reason="missing") == 1
        made = await home.key()
        home.admit(made.key, asker=PEER, is_trusted=trusted)


async def test_a_network_that_becomes_public_ends_it_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.admit(asker=PEER)
    home.is_open = True
    with refused(InvalidApiKey, "without an API key"):
        home.admit(asker=PEER)


async def test_a_peer_without_a_key_has_the_default_limits_to_itself(tmp_path: Path) -> None:
    home = Home(tmp_path, requests_per_minute=2)
    async with home.running():
        for _ in range(2):
            home.admit(asker=PEER)
        with refused(RateLimited, "The peer …odysNode may send 2 requests a minute"):
            home.admit(asker=PEER)
        home.admit(asker="12D3KooWAnother")
        for _ in range(5):
            home.admit(asker=None)


# -- limits ----------------------------------------------------------------------------------------


async def test_the_limits_of_key_and_user_hold_both(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        one = await home.key("one", limits=Limits(requests_per_minute=2))
        two = await home.key("two", limits=Limits(concurrent=1))
        await home.ask("users.limits", LimitsWish(name="operator", tokens_per_minute=300))
        leases = [home.admit(one.key), home.admit(one.key)]
        with refused(RateLimited, "The key 'one' may send 2 requests a minute"):
            home.admit(one.key)
        leases.append(home.admit(two.key))
        with refused(RateLimited, "The key 'two' may have 1 requests under way at once"):
            home.admit(two.key)
        finishes(leases[2], 50, prompt=10)
        with refused(RateLimited, "The user 'operator' may take 300 tokens a minute"):
            home.admit(two.key, answer=150)
        for limit, count in (
            ("requests_per_minute", 1),
            ("concurrent", 1),
            ("tokens_per_minute", 1),
        ):
            assert home.count("aiplat_ratelimit_rejections_total", limit=limit) == count


async def test_a_month_that_is_used_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = await home.key(limits=Limits(tokens_per_month=100))
        finishes(home.admit(made.key), 50, prompt=10)
        with refused(QuotaExceeded, "60 are used, 0 reserved .* may come to 60") as caught:
            home.admit(made.key)
        assert caught.value.retry_after == pytest.approx(12.5 * 86_400, abs=1)
        assert problem_of(caught.value).status == 429
        status = await home.ask("keys.show", KeyName(key="laptop"))
        assert status.used_this_month == 60


async def test_other_limits_hold_from_the_next_request_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = await home.key()
        home.admit(made.key)
        await home.ask("users.limits", LimitsWish(name="operator", concurrent=1))
        with refused(RateLimited, "may have 1 requests under way at once, and has 1"):
            home.admit(made.key)
        await home.ask("users.limits", LimitsWish(name="operator", concurrent=0))
        home.admit(made.key)


async def test_how_far_a_keys_limits_are_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = await home.key(limits=Limits(requests_per_minute=5))
        home.admit(made.key)
        state = home.accounts.admission.state(made.key)
        assert state is not None
        assert (state.requests_limit, state.requests_remaining) == (5, 4)
        assert state.tokens_limit is None
        assert home.accounts.admission.state(new_secret("sk", GATEWAY)[0]) is None
        own = home.accounts.admission.state("")
        assert own is not None
        assert own.requests_limit is None


# -- what cannot be counted is not let in ----------------------------------------------------------


async def test_too_many_that_are_not_written_are_a_bound(tmp_path: Path) -> None:
    home = Home(tmp_path, max_unwritten=10, flush_seconds=5)
    async with home.running():
        for _ in range(10):
            finishes(home.admit())
        with refused(NotReady, "that it cannot count: 10 requests wait to be written") as caught:
            home.admit()
        assert problem_of(caught.value).status == 503
        assert caught.value.retry_after == 5
        assert home.count("aiplat_bound_hits_total", bound="unwritten_events") == 1
        await home.written()
        home.admit()


async def test_who_may_not_is_told_that_first(tmp_path: Path) -> None:
    """A stranger learns nothing of the store."""
    home = Home(tmp_path, max_unwritten=10, flush_seconds=5)
    async with home.running():
        for _ in range(10):
            finishes(home.admit())
        with refused(InvalidApiKey, "no API key"):
            home.admit("nonsense")
