"""The commands of the network: what they ask of a node, and what they say."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from msgspec.structs import replace
from rich.console import Console

from aiplat.cli import invite as inviting
from aiplat.cli import main, output
from aiplat.cli.ask import told_of
from aiplat.cli.explain import describe
from aiplat.cli.peers_table import COLUMNS, fitting, lines, screen
from aiplat.cli.reply import Reply
from aiplat.cli.status import with_all_peers
from aiplat.control.messages import (
    Accepted,
    Choice,
    DrainWish,
    Explanation,
    InviteRequest,
    JoinRequest,
    MemberStatus,
    NetworkCreate,
    PeerName,
    PeerStatus,
    Status,
    Weighed,
)
from aiplat.domain.errors import NotAMember
from tests.support.fake_home import node_at
from tests.support.fake_node import PEER, FakeNode, finished, started

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path / "h"))
    return tmp_path / "h"


@pytest.fixture
def node(home: Path) -> Iterator[FakeNode]:
    with node_at(home, FakeNode()) as node:
        yield node


def piped(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# -- with a node: it is asked ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["network", "create", "lab"], NetworkCreate(name="lab")),
        (["network", "create", "town", "--public"], NetworkCreate(name="town", public=True)),
        (["network", "revoke", "abcd"], PeerName(peer="abcd")),
        (["network", "leave"], "leave"),
        (["drain"], DrainWish(peer="")),
        (["drain", "abcd"], DrainWish(peer="abcd")),
        (["drain", "--off", "abcd"], DrainWish(peer="abcd", off=True)),
        (["block", "abcd"], PeerName(peer="abcd")),
        (["unblock", "abcd"], PeerName(peer="abcd")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_node_that_runs_is_told(
    words: list[str], order: object, node: FakeNode, capsys: Capture
) -> None:
    assert main.run(words) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Done: ")
    assert main.run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["peer_id"] == PEER
    assert node.orders == [order, order]


@pytest.mark.parametrize(
    "words", [["network", "members"], ["invite"], ["explain", "req-1"], ["network", "leave"]]
)
def test_who_may_not_is_told_so_with_exit_code_3(
    words: list[str], node: FakeNode, capsys: Capture
) -> None:
    node.not_there = NotAMember("Only the owner's node can do that.")
    assert main.run([*words, "--json"]) == 3
    said = capsys.readouterr()
    assert said.err == "error: Only the owner's node can do that.\n"
    assert json.loads(said.out)["error"]["code"] == "not_a_member"


@pytest.mark.parametrize(
    "words", [["peers"], ["drain"], ["block", "x"], ["unblock", "x"], ["explain", "x"]]
)
def test_what_needs_a_node_starts_none(words: list[str], home: Path, capsys: Capture) -> None:
    assert main.run(words) == 1
    assert "No node runs here" in capsys.readouterr().err


# -- invitations -------------------------------------------------------------------------------


def test_an_invitation_prints_its_token_alone(node: FakeNode, capsys: Capture) -> None:
    words = ["invite", "--role", "processor", "--role", "client", "--expires", "90m", "--uses", "2"]
    assert main.run(words) == 0
    said = capsys.readouterr()
    assert said.out == "aiplat1-abc\n"
    assert "For 2 machines as processor and client in the network lab" in said.err
    assert "aiplat1-" not in said.err
    wish = InviteRequest(roles=("processor", "client"), expires_seconds=5400, uses=2)
    assert main.run(["invite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["token"], told["roles"], told["uses"]) == ("aiplat1-abc", ["client"], 1)
    assert node.orders == [wish, InviteRequest(roles=("client",))]


@pytest.mark.parametrize("span", ["", "24", "h", "1.5h", "-1h", "1y", "1h30m", "9999999999d"])
def test_a_time_that_is_none_is_wrong_use(span: str, node: FakeNode, capsys: Capture) -> None:
    assert main.run(["invite", "--expires", span]) == 2
    assert "such as 24h" in capsys.readouterr().err
    assert node.orders == []


@pytest.mark.parametrize(
    ("columns", "rows", "drawn"),
    [(200, 50, True), (79, 40, True), (78, 50, False), (79, 39, False)],
)
def test_a_qr_code_is_drawn_where_it_fits(
    columns: int, rows: int, drawn: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(output, "size", lambda stream: (columns, rows))
    inviting._draw("aiplat1-" + "a" * 700)
    said = capsys.readouterr().err
    assert ("79 columns and 40 lines shows it as a QR code" in " ".join(said.split())) is not drawn
    assert ("▀" in said) is drawn
    assert max(map(len, said.splitlines())) <= columns


def test_a_qr_code_is_the_token(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn, cell by cell, is the code of the token in capitals; light is drawn."""
    import segno

    monkeypatch.setattr(output, "size", lambda stream: (200, 60))
    inviting._draw("aiplat1-" + "b" * 700)
    drawn = [line for line in capsys.readouterr().err.splitlines() if line]
    cells = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[cells[c][half] for c in line] for line in drawn for half in (0, 1)]
    matrix = segno.make("AIPLAT1-" + "B" * 700, error="l", micro=False).matrix
    inner = [row[1:-1] for row in rows[1 : len(matrix) + 1]]
    assert inner == [list(row) for row in matrix]


# -- joining -----------------------------------------------------------------------------------


def test_a_token_comes_from_stdin_or_a_file(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "t").write_text("aiplat1-file\n")
    piped("aiplat1-stdin\n", monkeypatch)
    assert main.run(["join"]) == 0
    piped("aiplat1-dash", monkeypatch)
    assert main.run(["join", "--file", "-"]) == 0
    assert main.run(["join", "--file", str(tmp_path / "t")]) == 0
    tokens = [order.token.strip() for order in node.orders if isinstance(order, JoinRequest)]
    assert tokens == ["aiplat1-stdin", "aiplat1-dash", "aiplat1-file"]


def test_only_a_single_use_token_may_be_an_argument(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main.run(["network", "create", "lab"]) == 0
    tokens = []
    for uses in ("1", "3"):
        assert main.run(["invite", "--uses", uses]) == 0
        tokens.append(capsys.readouterr().out.strip())
    with node_at(home.parent / "other", FakeNode()) as node:
        monkeypatch.setenv("AIPLAT_HOME", str(home.parent / "other"))
        assert main.run(["join", tokens[0]]) == 0
        capsys.readouterr()
        assert main.run(["join", tokens[1]]) == 2
        said = capsys.readouterr().err
        assert "for 3 machines" in said
        assert tokens[1] not in said
        assert node.orders == [JoinRequest(token=tokens[0])]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "No token was given"),
        ("hello", "a token begins with aiplat1-"),
        ("aiplat1-abcdefgh", "mistyped or cut off"),
        ("aiplat2-abcdefgh", "of kind 2"),
    ],
)
def test_a_wrong_token_is_wrong_use_and_never_shown(
    text: str, why: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    piped(text, monkeypatch)
    assert main.run(["join"]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "abcdefgh" not in said


def test_the_token_is_given_once(home: Path, capsys: Capture) -> None:
    assert main.run(["join", "aiplat1-a", "--file", "x"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main.run(["join", "--file", str(home / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err


# -- without a node: it is done, and none is left -------------------------------------------------


def test_a_network_is_made_shown_and_left_without_a_node(home: Path, capsys: Capture) -> None:
    assert main.run(["network"]) == 0
    assert "in no network" in capsys.readouterr().err
    assert main.run(["network", "create", "lab"]) == 0
    assert main.run(["network", "create", "more"]) == 3
    assert "can be in one only" in " ".join(capsys.readouterr().err.split())
    for words in (["network", "show"], ["network"]):
        assert main.run(words) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("network lab (private)\n")
        assert "owner   this node" in shown
    assert main.run(["network", "members", "--json"]) == 0
    (me,) = json.loads(capsys.readouterr().out)["members"]
    assert me["roles"] == ["client", "gateway", "processor"]
    assert main.run(["network", "revoke", me["peer_id"]]) == 3
    capsys.readouterr()
    assert main.run(["network", "leave", "--yes"]) == 0
    assert "owner's key and ledger are kept in" in " ".join(capsys.readouterr().err.split())
    assert list((home / "data" / "network").glob("owner-of-*.key"))
    assert main.run(["network", "leave"]) == 3
    assert not (home / "state" / "control.sock").exists()


def test_the_owner_is_asked_before_its_node_leaves(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.run(["network", "create", "lab"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal: nobody is asked
    assert main.run(["network", "leave"]) == 2
    assert "This node is the owner's" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda text, err: False)
    assert main.run(["network", "leave"]) == 1
    assert main.run(["network"]) == 0
    monkeypatch.setattr(typer, "confirm", lambda text, err: True)
    assert main.run(["network", "leave"]) == 0
    assert "left the network lab" in " ".join(capsys.readouterr().err.split())


def test_a_damaged_record_is_told_and_can_be_left(home: Path, capsys: Capture) -> None:
    assert main.run(["network", "create", "lab"]) == 0
    (home / "data" / "network" / "network.json").write_bytes(b"{")
    capsys.readouterr()
    assert main.run(["network", "show"]) == 1
    assert "is damaged" in " ".join(capsys.readouterr().err.split())
    assert main.run(["network", "leave", "--yes"]) == 0
    assert main.run(["network", "create", "more"]) == 0


def test_what_cannot_be_is_refused_in_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Wrong use ends with 2, what this home may not with 3."""

    def refused(code: int, says: str, *words: str) -> None:
        assert main.run(list(words)) == code
        said = " ".join(capsys.readouterr().err.split())
        assert said.startswith("error: ")
        assert says in said

    refused(3, "in no network", "invite")
    refused(3, "in no network", "network", "leave")
    refused(2, "1 to 40 printable", "network", "create", "x" * 41)
    refused(2, "1 to 40 printable", "network", "create", "red\x1b[31m")
    assert main.run(["network", "create", "lab"]) == 0
    assert main.run(["invite"]) == 0
    piped(capsys.readouterr().out, monkeypatch)
    refused(3, "can be in one only", "join")
    refused(3, "in the network lab already", "network", "create", "b")
    refused(2, "1 to 10000 uses", "invite", "--uses", "0")
    refused(2, "last four", "network", "revoke", "nobody")
    assert not (home / "state" / "control.sock").exists()


def test_two_invitations_name_the_same_port_that_the_node_will_take(
    home: Path, capsys: Capture
) -> None:
    from aiplat.protocol.token import decode

    assert main.run(["network", "create", "lab"]) == 0
    ports = set()
    for _ in range(2):
        capsys.readouterr()
        assert main.run(["invite"]) == 0
        token = decode(capsys.readouterr().out)
        ports |= {address.split("/")[4] for address in token.addresses}
    assert ports == {(home / "data" / "port").read_text().strip()}


# -- peers -------------------------------------------------------------------------------------

PROCESSOR = PeerStatus(
    peer_id="12D3KooWAAAAAAAAbbbbbbbb", roles=("client", "gateway", "processor"),
    models=("smollm2-135m", "echo"), slots=8, running=3, waiting=2, tokens_per_second=40.0,
    measured_tokens_per_second=37.6, latency_ms=1.25, version="0.1.0", since_seconds=3725,
    path="relayed", via="12D3KooWrelayrelay",
)  # fmt: skip
DIALED = PeerStatus(peer_id="12D3KooWcccccccc", state="connecting", note="Nothing listens\x1b[2J")


def drawn(columns: int, *found: PeerStatus) -> str:
    return "\n".join(lines(found, columns))


@pytest.mark.parametrize("columns", [40, 60, 70, 80, 100, 120, 160])
def test_a_table_of_peers_fits_its_terminal(columns: int) -> None:
    text = drawn(columns, PROCESSOR, DIALED)
    assert max(map(len, text.splitlines())) <= columns
    assert "…bbbbbbbb" in text
    assert "connecting" in text
    shown = [column.name for column in fitting((PROCESSOR, DIALED), columns)]
    assert {"peer", "role", "state"} <= set(shown)
    assert all(name in text for name in shown)


def test_what_matters_least_is_left_out_first() -> None:
    counts = [len(fitting((PROCESSOR,), columns)) for columns in range(40, 160)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (3, len(COLUMNS))
    names = [column.name for column in fitting((PROCESSOR,), 80)]
    assert "path" in names
    assert "version" not in names


@pytest.mark.parametrize("columns", [160, 0])
def test_a_wide_table_and_a_piped_one_tell_all(columns: int) -> None:
    text = drawn(columns, PROCESSOR)
    for part in ("client, gateway, processor", "smollm2-135m, echo", "3/8", "38", "1.2",
                 "1 h 2 min", "0.1.0", "by …layrelay"):  # fmt: skip
        assert part in text
    assert "(40)" in drawn(columns, replace(PROCESSOR, measured_tokens_per_second=None))
    assert "2 d 3 h" in drawn(columns, replace(PROCESSOR, since_seconds=51 * 3600 + 59.0))


def test_a_peer_that_only_a_gateway_sees_says_through_whom() -> None:
    seen = replace(PROCESSOR, path="", via="", seen_by="12D3KooWgatewayg")
    assert "seen by …gatewayg" in drawn(0, seen)
    assert "seen by" not in drawn(0, replace(seen, path="direct"))


def test_status_shows_whom_the_gateways_see_too() -> None:
    own = (DIALED, replace(PROCESSOR, models=(), slots=None))
    now = Status(
        peer_id="12D3KooWme", addresses=(), http="", control="", roles=("client",), models=(),
        peers=own, version="1",
    )  # fmt: skip
    filled, far = replace(PROCESSOR, seen_by="g"), PeerStatus(peer_id="12D3KooWfar", seen_by="g")
    assert with_all_peers(now, (replace(DIALED, note=""), filled, far)).peers == (
        DIALED, filled, far,
    )  # fmt: skip


HOSTILE = PeerStatus(
    peer_id="12D3KooW[red]x", roles=("processor",), version="[blink]9\x1b[2J" + "9" * 500,
    models=("[red]evil[/red]", "a\nb", "\x1b]0;title\x07", "long" * 300),
)  # fmt: skip


@pytest.mark.parametrize("columns", [60, 100, 160, 0])
def test_what_peers_name_themselves_is_text(columns: int) -> None:
    text = drawn(columns, PROCESSOR, HOSTILE)
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert "oW[red]x" in text
    assert ("[red]evil[/red]" in text) is (columns != 60)  # where there is no room for models
    assert not columns or max(map(len, text.splitlines())) <= columns
    assert len(text.splitlines()) < 20
    many = replace(PROCESSOR, models=tuple(f"m{n}" for n in range(100)))
    assert "m7, 92 more" in drawn(0, many)


def shown_on(columns: int, rows: int, *found: PeerStatus, searching: str = "") -> list[str]:
    stream = io.StringIO()
    console = Console(width=columns, height=rows, file=stream)
    console.print(screen(found, searching, columns, rows))
    return stream.getvalue().splitlines()


def test_a_screen_holds_the_peers_and_why_some_are_not_reached() -> None:
    assert shown_on(80, 24)[-1] == "No peers yet."
    told = shown_on(80, 24, PROCESSOR, DIALED, searching="No gateway\x1b[2J of lab.")
    assert told[-2:] == ["…cccccccc: Nothing listens·[2J", "No gateway·[2J of lab."]
    many = [replace(DIALED, peer_id=f"12D3KooW{n:08}") for n in range(50)]
    for rows in (5, 12, 24):
        told = shown_on(40, rows, *many)
        assert len(told) <= rows
        assert any("and more" in line for line in told)


def test_peers_is_a_list_of_objects(node: FakeNode, capsys: Capture) -> None:
    node.listed = (PROCESSOR, DIALED)
    assert main.run(["peers", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["peer_id"], first["state"]) == (PROCESSOR.peer_id, "connected")
    assert first["roles"] == ["client", "gateway", "processor"]
    assert second["state"] == "connecting"
    assert main.run(["peers"]) == 0
    said = capsys.readouterr()
    assert "…bbbbbbbb" in said.out
    assert "…cccccccc: Nothing listens·[2J" in said.err
    node.listed = ()
    assert main.run(["peers"]) == 0
    assert "No peers." in capsys.readouterr().err


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_peer_is_no_peer_at_all(empty: str, node: FakeNode, capsys: Capture) -> None:
    assert main.run(["ask", "--peer", empty, "hi"]) == 2
    assert "it is empty" in capsys.readouterr().err
    assert node.orders == []


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_drains_nothing(empty: str, node: FakeNode, capsys: Capture) -> None:
    assert main.run(["drain", empty]) == 2
    assert "it is empty" in capsys.readouterr().err
    assert node.orders == []


def test_a_watch_needs_a_terminal(node: FakeNode, capsys: Capture) -> None:
    assert main.run(["peers", "--watch"]) == 2
    assert main.run(["peers", "--watch", "--json"]) == 2


def test_members_are_a_line_each(node: FakeNode, capsys: Capture) -> None:
    node.membership = (
        MemberStatus(peer_id="12D3A", roles=("client",), joined=1, expires=2, revoked=True),
        MemberStatus(peer_id="12D3B", roles=("gateway",), joined=1, expires=2, connected=True),
    )
    assert main.run(["network", "members"]) == 0
    one, two = capsys.readouterr().out.splitlines()
    assert one.split() == ["12D3A", "revoked", "until", "1970-01-01", "client"]
    assert two.split()[:2] == ["12D3B", "connected"]


# -- why this peer -------------------------------------------------------------------------------


def test_an_explanation_in_words(node: FakeNode, capsys: Capture) -> None:
    assert main.run(["explain", "req-1"]) == 0
    assert capsys.readouterr().out.startswith("req-1: finished\n")
    weighed = (
        Weighed(processor="12D3KooWaaaaaaaa", chosen=True, expected_wait=0.5, load=1, slots=4,
                tokens_per_second=40.0, latency=0.0012),
        Weighed(processor="12D3KooWbbbbbbbb", refused="it rests"),
    )  # fmt: skip
    choice = Choice(after=0.1, processor="12D3KooWaaaaaaaa", reason="the least wait",
                    weighed=weighed, outcome="it was lost")  # fmt: skip
    lines = describe(
        Explanation(request="req-2", model="", gateway=PEER, privacy="network", choices=(choice,),
                    state="failed", outcome="no\x1b[2J")
    )  # fmt: skip
    assert lines[0] == "req-2: failed (no·[2J)"
    assert "  privacy  network" in lines
    assert "  1. after 0.100 s placed on …aaaaaaaa: the least wait" in lines
    assert any(
        line.startswith("     * …aaaaaaaa  wait 0.5 s, load 1/4, 40 tok/s") for line in lines
    )
    assert lines[-2].endswith("– it rests")
    assert lines[-1] == "     → it was lost"


def test_who_answered_is_told_with_the_name_of_the_request() -> None:
    reply = Reply(lambda text: None, lambda text: None)
    for event in (Accepted(request="req-7"), started(), finished(3)):
        reply._take(event)
    assert told_of(reply) == (
        "echo on …FakeFake, by the gateway …FakeFake, 3 tokens in 0.0 s. `aiplat explain req-7` "
        "tells why there."
    )


def test_a_pipe_that_says_nothing_is_not_waited_for_without_end(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    import os

    reading, writing = os.pipe()
    monkeypatch.setattr(inviting, "_PIPE_SECONDS", 0.05)
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w"):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main.run(["join"]) == 5
    assert "No whole token came on stdin" in capsys.readouterr().err


def test_the_help_says_that_a_token_stays_a_secret(capsys: Capture) -> None:
    for command, says in (
        ("invite", "private network's holds the pre-shared key"),
        ("join", "seen by ps, and with it a private network's pre-shared key"),
    ):
        assert main.run([command, "--help"]) == 0
        assert says in " ".join(capsys.readouterr().out.split())
