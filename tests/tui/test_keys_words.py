"""Keys without Textual: what was typed becomes what is asked, and what is known becomes words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aiplat.control.accounts import KeyRotate, KeyWish, LimitsWish, Register, UserInvite
from aiplat.domain.accounts import Limits, RateState
from aiplat.domain.errors import (
    InvalidApiKey,
    InvalidRequest,
    NoPeer,
    PermissionDenied,
    UserDisabled,
)
from aiplat.tui.keys import faults, wishes, words
from tests.support.keys_scene import (
    ANN,
    CI,
    DAY,
    LAPTOP,
    MADE,
    ME,
    NO_RING,
    NOBODY,
    PASSWORD,
    RING,
    SECRET,
    WEB,
    T,
)
from tests.support.screens import StillClock

CLOCK = StillClock()
KEY = {
    "name": "ci", "expires": "never", "models": "", "may_inference": "yes", "may_usage": "",
    "may_admin": "", "requests_per_minute": "", "tokens_per_minute": "", "concurrent": "",
    "tokens_per_month": "", "keep": "keyring",
}  # fmt: skip
ACCOUNT = {"name": "ann", "password": PASSWORD, "again": PASSWORD, "invitation": ""}


# -- what was typed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "wish"),
    [
        ({}, KeyWish(name="ci", store=True)),
        ({"keep": "no"}, KeyWish(name="ci")),
        ({"keep": "file"}, KeyWish(name="ci", store=True, insecure=True)),
        ({"expires": "90d"}, KeyWish(name="ci", store=True, expires_seconds=90 * DAY)),
        ({"expires": ""}, KeyWish(name="ci", store=True)),
        ({"models": "a, b/c,,a "}, KeyWish(name="ci", store=True, models=("a", "b/c"))),
        ({"may_inference": "", "may_usage": "yes", "may_admin": "yes"},
         KeyWish(name="ci", store=True, scopes=("usage", "admin"))),
        ({"requests_per_minute": "60", "tokens_per_month": "5M", "concurrent": "none"},
         KeyWish(name="ci", store=True,
                 limits=Limits(requests_per_minute=60, tokens_per_month=5_000_000))),
        ({"user": "bob", "keep": "no"}, KeyWish(name="ci", user="bob")),
    ],
    ids=str,
)  # fmt: skip
def test_a_key_is_wished_as_it_was_typed(typed: dict[str, str], wish: KeyWish) -> None:
    assert wishes.key({**KEY, **typed}) == wish


@pytest.mark.parametrize(
    ("typed", "field"),
    [({"name": ""}, "name"), ({"may_inference": ""}, "may_inference"), ({"expires": "soon"},
      "expires"), ({"tokens_per_minute": "many"}, "tokens_per_minute"), ({"user": "bob"}, "keep")],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_field(typed: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        wishes.key({**KEY, **typed})
    assert wrong.value.param == field


def test_a_new_account_has_its_password_twice_alike() -> None:
    assert wishes.register(ACCOUNT) == Register(name="ann", password=PASSWORD)
    for field, typed in (("password", ""), ("name", "")):
        with pytest.raises(InvalidRequest) as wrong:
            wishes.register({**ACCOUNT, field: typed})
        assert wrong.value.param == field
    with pytest.raises(InvalidRequest, match="two passwords differ") as differ:
        wishes.register({**ACCOUNT, "again": PASSWORD + "!"})
    assert PASSWORD not in str(differ.value)


def test_another_ones_key_is_rotated_for_them_and_kept_nowhere() -> None:
    typed = {"overlap": "1h", "keep": "keyring"}
    assert wishes.rotation(LAPTOP, "", typed) == KeyRotate(
        key=LAPTOP.id, overlap_seconds=3600, store=True
    )
    assert wishes.rotation(LAPTOP, "bob", typed) == KeyRotate(
        key=LAPTOP.id, user="bob", overlap_seconds=3600
    )


def test_only_limits_that_are_otherwise_are_changed_and_an_empty_one_is_taken_away() -> None:
    typed = {field: wishes.written(getattr(ANN.limits, field)) for field, _ in wishes.LIMITS}
    assert typed["tokens_per_minute"] == "20k"
    with pytest.raises(InvalidRequest, match="Nothing is changed"):
        wishes.changed_limits("ann", ANN.limits, typed)
    typed |= {"requests_per_minute": "", "concurrent": "8"}
    assert wishes.changed_limits("ann", ANN.limits, typed) == LimitsWish(
        name="ann", requests_per_minute=0, concurrent=8
    )


def test_an_invitation_has_the_gateways_limits_unless_one_is_said() -> None:
    none = dict.fromkeys((field for field, _ in wishes.LIMITS), "")
    assert wishes.invitation({"expires": "7d", "uses": "20", **none}) == UserInvite(uses=20)
    said = wishes.invitation({"expires": "1d", "uses": "1", **none, "concurrent": "2"})
    assert said == UserInvite(expires_seconds=DAY, limits=Limits(concurrent=2))


# -- times and amounts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "said"),
    [(0, "never"), (T, "just now"), (T + 30, "just now"), (T - 61, "1 m ago"),
     (T - 7200, "2 h ago"), (T - 47 * 3600, "47 h ago"), (T - 48 * 3600, "2026-11-24")],
)  # fmt: skip
def test_how_long_ago(at: int, said: str) -> None:
    assert words.ago(at, CLOCK) == said


@pytest.mark.parametrize(
    ("at", "said"),
    [(0, ("never", "")), (T - 1, ("2026-11-26", "text-muted")), (T + 30, ("▲ in 1 m", "warning")),
     (T + 5 * 3600, ("▲ in 5 h", "warning")), (T + 3 * DAY, ("▲ in 3 d", "warning")),
     (T + 8 * DAY, ("2026-12-04", "")), (10**15, ("?", ""))],
)  # fmt: skip
def test_what_ends_soon_is_marked(at: int, said: tuple[str, str]) -> None:
    assert words.ends(at, CLOCK) == said


def test_the_month_ends_in_utc_also_in_december() -> None:
    assert words.next_month(CLOCK).isoformat() == "2026-12-01T00:00:00+00:00"
    assert words.next_month(StillClock(T + 10 * DAY)).year == 2027


@pytest.mark.parametrize(
    ("used", "limit", "full", "tone"),
    [(0, 10, 0, "primary"), (1, 10**6, 1, "primary"), (5, 10, 8, "primary"),
     (8, 10, 13, "warning"), (10, 10, 16, "error"), (99, 10, 16, "error"), (1, 0, 16, "error")],
)  # fmt: skip
def test_bars(used: int, limit: int, full: int, tone: str) -> None:
    heavy, light, _ = words.bar(used, limit)
    assert heavy == ("━" * full, tone)
    assert len(heavy[0]) + len(light[0]) == 16


# -- who one is ----------------------------------------------------------------------------------


def facts(rows: list[words.Row]) -> dict[str, str]:
    return {row.label: row.text for row in rows}


def test_an_account_in_lines() -> None:
    told = facts(words.account_rows(ME, CLOCK))
    assert told["account"] == "ann · user · at …Gate1234"
    assert told["known by"] == "a log-in, until 2026-12-02 14:30"
    assert told["limits"] == "60 req/min · 20k tok/min · 4 at once · 5M tok/month"
    assert told["month"].endswith("1.2M of 5M tokens, anew on 1 Dec")
    assert told["minute"].endswith("12 of 60 requests · 5.2k of 20k tokens")
    assert told["prompts"] == "go with the key laptop of ann"


def test_by_a_key_its_rights_and_limits_are_told_and_no_operator_is_one_without_admin() -> None:
    boss = replace(ANN, role="operator")
    me = replace(ME, by="key", key=CI, scopes=("inference",), user=boss, rate=RateState())
    told = facts(words.account_rows(me, CLOCK))
    assert told["known by"].startswith("the key ci, until")
    assert (told["may"], told["key"]) == ("inference", "30 req/min · 1M tok/month")
    assert "minute" not in told
    assert not words.is_operator(me)
    assert words.is_operator(replace(me, scopes=("admin",)))


def test_names_of_strangers_are_one_line_of_text() -> None:
    wild = replace(LAPTOP, name="a\x1b[2J\nb" + "x" * 40, models=("m\x07\u202e",) * 9)
    told = facts(words.key_rows(wild, CLOCK))
    assert words.name(wild.name) == "a b" + "x" * 20 + "…"
    assert told["models"] == ", ".join(["m"] * 8) + ", 1 more"


def test_a_new_key_is_told_of_without_its_secret() -> None:
    kept = words.new_key_words(replace(MADE, kept="file"), CLOCK)
    assert "It is kept in a file, in the clear" in kept
    lost = words.new_key_words(replace(MADE, not_kept="The keyring is locked."), CLOCK)
    assert "could not be kept, so keep it yourself. The keyring is locked." in lost
    plain = words.new_key_words(MADE, CLOCK)
    assert "kept nowhere" in plain and "OPENAI_API_KEY" in plain
    assert all(SECRET not in text for text in (kept, lost, plain))


# -- where secrets are kept ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RING, "● keyring: SecretService Keyring · 2 secrets"),
        (replace(RING, held=()), "● keyring: SecretService Keyring · nothing kept yet"),
        (replace(RING, insecure=1),
         "▲ 1 secret lies in a file, in the clear · keyring: SecretService Keyring"),
        (replace(NO_RING, insecure=2), "▲ 2 secrets lie in a file, in the clear · no keyring"),
        (replace(NO_RING, mend="Install one."),
         ("✕ no keyring: This machine has no keyring: nothing offers a Secret Service to this "
         "session. Install one.")),
    ],
)  # fmt: skip
def test_the_badge(state: object, said: str) -> None:
    assert words.badge(state).text == said  # type: ignore[arg-type]  # a KeyringState


def test_the_mend_has_no_option_of_a_command() -> None:
    text = "\n".join(row.text for row in words.keyring_rows(NO_RING))
    assert "Install one, such as gnome-keyring" in text
    assert "--" not in text


def test_states_and_places_have_a_sign_or_a_word() -> None:
    assert words.key_state(WEB) == ("◐ rotated", "warning")
    assert words.key_kept(WEB) == ("▲ file", "warning")
    assert words.key_kept(CI) == ("–", "text-muted")


# -- faults --------------------------------------------------------------------------------------


def test_what_the_node_says_to_the_command_line_is_said_by_the_names_of_the_screen() -> None:
    several = InvalidRequest(
        "There are 2 gateways, and a password is for one: say which with --gateway (…aaaa, …bbbb).",
        param="gateway",
    )
    assert "say which in the field Gateway (…aaaa, …bbbb)." in faults.fault_words(several)
    away = NoPeer(
        "You are logged in at the gateway …aaaa, which is not connected: `aiplat doctor` looks "
        "why. Say --gateway to ask another; `aiplat logout` forgets that log-in."
    )
    assert faults.fault_words(away).endswith(
        "Choose another gateway, or log out to forget that log-in."
    )
    invite = PermissionDenied("… it is the second line of what is piped in.", param="invitation")
    assert "type the code that its operator gave you" in faults.fault_words(invite)


def test_each_reason_to_show_no_keys_offers_what_helps() -> None:
    unknown = faults.standing(NOBODY)
    assert unknown.title == "Nobody is logged in here"
    assert unknown.offers == ("register", "log_in", "gateway")
    closed = faults.standing(NOBODY, "closed")
    assert "takes no registrations" in closed.text and "register" not in closed.offers
    assert "ask its operator for an invitation" in faults.standing(NOBODY, "invite").text
    assert faults.standing(UserDisabled("Disabled.")).title == "This account is shut out"
    alone = faults.standing(NoPeer("This node is a client, and no gateway is connected to it."))
    assert alone.title == "No gateway is reached" and "In Peers" in alone.text
    assert faults.standing(InvalidApiKey("x")).title == unknown.title
