"""``aiplat keys``: what is asked of a gateway, and that a secret is on stdout alone, and once."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.cli import main, output
from aiplat.cli.account_words import KEYS, KEYS_OF_ALL, key_lines, limits_text, when
from aiplat.cli.face import Face
from aiplat.cli.keys import ScopeName
from aiplat.cli.tables import lines
from aiplat.control.accounts import (
    KeyList,
    KeyName,
    KeyringState,
    KeyRotate,
    KeysAsk,
    KeyStatus,
    KeyWish,
    NewKey,
)
from aiplat.control.client import NoNode
from aiplat.control.messages import Done
from aiplat.domain.accounts import SCOPES, Limits
from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.runtime import keyring_state
from tests.support.accounts_desk import GATEWAY, KEY, Asked, Desk, desk_at

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

LAPTOP = KeyStatus(
    id="abcdefghijklabcdefghijkl", name="laptop", user="ann", scopes=("inference",),
    created=1_795_000_000, expires=1_797_000_000, used_this_month=12_345,
)  # fmt: skip
MADE = NewKey(id=LAPTOP.id, name="laptop", key=KEY, status=LAPTOP, gateway=GATEWAY)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    monkeypatch.delenv("AIPLAT_API_KEY", raising=False)
    return tmp_path / "h"


@pytest.fixture
def desk(monkeypatch: Patch) -> Desk:
    answers: dict[str, list[Any]] = {
        "keys.create": [MADE], "keys.rotate": [MADE], "keys.show": [LAPTOP],
        "keys.revoke": [Done(message="The key is revoked.")],
        "keys.list": [KeyList(keys=(LAPTOP,))],
    }  # fmt: skip
    return desk_at(monkeypatch, Desk(answers))


# -- making one ----------------------------------------------------------------------------------


def test_the_scopes_are_those_that_there_are() -> None:
    assert tuple(ScopeName) == SCOPES


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ([], KeyWish(name="k", store=True)),
        (["--no-store"], KeyWish(name="k")),
        (["--json"], KeyWish(name="k")),
        (["--insecure-storage"], KeyWish(name="k", store=True, insecure=True)),
        (["--insecure-storage", "--no-store"], KeyWish(name="k")),
        (["--user", "bob"], KeyWish(name="k", user="bob")),
        (["--expires", "90d"], KeyWish(name="k", expires_seconds=7_776_000, store=True)),
        (["--expires", "never"], KeyWish(name="k", store=True)),
        (["--scope", "usage", "--scope", "inference", "--scope", "usage"],
         KeyWish(name="k", scopes=("usage", "inference"), store=True)),
        (["--model", "a", "--model", "b/c", "--model", "a"],
         KeyWish(name="k", models=("a", "b/c"), store=True)),
        (["--rpm", "60", "--tpm", "20k", "--concurrent", "4", "--tokens-per-month", "5M"],
         KeyWish(name="k", store=True, limits=Limits(
             requests_per_minute=60, tokens_per_minute=20_000, concurrent=4,
             tokens_per_month=5_000_000))),
        (["--rpm", "none"], KeyWish(name="k", store=True)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_a_key_is_wished_to_be(words: list[str], wish: KeyWish, desk: Desk) -> None:
    assert main.run(["keys", "create", "--name", "k", *words]) == 0
    assert desk.asked == [Asked("keys.create", wish, "", wish.insecure)]


def test_a_key_stands_alone_on_stdout(desk: Desk, capsys: Capture) -> None:
    assert main.run(["keys", "create", "--name", "laptop", "--no-store", "--gateway", "g"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{KEY}\n"
    assert "is shown this once" in said.err
    assert "holds until 2026-12-11 14:40 UTC" in said.err
    assert "kept nowhere" in said.err
    assert "AIPLAT_API_KEY" in said.err
    assert desk.asked[0].gateway == "g"


@pytest.mark.parametrize(
    ("kept", "said"),
    [("keyring", "the keyring"), ("file", "a file, in the clear"), ("x\x1b[2J", "x·[2J")],
)
def test_where_a_key_is_kept_is_said_and_its_secret_is_not(
    kept: str, said: str, desk: Desk, capsys: Capture
) -> None:
    desk.put("keys.create", replace(MADE, kept=kept))
    assert main.run(["keys", "create", "--name", "laptop"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{KEY}\n"
    assert f"It is kept in {said}, where this node finds it for `aiplat ask`." in told.err
    assert KEY[-20:] not in told.err


def test_json_has_the_whole_key_and_every_field(desk: Desk, capsys: Capture) -> None:
    assert main.run(["keys", "create", "--name", "laptop", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["id"], told["name"], told["key"]) == (LAPTOP.id, "laptop", KEY)
    assert (told["gateway"], told["kept"]) == (GATEWAY, "")
    assert told["status"]["state"] == "active"
    assert told["status"]["limits"]["concurrent"] is None
    assert said.err == ""


def test_a_hostile_gateways_key_is_one_line(desk: Desk, capsys: Capture) -> None:
    desk.put("keys.create", replace(MADE, key="sk\n--rm\x1b[2J"))
    assert main.run(["keys", "create", "--name", "x", "--no-store"]) == 0
    assert capsys.readouterr().out == "sk·--rm·[2J\n"


def test_a_missing_keyring_comes_back_as_it_is(desk: Desk, capsys: Capture) -> None:
    desk.put("keys.create", ConfigError("There is no keyring. Install one, or --no-store."))
    assert main.run(["keys", "create", "--name", "x"]) == 1
    said = capsys.readouterr()
    assert said == ("", "error: There is no keyring. Install one, or --no-store.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create"], "Missing option '--name'"),
        (["create", "--name", "x", "--scope", "boss"], "'boss' is not one of"),
        (["create", "--name", "x", "--expires", "soon"], "--expires: 'soon' is no span of time"),
        (["create", "--name", "x", "--rpm", "0"], "--rpm: '0' is not from 1 to"),
        (["create", "--name", "x", "--tpm", "1.5"], "--tpm: '1.5' is no whole number"),
        (["create", "--name", "x", "--concurrent", "x"], "--concurrent: 'x' is no number"),
        (["create", "--name", "x", "--tokens-per-month", "5T"], "--tokens-per-month: '5T' is no"),
        (["create", "--name", "x", "--user", ""], "--user: it is empty"),
        (["rotate", "x", "--overlap", "never"], "--overlap: 'never' is no span of time"),
        (["list", "--user", "ann", "--everyone"], "leave one of the two out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_says_so_and_asks_nothing(
    words: list[str], said: str, desk: Desk, capsys: Capture
) -> None:
    assert main.run(["keys", *words]) == 2
    assert said in capsys.readouterr().err
    assert desk.asked == []


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ([], KeyRotate(key="x", store=True)),
        (["--overlap", "0s"], KeyRotate(key="x", overlap_seconds=0, store=True)),
        (["--json"], KeyRotate(key="x")),
        (["--user", "bob", "--overlap", "1w"], KeyRotate(key="x", user="bob",
                                                          overlap_seconds=604_800)),
        (["--insecure-storage"], KeyRotate(key="x", store=True, insecure=True)),
    ],
)  # fmt: skip
def test_a_key_is_rotated(words: list[str], wish: KeyRotate, desk: Desk, capsys: Capture) -> None:
    assert main.run(["keys", "rotate", "x", *words]) == 0
    assert desk.asked == [Asked("keys.rotate", wish, "", wish.insecure)]
    out = capsys.readouterr().out
    assert (json.loads(out)["key"] if "--json" in words else out.rstrip()) == KEY


# -- seeing them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [([], KeysAsk()), (["--all"], KeysAsk(ended=True)), (["--user", "bob"], KeysAsk(user="bob")),
     (["--everyone", "--all"], KeysAsk(everyone=True, ended=True))],
)  # fmt: skip
def test_which_keys_are_listed(
    words: list[str], asked: KeysAsk, desk: Desk, capsys: Capture
) -> None:
    assert main.run(["keys", "list", *words]) == 0
    assert desk.wish() == asked
    told = capsys.readouterr().out
    assert "laptop" in told
    assert "12.3k" in told
    assert ("ann" in told) is ("--everyone" in words)


def test_a_list_says_what_is_not_in_it(desk: Desk, capsys: Capture) -> None:
    desk.put("keys.list", KeyList(keys=(LAPTOP,), more=7), KeyList(keys=()))
    assert main.run(["keys", "list"]) == 0
    assert "(7 more are not listed.)" in capsys.readouterr().err
    assert main.run(["keys", "list"]) == 0
    said = capsys.readouterr()
    assert said == ("", "No key holds. `aiplat keys create --name laptop` makes one.\n")
    assert main.run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"keys": [], "more": 0}


HOSTILE = replace(
    LAPTOP, name="[red]\x1b]0;x\x07" + "n" * 500, user="a\nb",
    models=("m" * 300, "\u202e", *"abcdefghij"),
    scopes=("inference", "usage", "admin"), kept="k" * 300, expires=2**62, last_used=-5,
    limits=Limits(requests_per_minute=10**12, tokens_per_minute=12_345, concurrent=1,
                  tokens_per_month=1),
)  # fmt: skip


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 160, 240])
@pytest.mark.parametrize("of_all", [False, True])
def test_a_table_of_keys_fits_and_shows_names_as_text(columns: int, of_all: bool) -> None:
    drawn = lines(KEYS_OF_ALL if of_all else KEYS, (LAPTOP, HOSTILE), columns)
    text = "\n".join(drawn)
    assert max(map(len, drawn)) <= columns
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert "[red]" in text
    assert "laptop" in text


def test_a_narrow_list_names_the_columns_that_are_left_out(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(output, "width", lambda stream: 60 if stream is sys.stdout else 0)
    assert main.run(["keys", "list"]) == 0
    said = capsys.readouterr()
    assert max(map(len, said.out.splitlines())) <= 60
    assert "limits, kept too; --json has all" in " ".join(said.err.split())


def test_a_key_in_lines(desk: Desk, capsys: Capture) -> None:
    assert main.run(["keys", "show", "laptop", "--user", "ann"]) == 0
    assert desk.wish() == KeyName(key="laptop", user="ann")
    assert capsys.readouterr().out.splitlines() == [
        "laptop",
        "  id          abcdefghijklabcdefghijkl",
        "  state       active",
        "  of          ann",
        "  may         inference",
        "  models      all",
        "  limits      none",
        "  made        2026-11-18 11:06 UTC",
        "  expires     2026-12-11 14:40 UTC",
        "  last used   never",
        "  used        12345 tokens this month",
        "  kept        not by this node",
    ]
    assert main.run(["keys", "show", "laptop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["last_used"] == 0


def test_a_hostile_key_in_lines() -> None:
    told = key_lines(replace(HOSTILE, revoked=1_797_000_000))
    assert all(line.isprintable() for line in told)
    assert "  expires     ?" in told
    assert "  revoked     2026-12-11 14:40 UTC" in told
    assert any("4 more" in line for line in told if "models" in line)
    assert limits_text(HOSTILE.limits).startswith("1000G requests/min, 12345 tokens/min, 1 at once")


@pytest.mark.parametrize("seconds", [-1, 2**62, 253_402_300_800])
def test_a_time_that_is_none_is_no_fault(seconds: int) -> None:
    assert when(seconds) == "?"
    assert when(253_402_300_799) == "9999-12-31 23:59 UTC"


# -- taking one away -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_revoking_asks_for_the_name_and_takes_what_was_shown(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("nope\nlaptop\n"))
    assert main.run(["keys", "revoke", LAPTOP.id[:5], "--gateway", "g"]) == 0
    assert [one[:2] for one in desk.asked] == [
        ("keys.show", KeyName(key=LAPTOP.id[:5])), ("keys.revoke", KeyName(key=LAPTOP.id)),
    ]  # fmt: skip
    said = capsys.readouterr()
    assert said.out == ""
    assert "last used   never" in said.err
    assert said.err.endswith("The key is revoked.\n")


def test_without_the_name_nothing_is_revoked(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    assert main.run(["keys", "revoke", "laptop"]) == 1
    assert [one.method for one in desk.asked] == ["keys.show"]
    assert capsys.readouterr().err.endswith("Nothing was revoked.\n")
    desk.put("keys.show", InvalidRequest("There is no such key."))
    assert main.run(["keys", "revoke", "laptop"]) == 2


def test_without_a_terminal_yes_is_needed(desk: Desk, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"laptop\n")))
    assert main.run(["keys", "revoke", "laptop"]) == 2
    assert "add --yes to revoke it" in capsys.readouterr().err
    assert desk.asked == []
    assert main.run(["keys", "revoke", "laptop", "--yes", "--json", "--user", "bob"]) == 0
    assert desk.asked == [Asked("keys.revoke", KeyName(key="laptop", user="bob"))]
    assert json.loads(capsys.readouterr().out)["message"] == "The key is revoked."


# -- where they are kept -------------------------------------------------------------------------

WELL = KeyringState(
    backend="SecretService Keyring", usable=True, held=("key laptop\x1b[2J", "session of ann"),
    insecure=1,
)  # fmt: skip
ILL = KeyringState(backend="", usable=False, reason="None is installed.", mend="Install one.")


def test_a_node_that_runs_tells_of_its_keyring(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    desk.ring = WELL
    monkeypatch.setenv("AIPLAT_API_KEY", KEY)
    assert main.run(["keys", "doctor"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "keyring: SecretService Keyring",
        "  usable      yes",
        "  keeps       key laptop·[2J",
        "  keeps       session of ann",
        "  in clear    1 of these lie in a file that is not encrypted",
        "  besides     AIPLAT_API_KEY is set: `aiplat ask` shows that key, not these",
    ]


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_what_to_do_is_broken_between_words_and_names_the_home(
    columns: int, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(output, "width", lambda stream: columns)
    desk.ring = replace(ILL, mend="Start the node anew: `aiplat stop` ends this one, and so on.")
    assert main.run(["keys", "doctor", "--home", "g"]) == 1
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns
    assert "`aiplat --home g stop` ends this one, and so on." in " ".join(told.split())
    assert all(line.startswith(" " * 2) for line in told.splitlines()[1:])


def test_without_a_node_this_machine_is_looked_at(
    monkeypatch: Patch, capsys: Capture, home: Path
) -> None:
    def none(face: Face) -> None:
        raise NoNode("None.")

    monkeypatch.setattr(Face, "running", none)
    monkeypatch.setattr(keyring_state, "without_node", lambda places: ILL)
    assert main.run(["keys", "doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "keyring: none",
        "  usable      no",
        "  because     None is installed.",
        "  to do       Install one.",
        "  keeps       nothing",
    ]
    assert main.run(["keys", "doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {"backend": "", "usable": False, "reason": "None is installed.",
                    "mend": "Install one.", "held": [], "insecure": 0}  # fmt: skip
    assert not home.exists()
