"""A public network of real processes: clients without a certificate, and nobody else."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.node.listening import own_ips
from tests.support.fleet import Fleet
from tests.support.nodes import RunningNode, aiplat
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, str]]:
    """A gateway and a processor, a client's token, and an owner who is gone since."""
    with Fleet(tmp_path_factory.mktemp("town")) as fleet:
        done = aiplat(fleet.home("o"), "network", "create", "town", "--public")
        assert done.returncode == 0, done.stderr
        fleet.start("o", "--role", "client")
        fleet.member("g", "gateway")
        fleet.member("p", "processor", "--model", "echo")
        fleet.wait_until_sees("o", "g")
        fleet.wait_until_sees("g", "p")
        token = fleet.invite("client")
        fleet["o"].stop()
        yield fleet, token


def told(fleet: Fleet, by: str, other: str) -> dict[str, Any]:
    """A peer as a client's gateway tells of it; empty while it does not."""
    peers = {peer["peer_id"]: peer for peer in fleet.peers(by)}
    row = peers.get(fleet[other].peer_id, {})
    return row if row.get("seen_by") else {}


def joins(home: Path, token: str) -> str:
    done = aiplat(home, "join", stdin=token)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_any_number_of_clients_come_by_one_token_while_the_owner_is_away(
    town: tuple[Fleet, str],
) -> None:
    fleet, token = town
    for name in ("c1", "c2"):
        assert "a client of the public network town" in joins(fleet.home(name), token)
        fleet.start(name, "--role", "client")
        fleet.wait_until_sees(name, "g")
        refused = aiplat(fleet.home(name), "ask", "hello town")
        assert refused.returncode == 3 and "without an API key" in refused.stderr
        key = fleet.key("g", name)
        asked = aiplat(fleet.home(name), "ask", "--json", "hello town", AIPLAT_API_KEY=key)
        assert asked.returncode == 0, asked.stderr
        answer = json.loads(asked.stdout)
        assert (answer["text"], answer["processor"]) == ("hello town", fleet["p"].peer_id)
        looked = aiplat(fleet.home(name), "doctor", AIPLAT_API_KEY=key)
        assert looked.returncode == 0, looked.stdout
        # A busy gateway may take too long to tell whom it sees.
        processor = eventually(lambda name=name: told(fleet, name, "p"))  # type: ignore[misc]  # bound now
        assert (processor["models"], processor["state"]) == (["echo"], "connected")
        assert (processor["seen_by"], processor["slots"] > 0) == (fleet["g"].peer_id, True)
    roles = {peer["peer_id"]: peer["roles"] for peer in fleet.peers("g")}
    assert roles[fleet["c1"].peer_id] == roles[fleet["c2"].peer_id] == ["client"]
    members = json.loads(aiplat(fleet.home("o"), "network", "members", "--json").stdout)["members"]
    listed = {member["peer_id"] for member in members}
    assert listed == {fleet[name].peer_id for name in ("o", "g", "p")}


def test_one_without_a_certificate_serves_nothing(town: tuple[Fleet, str], tmp_path: Path) -> None:
    _, token = town
    joins(tmp_path / "s", token)
    for role in ("processor", "gateway"):
        done = aiplat(tmp_path / "s", "serve", "--role", role)
        assert done.returncode == 1
        assert f"a {role} needs a certificate, and this home has none" in done.stderr
        assert f"aiplat invite --role {role}" in done.stderr
    shown = aiplat(tmp_path / "s", "network").stdout
    assert "network town (public)" in shown and "roles   client" in shown


def test_a_node_that_runs_takes_the_network_up_and_is_admitted_as_client_alone(
    town: tuple[Fleet, str],
) -> None:
    """Its Hello says gateway and processor too: it is none in the network."""
    fleet, token = town
    fleet.start("all", "--model", "echo")
    said = joins(fleet.home("all"), token)
    assert "It still runs as gateway and processor too, for itself alone" in said
    fleet.wait_until_sees("g", "all")
    roles = {peer["peer_id"]: peer["roles"] for peer in fleet.peers("g")}
    assert roles[fleet["all"].peer_id] == ["client"]


def test_it_reaches_a_gateway_beyond_its_machines_loopback(
    town: tuple[Fleet, str], tmp_path: Path
) -> None:
    """Which a node that is in no network may not dial."""
    fleet, token = town
    beyond = next((ip for ip in own_ips() if not ipaddress.ip_address(ip).is_loopback), "")
    if not beyond:
        pytest.skip("this machine has no address but loopback")
    fleet.start("o")
    fleet.join("far", fleet.invite("gateway"))
    kind = ipaddress.ip_address(beyond).version
    fleet.nodes["far"] = RunningNode(
        fleet.home("far"), "--role", "gateway", "--listen", f"/ip{kind}/{beyond}/tcp/0"
    )
    fleet.wait_until_sees("far", "p")
    wants = ("ask", "--peer", fleet["far"].address, "hello there")
    assert beyond in fleet["far"].address
    try:
        refused = aiplat(tmp_path / "alone", *wants)
        assert refused.returncode == 4, refused.stderr
        joins(tmp_path / "s", token)
        asked = aiplat(tmp_path / "s", *wants, AIPLAT_API_KEY=fleet.key("far", "s"))
        assert (asked.returncode, asked.stdout.strip()) == (0, "hello there"), asked.stderr
    finally:
        aiplat(tmp_path / "alone", "stop", "--now")
        aiplat(tmp_path / "s", "stop", "--now")


def test_the_owner_says_that_such_a_token_is_for_anyone(town: tuple[Fleet, str]) -> None:
    fleet, _ = town
    done = aiplat(fleet.home("o"), "invite", "--role", "client", "--no-qr")
    assert "For any number of machines as client in the public network town" in done.stderr
    done = aiplat(fleet.home("o"), "invite", "--role", "processor", "--no-qr")
    assert "For one machine as processor" in done.stderr
    for bound in (("--expires", "60s"), ("--uses", "1")):
        done = aiplat(fleet.home("o"), "invite", "--role", "client", *bound)
        assert (done.returncode, done.stdout) == (2, "")
        assert "any number of" in " ".join(done.stderr.split())
