"""Finding as a person sees it: real processes that wait for each other, and say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.fleet import Fleet
from tests.support.nodes import aiplat, wait_for_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SAID = "No gateway of the network lab is reached yet"


def searching(fleet: Fleet, name: str) -> str:
    """What its status says that it looks for."""
    return str(fleet[name].now()["network"]["searching"])


def test_who_starts_first_waits_for_the_others_and_says_so(tmp_path: Path) -> None:
    """A processor and a client, in whichever order, before the only gateway."""
    with Fleet(tmp_path) as fleet:
        gateway = fleet.found("g", "--role", "gateway")
        for name, role in (("p", "processor"), ("c", "client")):
            fleet.join(name, fleet.invite(role))
        gateway.stop()
        for name, serve in (
            ("p", ("--role", "processor", "--model", "echo")), ("c", ("--role", "client")),
        ):  # fmt: skip
            node = fleet.start(name, *serve)
            eventually(lambda name=name: SAID in searching(fleet, name))  # type: ignore[misc]  # bound now
            eventually(lambda name=name: "connection refused" in searching(fleet, name))  # type: ignore[misc]  # bound now
            assert "tried again and again" in searching(fleet, name)
            assert SAID in node.stderr, "it is said where the node runs, too"
            shown = aiplat(fleet.home(name), "status")
            assert SAID in " ".join(shown.stdout.split()), shown.stdout
        fleet.start("g")
        for name in ("p", "c"):
            fleet.wait_until_sees(name, "g")
            eventually(lambda name=name: searching(fleet, name) == "")  # type: ignore[misc]  # bound now
        wait_for_model(fleet["g"])
        done = aiplat(fleet.home("c"), "ask", "--model", "echo", "here we are")
        assert "here we are" in done.stdout, done.stderr


def test_who_leaves_keeps_no_address_of_the_network(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.found("g", "--role", "gateway")
        fleet.member("p", "processor", "--model", "echo")
        fleet.wait_until_sees("p", "g")
        kept = fleet.home("p")
        port = fleet["g"].address.split("/")[4]
        files = [path for path in kept.rglob("*.json") if path.is_file()]
        assert any(port in path.read_text() for path in files)
        assert aiplat(kept, "network", "leave").returncode == 0
        left = [path for path in kept.rglob("*.json") if path.is_file()]
        eventually(lambda: not any(port in path.read_text() for path in left if path.exists()))
        assert json.loads(aiplat(kept, "peers", "--json").stdout) == []
        fleet.start("p")
        assert json.loads(aiplat(kept, "peers", "--json").stdout) == [], "nor after a new start"
