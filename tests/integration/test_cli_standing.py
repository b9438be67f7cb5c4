"""What a person is told of a home's standing: joined late, allowed little, blocked, or revoked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.nodes import aiplat
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("lab")) as fleet:
        fleet.found("g", "--role", "gateway", "--role", "processor", "--model", "echo")
        yield fleet


def said(home: Path, *words: str, code: int, stdin: str = "") -> str:
    done = aiplat(home, *words, stdin=stdin)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def peer_of(home: Path) -> str:
    """The peer id of a home that is connected to nobody after."""
    steps = json.loads(aiplat(home, "doctor", "--json").stdout)["steps"]
    return str(steps[0]["text"].split()[-1])


def test_a_background_node_that_joins_gives_way_to_one_with_the_certificates_roles(
    lab: Fleet, tmp_path: Path
) -> None:
    home = tmp_path / "c"
    said(home, "ask", "--model", "echo", "alone", code=0)
    joined = said(home, "join", code=0, stdin=lab.invite("client"))
    assert "ends" in joined and f"aiplat --home {home} ask" in joined
    said(home, "status", code=1)  # it has ended: who comes next does not find it ending
    try:
        asked = json.loads(aiplat(home, "ask", "--model", "echo", "--json", "hi").stdout)
        assert asked["gateway"] == lab["g"].peer_id
        assert json.loads(aiplat(home, "status", "--json").stdout)["roles"] == ["client"]
    finally:
        aiplat(home, "stop", "--now")


def test_a_certificate_for_a_processor_asks_nothing_and_starts_nothing(
    lab: Fleet, tmp_path: Path
) -> None:
    home = tmp_path / "p"
    said(home, "join", code=0, stdin=lab.invite("processor"))
    refusal = said(home, "ask", "hi", code=3)
    assert "is for processor only" in refusal and "--role client" in refusal
    said(home, "status", code=1)


def test_a_revoked_home_says_so_everywhere_and_comes_back_with_a_new_identity(
    lab: Fleet, tmp_path: Path
) -> None:
    home = tmp_path / "n"
    said(home, "join", code=0, stdin=lab.invite("client"))
    peer = peer_of(home)
    said(lab.home("g"), "network", "revoke", peer, code=0)
    assert "FAIL certificate" in said(home, "doctor", code=1)
    assert "REVOKED" in said(home, "network", "show", code=0)
    assert f"aiplat --home {home} reset --identity" in said(home, "ask", "hi", code=3)
    said(home, "network", "leave", code=0)
    assert "reset --identity" in said(home, "join", code=3, stdin=lab.invite("client"))
    said(home, "reset", "--identity", "--yes", code=0)
    said(home, "join", code=0, stdin=lab.invite("client"))
    assert "FAIL" not in said(home, "doctor", code=0)


def test_a_home_that_was_revoked_while_it_was_away_learns_it_when_it_asks(
    lab: Fleet, tmp_path: Path
) -> None:
    home = tmp_path / "m"
    said(home, "join", code=0, stdin=lab.invite("client"))
    said(lab.home("g"), "network", "revoke", peer_of(home), code=0)
    try:
        assert "was revoked" in said(home, "ask", "hi", code=3)
        assert "REVOKED" in said(home, "status", code=0)
    finally:
        aiplat(home, "stop", "--now")


def test_a_processor_that_a_gateway_blocks_is_not_well(lab: Fleet) -> None:
    p = lab.member("p", "processor", "--model", "echo")
    lab.wait_until_sees("g", "p")
    said(lab.home("g"), "block", p.peer_id, code=0)
    eventually(lambda: p.now()["turned_away"])
    assert "turned away" in said(lab.home("p"), "doctor", code=1)
    assert "blocks the peer" in said(lab.home("p"), "status", code=0)
    said(lab.home("g"), "unblock", p.peer_id, code=0)
    eventually(lambda: not p.now()["turned_away"])
