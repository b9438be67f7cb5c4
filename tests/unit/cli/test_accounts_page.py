"""``aiplat open``, ``sessions``, ``settings`` and ``password``: what is asked, and what is said."""

from __future__ import annotations

import io
import json
import socket
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.cli import main
from aiplat.cli.account_words import SESSIONS, from_where
from aiplat.cli.open import has_screen
from aiplat.cli.tables import lines
from aiplat.control.accounts import Nothing, UserStatus, WhoAmI
from aiplat.control.calls import Call
from aiplat.control.messages import Access, Done
from aiplat.control.running import (
    SettingList,
    SettingName,
    SettingsAsk,
    SettingStatus,
    SettingWish,
)
from aiplat.control.sessions import (
    OpenLink,
    PasswordChange,
    PasswordReset,
    SessionEnd,
    SessionList,
    SessionsAsk,
    SessionStatus,
)
from aiplat.domain.errors import InvalidApiKey
from tests.support.accounts_desk import GATEWAY, STATUS, Asked, Desk, desk_at

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

DONE = Done(message="It is done.")
CODE = "open-aip-abc-xyz"
LINK = OpenLink(code=CODE, expires=1_797_000_000, gateway=GATEWAY)
SETTING = SettingStatus(
    name="accounts.registration", about="Who may make an account.", kind="one of closed, open",
    value='"open"', default='"closed"', source="changed", changes=True,
)  # fmt: skip
SESSION = SessionStatus(
    id="abc7", created=1_796_000_000, expires=1_797_000_000, label="Firefox\x1b[2J", current=True,
    source="web:203.0.113.5", last_used=1_796_000_040,
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "h"


class DoorDesk(Desk):
    """A desk whose node has a door."""

    base = ""

    def call(self, call: Call[Any]) -> Any:
        if call.path == "/control/access":
            return Access(base_url=self.base, api_key="sk-aip-local-x")
        return super().call(call)


@pytest.fixture
def door() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def desk(monkeypatch: Patch, door: str) -> DoorDesk:
    answers: dict[str, list[Any]] = {
        "open": [LINK], "sessions.end": [DONE], "users.password": [DONE], "password.change": [DONE],
        "sessions.list": [SessionList(user="ann", sessions=(SESSION,))],
        "settings.list": [SettingList(settings=(SETTING,))], "settings.set": [SETTING],
        "settings.reset": [replace(SETTING, value='"closed"', source="default")],
        "whoami": [WhoAmI(gateway=GATEWAY, user=UserStatus(id="u1", name="ann"), by="session")],
    }  # fmt: skip
    made = DoorDesk(answers)
    made.base = door
    desk_at(monkeypatch, made, replace(STATUS, roles=("gateway",)))
    return made


def piped(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# -- open ------------------------------------------------------------------------------------------


def test_the_link_is_alone_on_stdout(desk: DoorDesk, door: str, capsys: Capture) -> None:
    assert main.run(["open", "--print"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{door}/open#{CODE}\n"
    assert told.err == "The link works once, until 2026-12-11 14:40 UTC.\n"
    assert main.run(["open"]) == 0, "no screen, no browser"
    told = capsys.readouterr()
    assert told.out == f"{door}/open#{CODE}\n"
    assert told.err.startswith("No browser could be opened: open the link in one of this machine.")
    assert main.run(["open", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "url": f"{door}/open#{CODE}", "expires": LINK.expires, "gateway": GATEWAY,
    }  # fmt: skip
    assert desk.asked == [Asked("open", Nothing())] * 3


def test_the_browser_is_given_a_file_and_no_link(
    desk: DoorDesk, door: str, home: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", browse)
    (home / "state").mkdir(parents=True)
    assert main.run(["open"]) == 0
    assert capsys.readouterr().err.startswith("Opened in your browser. The link works once")
    [url] = opened
    page = Path(url.removeprefix("file://"))
    assert CODE not in url
    assert f"{door}/open#{CODE}" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("environ", "platform", "has"),
    [({}, "linux", False), ({"DISPLAY": ":0"}, "linux", True), ({"DISPLAY": ""}, "linux", False),
     ({"WAYLAND_DISPLAY": "w"}, "linux", True), ({}, "darwin", True), ({}, "win32", True)],
)  # fmt: skip
def test_where_a_browser_can_come_up(environ: dict[str, str], platform: str, has: bool) -> None:
    assert has_screen(environ, platform) == has


def test_no_link_is_made_that_leads_nowhere(
    desk: DoorDesk, monkeypatch: Patch, capsys: Capture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    desk.base = f"http://127.0.0.1:{port}"
    assert main.run(["open"]) == 1
    assert f"HTTP door at {desk.base} is not reached" in capsys.readouterr().err
    desk.base = ""
    assert main.run(["open"]) == 1
    assert "has no HTTP door yet" in capsys.readouterr().err
    desk_at(monkeypatch, desk, replace(STATUS, roles=("client", "processor")))
    assert main.run(["open"]) == 1
    assert "is client and processor, and no gateway" in capsys.readouterr().err
    assert desk.asked == []


# -- sessions --------------------------------------------------------------------------------------


def test_log_ins_are_listed_as_text(desk: DoorDesk, capsys: Capture) -> None:
    assert main.run(["sessions", "list", "--user", "ann"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "web 203.0.113.5" in told
    assert desk.wish() == SessionsAsk(user="ann")
    assert main.run(["sessions", "list", "--json"]) == 0
    [session] = json.loads(capsys.readouterr().out)["sessions"]
    assert (session["id"], session["current"]) == ("abc7", True)
    desk.put("sessions.list", SessionList(user="ann", sessions=()))
    assert main.run(["sessions", "list"]) == 0
    assert capsys.readouterr() == ("", "The account ann is logged in nowhere.\n")
    assert all(len(line) <= 40 for line in lines(SESSIONS, (SESSION,), 40))


@pytest.mark.parametrize(
    ("peer", "told"),
    [("", "here"), ("web:", "web"), ("web:2001:db8::/64", "web 2001:db8::/64"),
     ("12D3KooWSomebodysNode", "…odysNode")],
)  # fmt: skip
def test_where_something_was_asked_from(peer: str, told: str) -> None:
    assert from_where(peer) == told


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        (["abc7"], SessionEnd(id="abc7")),
        (["--others"], SessionEnd(others=True)),
        (["--others", "--user", "ann"], SessionEnd(others=True, user="ann")),
    ],
)
def test_log_ins_are_ended(
    words: list[str], wish: SessionEnd, desk: DoorDesk, capsys: Capture
) -> None:
    assert main.run(["sessions", "end", *words]) == 0
    assert capsys.readouterr() == ("", "It is done.\n")
    assert desk.asked == [Asked("sessions.end", wish)]


@pytest.mark.parametrize("words", [[], ["abc7", "--others"], [""]])
def test_which_log_in_has_to_be_said(words: list[str], desk: DoorDesk, capsys: Capture) -> None:
    assert main.run(["sessions", "end", *words]) == 2
    assert "say one log-in by its id, or --others" in capsys.readouterr().err
    assert desk.asked == []


# -- settings --------------------------------------------------------------------------------------


def test_settings_are_listed_and_changed(desk: DoorDesk, capsys: Capture) -> None:
    assert main.run(["settings", "list"]) == 0
    told = capsys.readouterr().out
    assert "accounts.registration" in told
    assert "changed while it ran" in told
    assert main.run(["settings", "list", "--all", "--json"]) == 0
    [setting] = json.loads(capsys.readouterr().out)["settings"]
    assert (setting["value"], setting["fixed"], setting["changes"]) == ('"open"', "", True)
    assert main.run(["settings", "set", "accounts.registration", "open"]) == 0
    said = 'accounts.registration is "open" now (changed while it ran).\n'
    assert capsys.readouterr() == ("", said)
    assert main.run(["settings", "reset", "accounts.registration", "--gateway", "g"]) == 0
    assert capsys.readouterr().err == 'accounts.registration is "closed" now (the default).\n'
    assert desk.asked == [
        Asked("settings.list", SettingsAsk(changing=True)),
        Asked("settings.list", SettingsAsk()),
        Asked("settings.set", SettingWish(name="accounts.registration", value="open")),
        Asked("settings.reset", SettingName(name="accounts.registration"), gateway="g"),
    ]


# -- passwords -------------------------------------------------------------------------------------


def test_the_old_and_the_new_one_are_two_lines(
    desk: DoorDesk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(monkeypatch, "the old horse\nthe new horse\n")
    assert main.run(["password"]) == 0
    assert capsys.readouterr() == ("", "It is done.\n")
    assert desk.wish() == PasswordChange(old="the old horse", new="the new horse")
    piped(monkeypatch, "the old horse\n")
    assert main.run(["password"]) == 2
    assert "No password came on stdin" in capsys.readouterr().err
    desk.put("password.change", InvalidApiKey("The old password is wrong."))
    piped(monkeypatch, "a\nthe new horse\n")
    assert main.run(["password"]) == 3
    told = capsys.readouterr()
    assert "The old password is wrong." in told.err
    assert "horse" not in told.out + told.err


def test_an_operator_gives_another_one(desk: DoorDesk, monkeypatch: Patch, capsys: Capture) -> None:
    piped(monkeypatch, "the new horse\n")
    assert main.run(["users", "password", "ann"]) == 0
    assert capsys.readouterr() == ("", "It is done.\n")
    assert desk.asked == [
        Asked("users.password", PasswordReset(name="ann", password="the new horse"))
    ]
