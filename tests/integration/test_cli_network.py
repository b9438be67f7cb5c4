"""The network as a person makes it: commands against real nodes, and homes without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import LOOPBACK, Fleet
from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An owner that is a gateway, a processor, and a client's home without a node."""
    with Fleet(tmp_path_factory.mktemp("lab")) as fleet:
        fleet.found("g", "--role", "gateway")
        fleet.member("p", "processor", "--model", "echo")
        fleet.join("c", fleet.invite("client"))
        fleet.wait_until_sees("g", "p")
        yield fleet
        aiplat(fleet.home("c"), "stop", "--now")


def told(home: Path, *words: str) -> Any:
    done = aiplat(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def failed(home: Path, *words: str, code: int, stdin: str = "") -> str:
    """What a command says that ends with `code`, in one line."""
    done = aiplat(home, *words, stdin=stdin)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


# -- being in one ----------------------------------------------------------------------------------


def test_a_processor_finds_the_gateway_by_its_token_and_says_where_it_is(lab: Fleet) -> None:
    eventually(lambda: lab.sees("p", "g"))
    now = lab["p"].now()
    assert now["network"]["name"] == "lab"
    assert now["network"]["searching"] == ""
    assert now["roles"] == ["processor"]
    (me,) = (p for p in lab.peers("g") if p["peer_id"] == lab["p"].peer_id)
    assert (me["roles"], me["state"], me["path"], me["via"]) == (
        ["processor"], "connected", "direct", "",
    )  # fmt: skip
    assert me["models"] == ["echo"]
    assert me["slots"] > 0 and me["since_seconds"] > 0 and me["version"]


def test_a_client_that_only_joined_asks_and_is_told_why_there(lab: Fleet) -> None:
    home = lab.home("c")
    asked = told(home, "ask", "hello lab")
    assert asked["text"].strip() == "hello lab"
    assert asked["processor"] == lab["p"].peer_id
    assert asked["gateway"] == lab["g"].peer_id
    status = told(home, "status")
    assert (status["roles"], status["background"]) == (["client"], True)
    for place in (home, lab.home("g")):
        why = told(place, "explain", asked["request"])
        assert why["state"] == "finished"
        assert [c["processor"] for c in why["choices"]] == [lab["p"].peer_id]
    words = aiplat(home, "explain", asked["request"])
    assert f"placed on …{lab['p'].peer_id[-8:]}" in words.stdout
    said = aiplat(home, "ask", "-v", "again")
    assert said.stdout == "again\n"
    assert "explain req-" in said.stderr
    assert "req-000000000000000000000000" in failed(
        home, "explain", "req-000000000000000000000000", code=2
    )


def test_privacy_is_no_wish(lab: Fleet) -> None:
    assert told(lab.home("c"), "ask", "--privacy", "network", "hi")["text"].strip() == "hi"
    done = aiplat(lab.home("c"), "ask", "--privacy", "machine", "hi")
    assert done.returncode != 0
    assert done.stdout == ""
    assert aiplat(lab.home("c"), "ask", "--privacy", "nobody", "hi").returncode == 2


def test_doctor_finds_a_healthy_member_healthy(lab: Fleet, tmp_path: Path) -> None:
    told(lab.home("c"), "ask", "hi")  # its node runs
    lab.join("d", lab.invite("client"))  # and here none does
    for name in ("g", "p", "c", "d"):
        found = told(lab.home(name), "doctor")
        assert found["ok"], (name, found)
        steps = [step["name"] for step in found["steps"]]
        assert steps[:3] == ["identity", "network", "certificate"]
        assert steps[-4:] == ["addresses", "dial", "gateway", "model"]
    assert not (lab.home("d") / "state" / "control.sock").exists()
    assert told(tmp_path / "alone", "doctor")["ok"]


def test_doctor_names_what_is_broken(lab: Fleet, tmp_path: Path) -> None:
    with Fleet(tmp_path) as other:
        other.found("g", *LOOPBACK)
        other.join("c", other.invite("client"))
        other["g"].stop()
        done = aiplat(other.home("c"), "doctor", "--json")
        assert done.returncode == 1
        bad = {s["name"]: s for s in json.loads(done.stdout)["steps"] if not s["ok"]}
        assert list(bad) == ["dial", "gateway"]
        assert "connection refused" in bad["dial"]["advice"]
        lines = aiplat(other.home("c"), "doctor")
        assert lines.returncode == 1
        assert "FAIL  dial" in lines.stdout


# -- each way not to get in ------------------------------------------------------------------------


def test_each_wrong_token_has_its_words_and_its_exit_code(lab: Fleet, tmp_path: Path) -> None:
    home = tmp_path / "n"
    good = lab.invite("client")
    assert "mistyped or cut off" in failed(home, "join", stdin=good[:-4], code=2)
    flipped = good[:100] + ("a" if good[100] != "a" else "b") + good[101:]
    assert "mistyped or cut off" in failed(home, "join", stdin=flipped, code=2)
    assert "No token was given" in failed(home, "join", code=2)
    many = lab.invite("client", "--uses", "2")
    assert "for 2 machines" in failed(home, "join", many, code=2)
    assert aiplat(home, "join", good).returncode == 0  # of one use: also as an argument
    assert "already" in failed(home, "join", stdin=lab.invite("client"), code=3)
    assert "was used already" in failed(tmp_path / "m", "join", stdin=good, code=3)
    assert "by its owner" in _revoked(lab, home)


def _revoked(lab: Fleet, home: Path) -> str:
    """Revoke the member at `home`; gives what it hears when it comes again."""
    peer = next(
        member["peer_id"]
        for member in told(lab.home("g"), "network", "members")["members"]
        if member["peer_id"] == _peer_of(home)
    )
    gone = told(lab.home("g"), "network", "revoke", peer[-8:])
    assert gone["peer_id"] == peer
    assert aiplat(home, "network", "leave").returncode == 0
    return failed(home, "join", stdin=lab.invite("client"), code=3)


def _peer_of(home: Path) -> str:
    steps = json.loads(aiplat(home, "doctor", "--json").stdout)["steps"]
    return str(steps[0]["text"].split()[-1])


def test_only_the_owner_invites_and_revokes(lab: Fleet) -> None:
    for words in (("invite",), ("network", "members"), ("network", "revoke", "abcd")):
        assert "Only the owner's node" in failed(lab.home("p"), *words, code=3)


def test_nobody_is_there_to_let_it_in(lab: Fleet, tmp_path: Path) -> None:
    with Fleet(tmp_path) as other:
        other.found("g", *LOOPBACK)
        token = other.invite("client")
        other["g"].stop()
        said = failed(tmp_path / "n", "join", stdin=token, code=4)
        assert "connection refused" in said
        assert token not in said


def invited(home: Path) -> str:
    """Make a network without a node; gives a token, and leaves no node behind."""
    assert aiplat(home, "network", "create", "lab").returncode == 0
    done = aiplat(home, "invite")
    assert done.returncode == 0
    assert not (home / "state" / "control.sock").exists()
    return done.stdout


def test_a_token_that_was_made_without_a_node_leads_to_it_later(tmp_path: Path) -> None:
    """What it promises is the port that the owner's node takes at its start."""
    token = invited(tmp_path / "o")
    assert "connection refused" in failed(tmp_path / "m", "join", stdin=token, code=4)
    node = RunningNode(tmp_path / "o", "--role", "gateway")
    try:
        assert aiplat(tmp_path / "m", "join", stdin=token).returncode == 0
        members = told(node.home, "network", "members")["members"]
        assert [member["connected"] for member in members] == [True, False]
    finally:
        node.close()


# -- drain, block ----------------------------------------------------------------------------------


def test_a_processor_is_drained_and_blocked_by_the_end_of_its_name(lab: Fleet) -> None:
    lab.member("q", "processor", "--model", "echo")
    lab.wait_until_sees("g", "q")
    g, q = lab.home("g"), lab["q"].peer_id
    assert told(g, "drain", q[-8:])["peer_id"] == q
    assert lab.sees("g", "q", "draining")
    for _ in range(4):
        assert told(lab.home("c"), "ask", "hi")["processor"] == lab["p"].peer_id
    told(g, "block", q[-8:])
    assert lab.sees("g", "q", "blocked")
    assert "blocked already" in failed(g, "block", q[-8:], code=2)
    assert "this node itself" in failed(g, "block", lab["g"].peer_id[-8:], code=2)
    told(g, "unblock", q[-8:])
    eventually(lambda: lab.sees("g", "q", "draining"))
    told(g, "drain", "--off", q[-8:])
    lab.wait_until_sees("g", "q")
    assert "is not drained here" in failed(g, "drain", "--off", q[-8:], code=2)
    told(lab.home("q"), "drain")
    eventually(lambda: lab.sees("g", "q", "draining"))
    assert "by its own word" in failed(g, "drain", "--off", q[-8:], code=2)
    told(lab.home("q"), "drain", "--off")
    eventually(lambda: lab.sees("g", "q"))
    assert "No blocked peer" in failed(g, "unblock", q[-8:], code=2)
    assert "last four" in failed(g, "block", "zzzzzzzz", code=2)
    lab["q"].kill()
    eventually(lambda: not lab.lists("g", "q"))


def test_a_drained_node_takes_nothing_until_that_is_ended(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "h", "--model", "echo")
    try:
        done = aiplat(node.home, "drain")
        assert done.returncode == 0
        assert "drain --off" in done.stderr
        assert node.now()["drained"] is True
        assert "was drained" in failed(node.home, "ask", "--model", "echo", "hi", code=1)
        assert "FAIL  node" in aiplat(node.home, "doctor").stdout
        told(node.home, "drain", "--off")
        assert told(node.home, "ask", "--model", "echo", "hi")["text"] == "hi"
        assert "not drained" in failed(node.home, "drain", "--off", code=2)
        assert aiplat(node.home, "stop").returncode == 0
    finally:
        node.close()


# -- with a running node ---------------------------------------------------------------------------


def test_running_nodes_take_up_a_network_on_their_ports_and_leave_it(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        owner = fleet.start("o", "--role", "gateway")
        other = fleet.start("n", "--role", "processor", "--model", "echo")
        ports = [port(node) for node in (owner, other)]
        told(owner.home, "network", "create", "lab")
        assert port(owner) == ports[0]
        fleet.join("n", fleet.invite("processor"))
        assert port(other) == ports[1]
        fleet.wait_until_sees("o", "n")
        assert told(other.home, "network")["name"] == "lab"
        told(other.home, "network", "leave")
        assert port(other) == ports[1]
        assert told(other.home, "network") is None
        assert told(other.home, "peers") == []
        eventually(lambda: not fleet.lists("o", "n"))


def port(node: RunningNode) -> str:
    return str(node.now()["addresses"][0].split("/")[4])


def test_no_token_is_in_a_log(lab: Fleet) -> None:
    token = lab.invite("client")
    lab.join("e", token)
    for name in ("g", "e"):
        logs = lab.home(name) / "state" / "logs"
        for path in logs.rglob("*") if logs.is_dir() else ():
            assert token[8:60] not in path.read_text()
    assert token[8:60] not in lab["g"].stderr


def test_a_public_network_has_no_pre_shared_key(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        assert aiplat(fleet.home("g"), "network", "create", "town", "--public").returncode == 0
        fleet.start("g", "--role", "gateway", "--role", "processor", "--model", "echo")
        assert told(fleet.home("g"), "network")["public"] is True
        done = aiplat(
            tmp_path / "s", "ask", "--model", "echo", "--peer", fleet["g"].address, "hello town",
            AIPLAT_API_KEY=fleet.key("g", "s"),
        )  # fmt: skip
        try:
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == "hello town"
        finally:
            aiplat(tmp_path / "s", "stop", "--now")
