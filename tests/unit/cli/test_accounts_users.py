"""``aiplat users`` and ``aiplat db``: what operators ask, and what is said."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.accounts import offline
from aiplat.cli import main
from aiplat.cli.account_words import AUDIT, USERS
from aiplat.cli.tables import lines
from aiplat.cli.users import RoleChoice
from aiplat.control.accounts import (
    AuditAsk,
    AuditEntry,
    AuditLog,
    BackupWish,
    Invitation,
    InvitationList,
    InvitationName,
    LimitsWish,
    Nothing,
    RoleWish,
    StoreCheck,
    UserInvitation,
    UserInvite,
    UserList,
    UserName,
    UserStatus,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import PermissionDenied
from aiplat.runtime.lock import NodeLock, node_runs
from aiplat.runtime.places import find_places
from tests.support.accounts_desk import ANN, GATEWAY, Asked, Desk, desk_at

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

DONE = Done(message="It is done.")
INVITED = UserInvitation(
    code="inv-aip-xyz", expires=1_797_000_000, uses=2, gateway=GATEWAY, id="abc7",
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    return tmp_path / "h"


@pytest.fixture
def desk(monkeypatch: Patch) -> Desk:
    names = ("disable", "enable", "limits", "role", "delete")
    answers: dict[str, list[Any]] = {f"users.{name}": [DONE] for name in names}
    return desk_at(monkeypatch, Desk(answers | {"users.invite": [INVITED]}))


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["disable", "ann"], Asked("users.disable", UserName(name="ann"))),
        (["enable", "ann"], Asked("users.enable", UserName(name="ann"))),
        (["delete", "ann", "--yes"], Asked("users.delete", UserName(name="ann"))),
        (["role", "ann", "operator"], Asked("users.role", RoleWish(name="ann", role="operator"))),
        (["role", "ann", "user"], Asked("users.role", RoleWish(name="ann", role="user"))),
        (["limits", "ann", "--rpm", "60", "--tokens-per-month", "none"],
         Asked("users.limits", LimitsWish(name="ann", requests_per_minute=60,
                                          tokens_per_month=0))),
        (["limits", "ann", "--tpm", "20k", "--concurrent", "4"],
         Asked("users.limits", LimitsWish(name="ann", tokens_per_minute=20_000, concurrent=4))),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_operators_do(words: list[str], asked: Asked, desk: Desk, capsys: Capture) -> None:
    assert main.run(["users", *words]) == 0
    assert capsys.readouterr() == ("", "It is done.\n")
    assert main.run(["users", *words, "--json", "--gateway", "g"]) == 0
    assert json.loads(capsys.readouterr().out) == {"message": "It is done.", "peer_id": ""}
    assert desk.asked == [asked, asked._replace(gateway="g")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["limits", "ann"], "say at least one"),
        (["limits", "ann", "--rpm", "0"], "'0' is not from 1"),
        (["role", "ann", "boss"], "'boss' is not one of 'user', 'operator'"),
        (["invite", "--uses", "0"], "'0' is not from 1 to 1000000000000: give one such as 1 or 20"),
        (["invite", "--expires", "never"], "'never' is no span of time"),
        (["audit", "--most", "9" * 30], "is no number: give one such as 20 or 1000"),
        (["delete", "ann"], "add --yes to delete it"),
        (["disable"], "Missing argument 'NAME'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_says_so_and_asks_nothing(
    words: list[str], said: str, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main.run(["users", *words]) == 2
    assert said in capsys.readouterr().err
    assert desk.asked == []


def test_the_roles_are_those_that_there_are(desk: Desk) -> None:
    for choice in RoleChoice:
        assert main.run(["users", "role", "ann", choice.value]) == 0


def test_who_is_no_operator_is_told_so(desk: Desk, capsys: Capture) -> None:
    desk.put("users.disable", PermissionDenied("Only an operator may."))
    assert main.run(["users", "disable", "ann", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "permission_denied"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("ann\n", 0), ("bob\n\n", 1), ("y\ny\ny\n", 1)])
def test_deleting_asks_for_the_name(
    typed: str, code: int, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main.run(["users", "delete", "ann"]) == code
    assert len(desk.asked) == (code == 0)
    said = capsys.readouterr().err
    assert said.startswith("This deletes the account ann, its keys and its sessions.\n")
    assert said.endswith("It is done.\n" if code == 0 else "Nothing was deleted.\n")


# -- invitations -----------------------------------------------------------------------------------


def test_a_code_stands_alone_on_stdout(desk: Desk, capsys: Capture) -> None:
    assert main.run(["users", "invite", "--uses", "2", "--expires", "2w"]) == 0
    said = capsys.readouterr()
    assert said.out == "inv-aip-xyz\n"
    assert "inv-aip" not in said.err
    assert said.err == (
        'For 2 people, until 2026-12-11 14:40 UTC, at the gateway …Gate1234. There: "aiplat '
        f'register --gateway {GATEWAY}", or its web page; both ask for the code. `aiplat users '
        "uninvite abc7` withdraws it.\n"
    )
    assert desk.wish() == UserInvite(expires_seconds=1_209_600, uses=2)
    desk.put("users.invite", replace(INVITED, is_closed=True))
    assert main.run(["users", "invite"]) == 0
    said = capsys.readouterr()
    assert said.out == "inv-aip-xyz\n"
    assert "Nobody can register at that gateway yet. There: `aiplat settings set acc" in said.err


def test_an_invitation_has_limits_only_where_one_is_said(desk: Desk, capsys: Capture) -> None:
    assert main.run(["users", "invite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "code": "inv-aip-xyz", "expires": 1_797_000_000, "uses": 2, "gateway": GATEWAY,
        "id": "abc7", "is_closed": False,
    }  # fmt: skip
    assert desk.wish() == UserInvite()
    assert main.run(["users", "invite", "--tpm", "none", "--rpm", "60"]) == 0
    assert desk.wish().limits == Limits(requests_per_minute=60)


def test_invitations_are_shown_and_withdrawn(desk: Desk, capsys: Capture) -> None:
    held = Invitation(id="abc7", created=1_796_000_000, expires=1_797_000_000, uses=3,
                      limits=Limits(requests_per_minute=60))  # fmt: skip
    desk.put("users.invitations", InvitationList(invitations=(held,), is_cut=True))
    assert main.run(["users", "invitations"]) == 0
    said = capsys.readouterr()
    assert "abc7" in said.out and "2026-12-11 14:40" in said.out and "60" in said.out
    assert said.err == "(Older ones are not listed.)\n"
    assert main.run(["users", "invitations", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["invitations"][0]["id"] == "abc7"
    desk.put("users.uninvite", DONE)
    assert main.run(["users", "uninvite", "abc7"]) == 0
    assert desk.wish() == InvitationName(id="abc7")
    assert capsys.readouterr().err == "It is done.\n"


# -- what is there ---------------------------------------------------------------------------------

HOSTILE = UserStatus(
    id="u", name="[red]\x1b[2J" + "n" * 400, role="operator", disabled=True, created=2**60,
    keys=10**9, used_this_month=10**15, limits=Limits(requests_per_minute=10**12, concurrent=1),
)  # fmt: skip


def test_accounts_are_listed(desk: Desk, capsys: Capture) -> None:
    desk.put("users.list", UserList(users=(ANN, HOSTILE)))
    assert main.run(["users", "list"]) == 0
    assert desk.wish() == Nothing()
    head, _, ann, other = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "role", "state", "tokens/month", "keys", "limits", "made"]
    assert ann.split() == ["ann", "user", "active", "0", "0", "none", "2026-11-18", "11:06"]
    assert other.startswith("[red]·[2J")
    assert main.run(["users", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["users"][0]["disabled"] is False


ENTRY = AuditEntry(
    at=1_797_000_000, actor="operator", action="user.limits", target="ann",
    detail="requests_per_minute 60, concurrent none", peer="12D3KooWabcd1234",
)  # fmt: skip
EVIL = AuditEntry(at=-1, actor="a\x1b[2J" * 99, action="[b]x", target="t" * 999, detail="\n" * 999)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_tables_for_operators_fit(columns: int) -> None:
    for drawn in (lines(USERS, (ANN, HOSTILE), columns), lines(AUDIT, (ENTRY, EVIL), columns)):
        assert max(map(len, drawn)) <= columns
        assert all(line.isprintable() for line in drawn)


def test_the_log_of_who_did_what(desk: Desk, capsys: Capture) -> None:
    desk.put("users.audit", AuditLog(entries=(ENTRY, replace(ENTRY, peer="", actor="ann"))))
    assert main.run(["users", "audit", "--most", "20", "--user", "ann"]) == 0
    assert desk.wish() == AuditAsk(most=20, name="ann")
    _, _, one, other = capsys.readouterr().out.splitlines()
    assert one.startswith("2026-12-11 14:40  operator  user.limits  ann  requests_per_minute 60,")
    assert one.endswith("…abcd1234")
    assert other.endswith("here")
    desk.put("users.audit", AuditLog(entries=()))
    assert main.run(["users", "audit"]) == 0
    assert desk.wish() == AuditAsk()
    assert capsys.readouterr() == ("", "The log has no such entry.\n")
    assert main.run(["users", "audit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"entries": []}


# -- the database ------------------------------------------------------------------------------

WHOLE = StoreCheck(path="/g/accounts.db", bytes=1_500_000, users=3, keys=5, events=1000)


@pytest.fixture
def running(home: Path) -> Any:
    places = find_places(str(home), {})
    places.prepare()
    with NodeLock(places.node_lock, background=False) as lock:
        yield lock


def test_a_node_that_runs_copies_and_checks(
    running: object, desk: Desk, monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    desk.put("db.backup", Done(message="Copied."))
    desk.put("db.check", WHOLE)
    assert main.run(["db", "backup", "copy.db"]) == 0
    assert desk.wish() == BackupWish(path=str(tmp_path / "copy.db"))
    assert capsys.readouterr().err == "Copied.\n"
    assert main.run(["db", "check"]) == 0
    assert capsys.readouterr() == (
        "/g/accounts.db: 1.5 MB, 3 accounts, 5 keys, 1000 events\n", "It is whole.\n",
    )  # fmt: skip


def test_a_damaged_one_is_exit_code_1(running: object, desk: Desk, capsys: Capture) -> None:
    desk.put("db.check", replace(WHOLE, problems=("row 7 missing\x1b[2J",)))
    assert main.run(["db", "check"]) == 1
    said = capsys.readouterr()
    assert "\n  row 7 missing·[2J\n" in said.out
    assert "put the latest backup in its place" in said.err
    assert main.run(["db", "check", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == ["row 7 missing\x1b[2J"]


@pytest.mark.parametrize("words", [["check"], ["backup", "x.db"]])
def test_a_home_without_accounts_says_so_and_makes_none(
    words: list[str], home: Path, capsys: Capture
) -> None:
    assert main.run(["db", *words]) == 1
    assert "This home has no accounts" in capsys.readouterr().err
    assert not home.exists()


def test_without_a_node_it_is_done_while_none_can_start(
    home: Path, monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    places = find_places(str(home), {})
    places.prepare()
    places.accounts.touch()
    seen: list[tuple[Path, ...]] = []

    def check(path: Path) -> StoreCheck:
        assert node_runs(places.node_lock)
        seen.append((path,))
        return WHOLE

    def backup(path: Path, target: Path) -> Done:
        assert node_runs(places.node_lock)
        seen.append((path, target))
        return Done(message="Copied.")

    monkeypatch.setattr(offline, "check", check)
    monkeypatch.setattr(offline, "backup", backup)
    monkeypatch.chdir(tmp_path)
    assert main.run(["db", "check"]) == 0
    assert main.run(["db", "backup", "copy.db"]) == 0
    assert seen == [(places.accounts,), (places.accounts, tmp_path / "copy.db")]
    assert not node_runs(places.node_lock)
