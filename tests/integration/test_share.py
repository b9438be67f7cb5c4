"""A machine that is paused by its owner, as a gateway elsewhere sees it: real processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.nodes import Door, aiplat, chat
from tests.support.waiting import eventually

WHY = "paused by its owner"


def share(home: Path, *words: str) -> dict[str, Any]:
    done = aiplat(home, "share", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # it is an object


def a_later_hour() -> str:
    """Hours in which it will not be for some time."""
    begins = (datetime.now(UTC).astimezone() + timedelta(hours=6)).hour
    return f"{begins:02}-{begins + 1:02}"


@pytest.mark.slow
def test_a_paused_machine_is_passed_over_and_says_why_until_it_is_resumed(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        gateway = fleet.found("g", "--role", "gateway")
        serves = ("--model", "echo", "--echo-rate", "2")
        p = fleet.member("p", "processor", *serves)
        fleet.wait_until_sees("g", "p")

        with Door(gateway) as door:
            lines = door.stream(chat("one two three " * 200, max_tokens=400))
            next(lines)
            [user] = eventually(lambda: share(fleet.home("p"))["users"])
            assert (user["peer_id"], user["role"], user["model"], user["running"]) == (
                gateway.peer_id, "gateway", "echo", 1
            )  # fmt: skip
            assert "1 request of theirs under way" in share(fleet.home("p"), "--pause")["message"]
            next(lines)  # it goes on
            assert (
                "1 request of theirs ended" in share(fleet.home("p"), "--pause", "--now")["message"]
            )
            rest = [line for _, line in lines]
            assert WHY in json.dumps(rest[-1]), rest[-1]

        def told() -> list[str]:
            return [str(peer["note"]) for peer in fleet.peers("g")]

        eventually(lambda: told() == [WHY])
        done = aiplat(fleet.home("g"), "ask", "--model", "echo", "hi")
        assert done.returncode == 4
        assert f"({WHY})" in " ".join(done.stderr.split())

        p = fleet.start("p")  # the pause outlives its node
        assert p.status["share"]["state"] == "paused"
        q = fleet.member("q", "processor", *serves)
        fleet.wait_until_sees("g", "q")
        asked = json.loads(aiplat(fleet.home("g"), "ask", "--model", "echo", "--json", "hi").stdout)
        assert asked["processor"] == q.peer_id
        share(fleet.home("p"), "--resume")
        hours = a_later_hour()
        share(fleet.home("q"), "--hours", hours)
        eventually(lambda: sorted(told()) == ["", f"outside its hours ({hours})"])
        asked = json.loads(aiplat(fleet.home("g"), "ask", "--model", "echo", "--json", "hi").stdout)
        assert asked["processor"] == p.peer_id
