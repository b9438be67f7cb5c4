"""What the pane Peers says, without Textual: rows, cells, lines, wishes, figures, codes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.control.machine import DoctorReply, DoctorStep
from aiplat.control.messages import (
    Invitation,
    InviteRequest,
    NetworkStatus,
    PeerStatus,
    ReachStatus,
    ShareStatus,
    ShareTerms,
    ShareUser,
    ShareWish,
)
from aiplat.control.series import SeriesReply, SeriesRow
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.ids import ROLES
from aiplat.tui.peers import possible, qr, rows, wishes, words
from aiplat.tui.peers.detail_words import fact_lines, facts, history_lines
from aiplat.tui.peers.doctor_words import doctor_lines
from aiplat.tui.peers.figures import asks, bars, figures_of
from aiplat.tui.peers.folding import folded
from aiplat.tui.peers.share_words import share_lines, short_share, state_words, terms_words
from aiplat.tui.peers.words import Line
from tests.support.peers_scene import (
    AWAY,
    DOCTOR,
    EXCHANGE,
    FAST,
    HOSTILE,
    MEMBERS,
    PEERS,
    RELAYED,
    SHARE,
    node,
    series,
)
from tests.support.screens import NOW, PEER


def local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def line_of(line: Line) -> str:
    """One line, as plain text."""
    return "".join(text for text, _ in line)


def said(lines: list[Line]) -> str:
    """Lines, as plain text."""
    return "\n".join(map(line_of, lines))


def key(name: str) -> str:
    return name.partition(".")[2][0]


def row_of(peer: str, **changes: Any) -> rows.Row:
    found = next(one for one in PEERS if one.peer_id == peer)
    return rows.rows_of(None, [replace(found, **changes)])[0]


# -- rows ----------------------------------------------------------------------------------------


def test_this_node_comes_first_with_its_own_sums() -> None:
    first, *others = rows.rows_of(node(), PEERS)
    assert first.here and first.name == "this node" and first.peer.peer_id == PEER
    assert rows.slots_cell(first.peer) == "3/32"
    assert rows.role_letters(first.peer.roles) == "C G P"
    assert [row.key for row in others] == [peer.peer_id for peer in PEERS]
    assert rows.own_row(node(drained=True, state="draining")).state == "drained"


@pytest.mark.parametrize(
    ("state", "cell"),
    [
        ("connected", ("● connected", "success")), ("connecting", ("◌ connecting", "warning")),
        ("draining", ("▲ draining", "warning")), ("blocked", ("✕ blocked", "error")),
        ("odd", ("○ odd", "")),
    ],
)  # fmt: skip
def test_states_have_a_sign_and_a_word(state: str, cell: tuple[str, str]) -> None:
    assert rows.state_cell(rows.Row(PeerStatus(peer_id=AWAY), state=state)) == cell


def test_cells_tell_nothing_of_what_is_not_known() -> None:
    bare = PeerStatus(peer_id=AWAY)
    told = (rows.slots_cell, rows.queue_cell, rows.speed_cell, rows.latency_cell, rows.path_cell,
            rows.since_cell)  # fmt: skip
    assert [cell(bare) for cell in told] == [""] * len(told)


def test_a_speed_by_its_own_word_is_in_brackets() -> None:
    assert rows.speed_cell(row_of(FAST).peer) == "58"
    assert rows.speed_cell(row_of(RELAYED).peer) == "(17)"
    assert rows.speed_cell(row_of(FAST, measured_tokens_per_second=0.0).peer) == "(61)"


def test_paths() -> None:
    assert rows.path_cell(row_of(FAST).peer) == "direct"
    assert rows.path_cell(row_of(RELAYED).peer) == f"by …{FAST[-8:]}"
    assert rows.path_cell(row_of(AWAY, seen_by=FAST).peer) == f"seen by …{FAST[-8:]}"


def test_who_is_not_connected_shows_why_in_place_of_its_models() -> None:
    assert rows.models_cell(row_of(AWAY))[0].startswith("Nobody answers")
    assert rows.models_cell(row_of(RELAYED))[0] == "paused by its owner"
    assert rows.models_cell(row_of(RELAYED, note="draining"))[0] == "llama-3.2-3b"
    many = row_of(FAST, models=tuple(f"m{n}" for n in range(11)))
    assert rows.models_cell(many)[0].endswith("m7, 3 more")


# -- the network ---------------------------------------------------------------------------------


def network(**changes: Any) -> NetworkStatus:
    usual = NetworkStatus(name="lab", key="00" * 32, roles=("processor",),
                          expires=int(NOW) + 86_400)  # fmt: skip
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("net", "reach", "text"),
    [
        (None, None, "No network yet  this node reaches this machine's own only"),
        (network(), None, "lab  private · owned by another node · certificate until 2026-11-27"),
        (network(public=True, roles=(), expires=0), None,
         "lab  public · owned by another node · client without a certificate"),
        (network(owner=True), ReachStatus(state="direct"),
         "lab  private · owned by this node · ● reached directly"),
        (network(owner=True), ReachStatus(state="relayed", via=(FAST,)),
         "lab  private · owned by this node · ◐ reached by relay …BbBbFast"),
        (network(owner=True), ReachStatus(state="unreachable", why="NAT"),
         "lab  private · owned by this node · ✕ not reached from outside"),
        (network(owner=True), ReachStatus(state="unknown"),
         "lab  private · owned by this node · ○ not known yet who reaches it"),
        (network(revoked=True), None, "lab  ✕ this node was revoked here"),
    ],
)  # fmt: skip
def test_the_network_in_a_line(
    net: NetworkStatus | None, reach: ReachStatus | None, text: str
) -> None:
    assert line_of(words.network_line(node(network=net, reach=reach), local)) == text


def test_troubles_are_told_with_their_reasons_and_bounded() -> None:
    status = node(
        turned_away=tuple(f"…peer{n}: it blocks\x1b[2J this node" for n in range(5)),
        network=network(searching="No member answered yet."),
        reach=ReachStatus(state="unreachable", why="behind a NAT that maps nothing"),
    )
    text = said(words.troubles(status))
    assert text.splitlines()[0] == "▲ turned away by …peer0: it blocks this node"
    assert text.splitlines()[-1] == "  and 3 more" and "\x1b" not in text
    one = node(network=network(searching="No member answered yet."),
               reach=ReachStatus(state="unreachable", why="behind a NAT"))  # fmt: skip
    assert said(words.troubles(one)) == ("▲ No member answered yet.\n▲ unreachable: behind a NAT")
    assert words.troubles(node()) == []


def test_alone_it_says_what_to_do() -> None:
    without = said(words.nobody(node(network=None), 0, key))
    assert "A network is" in without and "c make one" in without and "j join one" in without
    owner = said(words.nobody(node(network=network(owner=True)), 0, key))
    assert owner == "Nobody else is here.    i invite a machine    d see what is wrong"
    assert "invite" not in said(words.nobody(node(network=network()), 0, key))
    assert words.nobody(node(network=network()), 3, key) == []


def test_what_is_said_of_a_token() -> None:
    made = Invitation(token="aiplat1-x", network="lab\x1b[1m", roles=("processor",),
                      expires=int(NOW), uses=3, note="Not reached from outside.")  # fmt: skip
    text = words.invited(made, local)
    assert text.startswith("For 3 machines as processor in the network lab, until 2026-11-26 14:30")
    assert text.endswith("▲ Not reached from outside.") and "secret" in text
    anyone = words.invited(replace(made, for_anyone=True), local)
    assert "any number" in anyone and "no secret" in anyone


def test_members_have_a_state_and_an_end() -> None:
    states = [words.member_state(member)[0] for member in MEMBERS.members]
    assert states == ["● connected", "● connected", "○ away", "✕ revoked"]
    assert words.member_state(replace(MEMBERS.members[0], connected=None))[0] == "○ not known"
    away = MEMBERS.members[2]
    assert words.until(away, NOW, local) == "2026-11-26 (over)"
    assert words.until(MEMBERS.members[0], NOW, local) == "2026-12-25"


# -- what can be done ----------------------------------------------------------------------------


def names(row: rows.Row, **changes: Any) -> list[str]:
    return [name for name, _ in possible.offers(row, node(**changes))]


def test_what_is_offered_of_a_peer() -> None:
    here = rows.own_row(node())
    assert names(here) == ["drain"] and names(here, drained=True) == ["undrain"]
    assert names(row_of(FAST)) == ["drain", "block", "revoke"]
    assert names(row_of(FAST, state="draining")) == ["undrain", "block", "revoke"]
    assert names(row_of(FAST, state="blocked")) == ["unblock", "revoke"]
    assert names(row_of(FAST), roles=("client",)) == ["block", "revoke"]
    assert names(row_of(HOSTILE), network=network()) == ["block"]


@pytest.mark.parametrize(
    ("action", "status", "why"),
    [
        ("create", node(), "this node is in a network already"),
        ("create", node(network=None), ""),
        ("join", node(), "this node is in a network already"),
        ("leave", node(network=None), "this node is in no network"),
        ("invite", node(network=network()), "on the owner's node only"),
        ("invite", node(), ""),
        ("members", node(network=network()), "on the owner's node only"),
        ("doctor", node(network=None), ""),
    ],
)
def test_what_is_off_says_why(action: str, status: Any, why: str) -> None:
    assert possible.why_not(action, status, SHARE) == why


def test_sharing_is_paused_or_resumed() -> None:
    paused = replace(SHARE, terms=ShareTerms(paused=True))
    none = ShareStatus(state="none", terms=ShareTerms())
    told = [[bool(possible.why_not(action, node(), share)) for share in (SHARE, paused, none)]
            for action in ("pause", "resume", "terms")]  # fmt: skip
    assert told == [[False, True, True], [True, False, True], [False, False, True]]


def test_why_a_row_does_not_take_it() -> None:
    assert possible.why_not_with("drain", None, node()) == "no peer is chosen"
    assert possible.why_not_with("block", rows.own_row(node()), node()) == "not of this node itself"
    assert possible.why_not_with("drain", row_of(HOSTILE), node()) == "it is no processor"
    assert possible.why_not_with("unblock", row_of(FAST), node()) == "it is not blocked"
    assert possible.why_not_with("block", row_of(FAST), node()) == ""
    own, fast, _, gone = MEMBERS.members
    assert possible.why_not_revoke(own, node()) == "not of this node itself"
    assert possible.why_not_revoke(fast, node()) == ""
    assert possible.why_not_revoke(gone, node()) == "it is revoked"


# -- sharing -------------------------------------------------------------------------------------


def test_how_it_is_shared() -> None:
    text = said(share_lines(replace(SHARE, exchange=EXCHANGE), key)).splitlines()
    assert text == [
        "Sharing   ● open: others may ask this machine, closes at 16:00 (in 1 h 30 m)   p pause",
        "Terms     at 22-08 · also while it is used · memory 50% · 4 threads   t change",
        "Used by   …CcRelay7 gateway · smollm2-135m · 2 requests · 153 tokens · 12 s",
        "          clients by key · smollm2-135m · 1 request · 9 tokens · 3.0 s",
        "Given     24 h  12 requests, 3.4k tokens      30 d  310 requests, 88.0k tokens",
        "Taken     24 h  1 request, 211 tokens         30 d  nothing",
    ]


def test_many_users_are_summed() -> None:
    users = tuple(ShareUser(peer_id=f"12D3KooWuser{n:04}", role="gateway", model="m", running=n,
                            tokens=n, since_seconds=n) for n in range(7))  # fmt: skip
    text = said(share_lines(replace(SHARE, users=users), key)).splitlines()
    assert [line[10:19] for line in text[2:5]] == ["…user0006", "…user0005", "…user0004"]
    assert text[5].strip() == "4 more"
    assert said(short_share(replace(SHARE, users=users), key)).splitlines()[1] == (
        "Used by   7 users, 21 requests"
    )


def test_paused_and_others_say_why() -> None:
    paused = replace(SHARE, state="paused", terms=ShareTerms(paused=True), reason="its owner "
                     "paused it", note="2 go on", users=(), own=1)  # fmt: skip
    assert state_words(paused) == ("paused: others get nothing new, its owner paused it (2 go on)")
    text = said(share_lines(paused, key))
    assert "r resume" in text and "nobody else now; 1 request of its own" in text
    closed = replace(SHARE, state="closed", reason="outside its hours")
    assert state_words(closed).endswith("outside its hours, opens at 16:00 (in 1 h 30 m)")
    none = ShareStatus(state="none", terms=ShareTerms())
    assert said(share_lines(none, key)).endswith("runs no models, and so gives nothing")
    assert len(short_share(none, key)) == 1
    assert terms_words(ShareTerms(idle_only=True)) == (
        "at any hour · only while this machine is idle · all memory · all threads"
    )


# -- wishes --------------------------------------------------------------------------------------


def test_an_invitation_is_read() -> None:
    values = {"client": "", "gateway": "yes", "processor": "yes", "expires": "90m", "uses": "5"}
    assert wishes.invite_wish(values) == InviteRequest(
        roles=("gateway", "processor"), expires_seconds=5400, uses=5
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"processor": "", "gateway": ""}, "at least one role"),
        ({"expires": "soon"}, "24h or 7d"), ({"expires": "0h"}, "24h or 7d"),
        ({"expires": "999999w"}, "at most 3650d"),
        ({"uses": "0"}, "from 1 on"), ({"uses": "many"}, "not 'many'"),
    ],
)  # fmt: skip
def test_an_invitation_that_cannot_be_says_why(change: dict[str, str], word: str) -> None:
    values = {"client": "", "gateway": "yes", "processor": "yes", "expires": "90m", "uses": "5"}
    with pytest.raises(InvalidRequest, match=word):
        wishes.invite_wish({**values, **change})


def test_a_token_is_read_with_its_line_breaks_and_never_told_again() -> None:
    assert wishes.token_of({"token": " aiplat1-abc\n def \n"}) == "aiplat1-abcdef"
    for wrong in ("sk-aip-secret", "hunter2"):
        with pytest.raises(InvalidRequest) as caught:
            wishes.token_of({"token": wrong})
        assert wrong not in str(caught.value)
    with pytest.raises(InvalidRequest, match="Paste the token"):
        wishes.token_of({"token": ""})


def test_a_network_needs_a_name() -> None:
    assert wishes.network_wish({"name": " home ", "public": "yes"}).name == "home"
    with pytest.raises(InvalidRequest, match="a name"):
        wishes.network_wish({"name": "  "})


def test_terms_say_only_what_is_otherwise() -> None:
    before = ShareTerms(hours="22-08", max_memory="50%", threads=4)
    same = {"hours": "22-08", "idle": "", "memory": "50%", "threads": "4"}
    assert wishes.terms_wish(same, before) == ShareWish()
    other = {"hours": "", "idle": "yes", "memory": "", "threads": ""}
    assert wishes.terms_wish(other, before) == ShareWish(
        hours="always", idle_only=True, max_memory="none", threads=0
    )
    with pytest.raises(InvalidRequest, match="threads"):
        wishes.terms_wish({**same, "threads": "-1"}, before)


# -- detail, figures -----------------------------------------------------------------------------


def test_all_that_is_known_of_a_peer_is_told() -> None:
    told = dict(facts(row_of(RELAYED), node()))
    assert told["path"][0] == f"relayed by {FAST}"
    assert told[""][0] == "paused by its owner"
    assert told["slots"][0] == "1 of 8 taken" and told["latency"][0].startswith("143 ms")
    assert told["speed"][0] == "17.0 tok/s by its own word"
    far = dict(facts(row_of(AWAY, seen_by=FAST, address=""), node()))
    assert far["path"][0] == "no channel from here" and far["seen by"][0].endswith(FAST)


def test_all_that_is_known_of_this_node_is_told() -> None:
    status = node(reach=ReachStatus(state="relayed", via=(FAST,), why="NAT"), active=2)
    text = said(fact_lines(facts(rows.own_row(status), status), 200))
    for word in (PEER, "loading: layer 12 of 28", "2 requests", status.addresses[0],
                 "relayed by …BbBbFast: NAT", status.http, "1 h 2 m", "4242, in the background",
                 "open: others may ask"):  # fmt: skip
        assert word in text


def test_hostile_words_are_text_and_keep_to_their_column() -> None:
    text = said(fact_lines(facts(row_of(HOSTILE), node()), 40))
    assert "[red]evil[/red]" in text and "owned" not in text
    assert not any(sign in text for sign in "\x1b\x07\x9b\u202e")
    from rich.cells import cell_len

    assert max(map(cell_len, text.splitlines())) <= 40


def test_folding_breaks_between_words_and_else_anywhere() -> None:
    assert folded("one two three", 8) == ["one two", "three"]
    assert folded("abcdefghij k", 4) == ["abcd", "efgh", "ij k"]
    assert folded("漢字漢字", 5) == ["漢字", "漢字"]
    assert folded("", 5) == [""]


def test_figures_are_of_one_peer_in_parts_of_the_time() -> None:
    hour, day = asks(NOW, ROLES)
    assert (hour.by, hour.step, day.step) == ("peer", 120, 3600)
    assert (hour.role, day.role) == ("gateway", "gateway"), "else it would count twice"
    assert {ask.role for ask in asks(NOW, ("client", "processor"))} == {"client"}
    found = figures_of(series(hour), FAST, "last hour", NOW)
    assert len(found.tokens) == 30 and found.tokens[2] == 80 and found.tokens[3] == 0
    assert found.requests == 42 and found.errors == 3
    assert found.words == "42 requests · 3 failed · 9.8k tokens · first token after 300 ms"
    assert len(figures_of(series(day), FAST, "last day", NOW).tokens) == 24
    assert figures_of(series(hour), AWAY, "last hour", NOW).words == "nothing"


def test_figures_out_of_their_time_do_no_harm() -> None:
    reply = SeriesReply(since=1000, until=1100, step=0, total=SeriesRow(at=0), rows=(
        SeriesRow(at=5, name=FAST, requests=1, completion_tokens=9),
        SeriesRow(at=10**9, name=FAST, requests=1, completion_tokens=9)))  # fmt: skip
    assert sum(figures_of(reply, FAST, "x", 10.0**12).tokens) == 0


def test_bars() -> None:
    assert bars((0, 1, 50, 100)) == " ▁▄█"
    assert bars((0, 1, 50, 100), "ascii") == " .=%"
    assert bars((0, 0)) == "··" and bars((0,), "ascii") == "." and bars(()) == ""
    figures = figures_of(series(asks(NOW, ROLES)[0]), FAST, "last hour", NOW)
    lines = history_lines((figures,), "ascii", "half of it is lost")
    assert "▲ half of it is lost" in said(lines) and "█" not in said(lines)


# -- the doctor, the code ------------------------------------------------------------------------


def test_the_doctors_steps_have_signs_and_advice() -> None:
    text = said(doctor_lines(DOCTOR, 100)).splitlines()
    assert text[0] == "▲ 1 of 5 steps is not well."
    assert text[3].startswith("✓ network      lab (private)")
    assert text[4].startswith("✕ addresses")
    assert text[5].strip().startswith("→ Forward its port")
    well = DoctorReply(ok=True, steps=(DoctorStep(name="node", ok=True, text="runs"),))
    assert said(doctor_lines(well, 60)).startswith("● All is well")


def test_a_code_is_drawn_and_is_the_token_in_capitals() -> None:
    import segno

    lines = qr.drawn("aiplat1-mzxw6ytboi2dgnbv")
    assert len({len(line) for line in lines}) == 1
    made = segno.make("AIPLAT1-MZXW6YTBOI2DGNBV", error="l", micro=False)
    code = [list(map(bool, row)) for row in made.matrix_iter(border=qr.BORDER)]
    light = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    for number, row in enumerate(code):
        got = [bool(light[sign][number % 2]) for sign in lines[number // 2]]
        assert got == row
    assert all(sign == "█" for sign in lines[0])  # quiet around it
