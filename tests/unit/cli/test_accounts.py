"""Registering and logging in, out, and who one is: what is asked of a gateway, and said."""

from __future__ import annotations

import getpass
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.cli import at_gateway, ensure, main, output
from aiplat.cli.face import Face
from aiplat.control.accounts import (
    KeyringState,
    KeyStatus,
    Login,
    Nothing,
    Register,
    Session,
    UserStatus,
    WhoAmI,
)
from aiplat.control.client import NodeLost, NoNode
from aiplat.control.messages import Done, NetworkStatus
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.held import Held
from aiplat.domain import errors
from aiplat.domain.accounts import Limits, RateState
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, PermissionDenied, RateLimited
from aiplat.domain.ids import PeerId
from aiplat.node.identity import load_or_create
from aiplat.runtime.places import find_places
from tests.support.accounts_desk import ANN, GATEWAY, PASSWORD, STATUS, Asked, Desk, desk_at
from tests.unit.credentials.fake_keyring import FakeKeyring

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

TOKEN = "ses-aip-secretsecretsecret"
SESSION = Session(user=ANN, id="s1", token=TOKEN, expires=1_797_000_000, gateway=GATEWAY,
                  kept="keyring")  # fmt: skip
SAID = "at the gateway …Gate1234, until 2026-12-11 14:40 UTC. The session is kept in the keyring.\n"
WANTS_CODE = PermissionDenied("Ask its operator for a code.", param="invitation")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    return tmp_path / "h"


@pytest.fixture
def desk(monkeypatch: Patch) -> Iterator[Desk]:
    found = desk_at(monkeypatch, Desk({"register": [SESSION], "login": [SESSION]}))
    yield found
    found.asked.clear()


def piped(text: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typing(monkeypatch: Patch, *hidden: str, lines: str = "") -> list[str]:
    """A person at a terminal; gives what is asked for, hidden."""
    asked: list[str] = []
    left = iter(hidden)

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(left)

    monkeypatch.setattr(sys, "stdin", Terminal(lines))
    monkeypatch.setattr(getpass, "getpass", ask)
    return asked


# -- through a pipe ------------------------------------------------------------------------------


def test_a_person_registers_with_a_piped_password(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(f"{PASSWORD}\n", monkeypatch)
    assert main.run(["register", "--name", "ann", "--gateway", "8hCcz2pQ"]) == 0
    wish = Register(name="ann", password=PASSWORD, label="aiplat register")
    assert desk.asked == [Asked("register", wish, "8hCcz2pQ")]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"Registered as ann, and logged in {SAID}")
    assert "`aiplat keys create" in said.err


@pytest.mark.parametrize("text", [f"{PASSWORD}\ninv-1\n", f"{PASSWORD}\r\n inv-1\r\nmore\n",
                                  f"{PASSWORD}\ninv-1"])  # fmt: skip
def test_an_invitation_is_the_second_line_of_what_is_piped(
    text: str, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(text, monkeypatch)
    desk.put("register", WANTS_CODE, SESSION)
    assert main.run(["register", "--name", "ann"]) == 0
    wishes = [
        Register(name="ann", password=PASSWORD, invitation=code, label="aiplat register")
        for code in ("", "inv-1")
    ]
    assert [one.wish for one in desk.asked] == wishes
    said = capsys.readouterr()
    assert said.err.startswith("Registered as ann")
    assert "inv-1" not in said.out + said.err


def test_a_piped_invitation_that_is_none_is_tried_once(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(f"{PASSWORD}\ninv-1\ninv-2\n", monkeypatch)
    desk.put("register", WANTS_CODE, InvalidApiKey("No such invitation."))
    assert main.run(["register", "--name", "ann"]) == 3
    assert [one.wish.invitation for one in desk.asked] == ["", "inv-1"]
    assert capsys.readouterr().err == "error: No such invitation.\n"


def test_a_person_logs_in_with_a_piped_password(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(f"{PASSWORD}\n", monkeypatch)
    assert main.run(["login", "--name", " ann ", "--insecure-storage"]) == 0
    wish = Login(name="ann", password=PASSWORD, label="aiplat login")
    assert desk.asked == [Asked("login", wish, "", True)]
    assert capsys.readouterr() == ("", f"Logged in as ann {SAID}")


@pytest.mark.parametrize("command", ["register", "login"])
def test_json_has_the_session_and_not_its_token(
    command: str, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(PASSWORD, monkeypatch)
    assert main.run([command, "--name", "ann", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["id"], told["gateway"], told["kept"]) == ("s1", GATEWAY, "keyring")
    assert (told["user"]["role"], told["user"]["disabled"]) == ("user", False)
    assert TOKEN not in said.out
    assert PASSWORD not in said.out + said.err


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [("register", WANTS_CODE, 3), ("login", InvalidApiKey("Wrong."), 3),
     ("register", InvalidRequest("Too short.", param="password"), 2),
     ("register", InvalidRequest("Taken.", param="name"), 2),
     ("login", RateLimited("Wait.", retry_after=2.0), 1), ("login", errors.UserDisabled("Off."), 3),
     ("login", errors.NoPeer("Nobody."), 4), ("register", errors.ConfigError("No keyring."), 1)],
)  # fmt: skip
def test_a_refusal_comes_back_as_it_is_and_nobody_is_asked(
    command: str, error: Exception, code: int, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    piped(PASSWORD, monkeypatch)
    desk.put(command, error)
    assert main.run([command, "--name", "ann"]) == code
    assert len(desk.asked) == 1
    assert capsys.readouterr() == ("", f"error: {error}\n")


@pytest.mark.parametrize("command", ["register", "login"])
def test_without_a_terminal_the_name_is_needed(
    command: str, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    for words in ([command], [command, "--name", "  "]):
        piped(PASSWORD, monkeypatch)
        assert main.run(words) == 2
        assert "--name: say whose account it is" in capsys.readouterr().err
    piped("", monkeypatch)
    assert main.run([command, "--name", "ann"]) == 2
    assert "No password came on stdin" in capsys.readouterr().err
    assert desk.asked == []


@pytest.mark.parametrize(
    ("command", "option"),
    [("register", "--password"), ("register", "--invitation"), ("login", "--password")],
)
def test_a_secret_is_no_option(command: str, option: str, desk: Desk, capsys: Capture) -> None:
    assert main.run([command, "--name", "ann", option, "x"]) == 2
    assert f"No such option: {option}" in capsys.readouterr().err


# -- at a terminal -------------------------------------------------------------------------------


def test_a_terminal_is_asked_for_all_of_it(desk: Desk, monkeypatch: Patch, capsys: Capture) -> None:
    asked = typing(monkeypatch, PASSWORD, PASSWORD, "inv-2", lines="ann\n")
    desk.put("register", WANTS_CODE, SESSION)
    assert main.run(["register"]) == 0
    assert asked == ["New password for ann: ", "The same again: ", "Invitation code: "]
    wishes = [one.wish for one in desk.asked]
    assert [wish.invitation for wish in wishes] == ["", "inv-2"]
    assert {wish.password for wish in wishes} == {PASSWORD}
    said = capsys.readouterr().err
    assert "wants an invitation: the code that its operator gave you" in said
    assert PASSWORD not in said


def test_what_a_gateway_refuses_is_typed_anew(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    typing(monkeypatch, "short", "short", PASSWORD, PASSWORD, lines="bob\n")
    desk.put(
        "register", InvalidRequest("Too short.", param="password"),
        InvalidRequest("Taken.", param="name"), SESSION,
    )  # fmt: skip
    assert main.run(["register", "--name", "ann"]) == 0
    assert [(one.wish.name, one.wish.password) for one in desk.asked] == [
        ("ann", "short"), ("ann", PASSWORD), ("bob", PASSWORD),
    ]  # fmt: skip
    assert capsys.readouterr().err.startswith("Too short.\nTaken.\nName: ")


def test_a_wrong_code_is_typed_again_three_times_in_all(desk: Desk, monkeypatch: Patch) -> None:
    asked = typing(monkeypatch, PASSWORD, PASSWORD, *"123456")
    desk.put("register", WANTS_CODE, InvalidApiKey("No such invitation."))
    assert main.run(["register", "--name", "ann"]) == 3
    assert asked.count("Invitation code: ") == 3
    assert [one.wish.invitation for one in desk.asked] == ["", "1", "2", "3"]


@pytest.mark.parametrize("param", ["name", "password"])
def test_what_is_refused_again_and_again_ends(param: str, desk: Desk, monkeypatch: Patch) -> None:
    typing(monkeypatch, *["pw"] * 20, lines="bob\n" * 20)
    desk.put("register", InvalidRequest("No.", param=param))
    assert main.run(["register", "--name", "ann"]) == 2
    assert len(desk.asked) == 3


def test_a_wrong_password_is_typed_again_three_times_in_all(
    desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    desk.put("login", InvalidApiKey("The password\x1b[2J is wrong."), SESSION)
    typing(monkeypatch, "a", "b")
    assert main.run(["login", "--name", "ann"]) == 0
    assert capsys.readouterr().err.startswith("The password·[2J is wrong.\nLogged in")
    desk.put("login", InvalidApiKey("Wrong."))
    desk.asked.clear()
    typing(monkeypatch, *"abcdef")
    assert main.run(["login", "--name", "ann"]) == 3
    assert [one.wish.password for one in desk.asked] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "error", [RateLimited("Wait."), PermissionDenied("Closed."), NodeLost("x")]
)
def test_what_no_typing_mends_is_not_asked_again(
    error: Exception, desk: Desk, monkeypatch: Patch
) -> None:
    desk.put("register", error)
    desk.put("login", error)
    for command in ("register", "login"):
        typing(monkeypatch, "a", "a", "never asked for")
        assert main.run([command, "--name", "ann"]) in (1, 3)
    assert len(desk.asked) == 2


# -- who one is ----------------------------------------------------------------------------------


def test_logging_out(desk: Desk, capsys: Capture) -> None:
    desk.put("logout", Done(message="ann is\nlogged out."))
    assert main.run(["logout", "--gateway", "x"]) == 0
    assert desk.asked == [Asked("logout", Nothing(), "x")]
    assert capsys.readouterr() == ("", "ann is·logged out.\n")
    assert main.run(["logout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"message": "ann is\nlogged out.", "peer_id": ""}


def who(**fields: Any) -> WhoAmI:
    return replace(WhoAmI(gateway=GATEWAY, user=ANN, by="session", expires=1_797_000_000), **fields)


def test_who_one_is_in_lines(desk: Desk, capsys: Capture) -> None:
    limits = Limits(requests_per_minute=60, tokens_per_month=5_000_000)
    rate = RateState(requests_limit=60, requests_remaining=48, tokens_limit=9, tokens_remaining=9)
    desk.put("whoami", who(user=replace(ANN, limits=limits, used_this_month=1234), rate=rate))
    assert main.run(["whoami"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ann (user)",
        f"  gateway     {GATEWAY}",
        "  known by    a log-in, until 2026-12-11 14:40 UTC",
        "  limits      60 requests/min, 5M tokens/month",
        "  used        1234 tokens this month",
        "  this minute 12 of 60 requests, 0 of 9 tokens",
    ]


def test_an_operator_and_a_key_say_so(desk: Desk, capsys: Capture) -> None:
    owner = UserStatus(id="u0", name="operator", role="operator", local=True)
    desk.put("whoami", who(by="operator", user=owner, expires=0))
    assert main.run(["whoami"]) == 0
    told = capsys.readouterr().out
    assert "operator (operator)" in told
    assert "its owner needs no log-in" in told
    key = KeyStatus(id="k1", name="la\x1b[2Jp", user="ann", scopes=("inference",))
    desk.put("whoami", who(by="key", key=key, scopes=("inference",), expires=0))
    assert main.run(["whoami"]) == 0
    told = capsys.readouterr().out
    assert "the key la·[2Jp, which does not expire" in told
    assert "may         inference" in told


def test_who_one_is_for_programs_has_every_field(desk: Desk, capsys: Capture) -> None:
    desk.put("whoami", who())
    assert main.run(["whoami", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["user"]["limits"] == {
        "requests_per_minute": None, "tokens_per_minute": None, "concurrent": None,
        "tokens_per_month": None,
    }  # fmt: skip
    assert (told["key"], told["scopes"], told["rate"]["tokens_reset"]) == (None, [], 0.0)


# -- which node answers --------------------------------------------------------------------------


def test_a_gateway_without_a_name_is_wrong_use(desk: Desk, capsys: Capture) -> None:
    assert main.run(["whoami", "--gateway", " "]) == 2
    assert "--gateway: it is empty" in capsys.readouterr().err
    assert desk.asked == []


def test_what_is_no_text_is_said_without_it(desk: Desk, capsys: Capture) -> None:
    desk.put("whoami", who())
    assert main.run(["whoami", "--gateway", "a\udcffb"]) == 2
    assert "not UTF-8 text" in capsys.readouterr().err


def starts_of_a_node(monkeypatch: Patch) -> list[bool]:
    """None runs: whenever one is started, whether it is for a gateway elsewhere."""
    started: list[bool] = []

    def none(face: Face) -> None:
        raise NoNode("None.")

    def start(face: Face, *, elsewhere: bool) -> Desk:
        started.append(elsewhere)
        return Desk({"whoami": [who()]})

    monkeypatch.setattr(Face, "running", none)
    monkeypatch.setattr(ensure, "ensure", start)
    return started


@pytest.mark.parametrize(("words", "elsewhere"), [([], False), (["--gateway", "x"], True)])
def test_a_node_is_started_where_none_runs(
    words: list[str], elsewhere: bool, monkeypatch: Patch, capsys: Capture
) -> None:
    started = starts_of_a_node(monkeypatch)
    assert main.run(["whoami", *words]) == 0
    assert started == [elsewhere]


@pytest.mark.parametrize("command", ["register", "login"])
def test_nobody_types_a_password_that_could_not_be_of_use(
    command: str, desk: Desk, monkeypatch: Patch, capsys: Capture
) -> None:
    desk.ring = KeyringState(backend="", usable=False, reason="There is none.", mend="Get one.")
    asked = typing(monkeypatch, PASSWORD, PASSWORD, lines="ann\n")
    assert main.run([command]) == 1
    assert capsys.readouterr().err.endswith("There is none. Get one.\n")
    assert (asked, desk.asked) == ([], [])
    assert main.run([command, "--insecure-storage"]) == 0


def test_who_is_logged_in_elsewhere_needs_no_models_here(
    home: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    started = starts_of_a_node(monkeypatch)
    places = find_places(str(home), {})
    places.prepare()
    own = load_or_create(places.identity).peer_id
    credentials = Credentials(own, places.data, open_keyring=FakeKeyring)
    for number, gateway in enumerate(("12D3KooWElsewhere", own)):
        assert main.run(["whoami"]) == 0
        begun = Held(kind="session", id=f"s{number}", gateways=(PeerId(gateway),))
        credentials.keep(begun, "ses-aip-x")
    assert main.run(["whoami"]) == 0
    assert started == [False, True, False]


def test_a_client_that_was_left_without_a_gateway_gives_way_to_a_node(monkeypatch: Patch) -> None:
    left = replace(STATUS, background=True, roles=("client",))
    desk, started = desk_at(monkeypatch, Desk({"whoami": [who()]}), left), []

    def start(face: Face, *, elsewhere: bool) -> Desk:
        started.append(elsewhere)
        return desk

    monkeypatch.setattr(ensure, "ensure", start)
    assert main.run(["whoami"]) == 0
    assert started == [False]
    assert main.run(["whoami", "--gateway", "x"]) == 0  # there it is of use
    network = NetworkStatus(name="lab", key="k", public=False, owner=False, roles=("client",))
    desk_at(monkeypatch, desk, replace(left, network=network))
    assert main.run(["whoami"]) == 0  # and there it finds one by itself
    assert started == [False]


def test_a_node_that_does_not_answer_is_named_and_none_is_started(
    monkeypatch: Patch, capsys: Capture
) -> None:
    def lost(face: Face) -> None:
        raise NodeLost("It may be starting.")

    monkeypatch.setattr(Face, "running", lost)
    monkeypatch.setattr(ensure, "ensure", lambda face, **how: pytest.fail("it was started"))
    assert main.run(["whoami"]) == 1
    assert capsys.readouterr().err == "error: It may be starting.\n"


def test_what_a_gateway_says_was_done_is_one_line(capsys: Capture) -> None:
    at_gateway.tell(Done(message="a\x1b]0;x\x07\nb" * 2000), json=False)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) <= output._LONGEST + 1
    assert "\x1b" not in said
