"""The commands of the network, with real processes: with a node that runs and without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually

LOOPBACK = ("--listen", "/ip4/127.0.0.1/tcp/0")


def ok(home: Path, *arguments: str, stdin: str = "") -> str:
    done = aiplat(home, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(home: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """How a command fails: its exit code and its one error."""
    done = aiplat(home, *arguments, "--json", stdin=stdin)
    return done.returncode, str(json.loads(done.stdout)["error"]["message"])


def status(home: Path) -> dict[str, Any]:
    return json.loads(ok(home, "status", "--json"))  # type: ignore[no-any-return]  # an object


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningNode]:
    """A gateway of no network."""
    node = RunningNode(tmp_path / "g", *LOOPBACK, "--role", "gateway")
    yield node
    node.close()


def test_a_network_is_made_and_joined_with_nodes_that_run(
    running: RunningNode, tmp_path: Path
) -> None:
    """They take it up in place, on the same port, and lose nothing else."""
    before = status(running.home)["addresses"]
    ok(running.home, "network", "create", "lab")
    after = status(running.home)
    assert after["addresses"] == before
    assert (after["network"]["name"], after["network"]["owner"]) == ("lab", True)
    assert after["pid"] == running.status["pid"]
    invited = json.loads(ok(running.home, "invite", "--role", "processor", "--json"))
    assert invited["roles"] == ["processor"]
    assert before[0] not in running.stderr
    processor = RunningNode(tmp_path / "p", *LOOPBACK, "--role", "processor", "--model", "echo")
    try:
        ok(processor.home, "join", stdin=invited["token"])
        eventually(lambda: len(_connected(running.home)) == 1, 20)
        [peer] = _connected(running.home)
        assert peer["peer_id"] == processor.peer_id
        assert peer["roles"] == ["processor"]
        assert invited["token"] not in running.stderr + processor.stderr
        _leaves(processor, running)
    finally:
        processor.close()


def _connected(home: Path) -> list[dict[str, Any]]:
    return [p for p in json.loads(ok(home, "peers", "--json")) if p["state"] == "connected"]


def _leaves(processor: RunningNode, gateway: RunningNode) -> None:
    ok(processor.home, "network", "leave")
    assert status(processor.home)["network"] is None
    eventually(lambda: not _connected(gateway.home), 20)


def test_without_nodes_nothing_is_left_behind(tmp_path: Path) -> None:
    owner, member = tmp_path / "o", tmp_path / "m"
    ok(owner, "network", "create", "lab")
    token = ok(owner, "invite", "--role", "client").strip()
    assert told(member, "join", stdin=token)[0] == 4, "nobody answers"
    for home in (owner, member):
        assert aiplat(home, "status").returncode == 1, "no node was started"
    shown = json.loads(ok(owner, "network", "--json"))
    assert (shown["name"], shown["roles"]) == ("lab", ["client", "gateway", "processor"])
    node = RunningNode(owner, *LOOPBACK, "--role", "gateway")
    try:
        ok(member, "join", stdin=token)  # the port that the token promised is the node's
        members = json.loads(ok(owner, "network", "members", "--json"))["members"]
        assert [m["connected"] for m in members] == [True, False]
        gone = json.loads(ok(owner, "network", "revoke", members[1]["peer_id"][-8:], "--json"))
        assert gone["peer_id"] == members[1]["peer_id"]
    finally:
        node.close()
    ok(owner, "network", "leave")
    assert json.loads(ok(owner, "network", "--json")) is None
    assert list((owner / "data" / "network").glob("owner-of-*.key")), "the key is kept aside"


@pytest.mark.parametrize(
    ("token", "words"),
    [("", "No token was given"), ("hello", "This is no token"), ("aiplat1-abc", "mistyped")],
)
def test_a_wrong_token_has_its_own_words(tmp_path: Path, token: str, words: str) -> None:
    code, message = told(tmp_path / "m", "join", stdin=token)
    assert code == 2
    assert words in message


def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path) -> None:
    home, other = tmp_path / "o", tmp_path / "x"
    assert told(home, "invite")[0] == 3
    assert told(home, "network", "leave") == (3, "This node is in no network.")
    code, message = told(home, "network", "create", "x" * 41)
    assert (code, "1 to 40 printable characters" in message) == (2, True)
    ok(home, "network", "create", "lab")
    code, message = told(home, "network", "create", "again")
    assert (code, "in the network lab already" in message) == (3, True)
    code, message = told(home, "join", stdin=ok(home, "invite"))
    assert (code, "can be in one only" in message) == (3, True)
    assert told(home, "invite", "--expires", "soon")[0] == 2
    assert told(home, "invite", "--uses", "0")[0] == 2
    assert told(home, "network", "revoke", "nobody")[0] == 2
    many = ok(home, "invite", "--uses", "3").strip()
    code, message = told(other, "join", many)
    assert (code, "for 3 machines" in message) == (2, True), "not on a command line"
    assert told(home, "peers")[0] == 1
    assert told(home, "drain")[0] == 1


def test_why_and_who_are_told(running: RunningNode, tmp_path: Path) -> None:
    """explain, drain, block and doctor, on a network of three."""
    ok(running.home, "network", "create", "lab")
    for name, role in (("p", "processor"), ("c", "client")):
        token = ok(running.home, "invite", "--role", role)
        ok(tmp_path / name, "join", "--file", "-", stdin=token)
    processor = RunningNode(tmp_path / "p", *LOOPBACK, "--model", "echo")
    client = RunningNode(tmp_path / "c", *LOOPBACK)
    try:
        assert processor.status["roles"] == ["processor"], "what its certificate says"
        assert client.status["roles"] == ["client"]
        eventually(lambda: len(_connected(running.home)) == 2, 20)
        answer = json.loads(ok(client.home, "ask", "--json", "hello you"))
        assert answer["text"] == "hello you"
        why = json.loads(ok(client.home, "explain", answer["request"], "--json"))
        assert why["choices"][0]["processor"] == processor.peer_id
        assert "the only one" in ok(running.home, "explain", answer["request"])
        assert told(client.home, "explain", "req-" + "0" * 24)[0] == 2
        code, message = told(client.home, "ask", "--privacy", "machine", "secret")
        assert (code, "private to this machine" in message) == (4, True)
        for home in (running.home, processor.home, client.home):
            assert "FAIL" not in ok(home, "doctor")
        _drained_and_blocked(running, processor, client)
    finally:
        processor.close()
        client.close()
    assert aiplat(client.home, "doctor").returncode == 1, "it waits for a model in vain"


def _drained_and_blocked(gateway: RunningNode, processor: RunningNode, client: RunningNode) -> None:
    ok(gateway.home, "drain", processor.peer_id[-8:])
    states = {p["peer_id"]: p["state"] for p in json.loads(ok(gateway.home, "peers", "--json"))}
    assert states[processor.peer_id] == "draining"
    assert told(client.home, "ask", "hello")[0] == 4
    ok(gateway.home, "block", processor.peer_id)
    eventually(lambda: "blocked" in ok(gateway.home, "peers", "--json"), 10)
    eventually(lambda: processor.peer_id not in {p["peer_id"] for p in _connected(gateway.home)})
    ok(gateway.home, "unblock", processor.peer_id[-8:])
    eventually(lambda: len(_connected(gateway.home)) == 2, 20)
    eventually(lambda: aiplat(client.home, "ask", "hello").returncode == 0, 20)
    ok(gateway.home, "drain")
    code, message = told(client.home, "ask", "hello")
    assert code in (1, 4), message
