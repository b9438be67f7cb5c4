"""Doctor: each step from a home to an answer, and what it says of each thing that is broken."""

from __future__ import annotations

import datetime
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from aiplat.control.messages import (
    ModelStatus,
    NetworkStatus,
    PeerStatus,
    ReachStatus,
    Status,
)
from aiplat.domain.errors import AiplatError, NoPeer, NotReady
from aiplat.node.identity import Identity, load_or_create
from aiplat.node.known import KnownPeers
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import need_owner
from aiplat.runtime.doctor import Doctor
from aiplat.runtime.networks import held, without_node
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.reach import NodeClient
from aiplat.runtime.settings import load_settings
from aiplat.runtime.steps import Step

DAY = 86_400


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    made.prepare()
    return made


def create(places: Places, *, public: bool = False) -> None:
    with without_node(places, load_settings(places, {})) as networks:
        networks.create("lab", public=public)


STATUS = Status(
    peer_id="12D3KooWme", addresses=("/ip4/10.0.0.1/tcp/1/p2p/12D3KooWme",), http="http://h",
    control="/c", roles=("client", "gateway"), peers=(), version="1",
    models=(ModelStatus(name="echo", state="ready"),),
)  # fmt: skip
LAB = NetworkStatus(name="lab\x1b[2J", key="00", roles=("client",), owner=True)
WELL = ReachStatus(state="direct", why="Two members dialed it.")


def look(
    places: Places, node: object | None = None, clock: Callable[[], float] = time.time
) -> dict[str, Step]:
    heard: list[Step] = []
    doctor = Doctor(places, load_settings(places, {}), heard.append, clock)
    doctor.look(cast(NodeClient | None, node))
    assert heard == doctor.steps
    assert doctor.is_well == all(step.ok for step in heard)
    assert all(step.ok or step.text for step in heard)
    return {step.name: step for step in heard}


def running(status: Status, models: tuple[ModelStatus, ...] | AiplatError = ()) -> object:
    def tell() -> tuple[ModelStatus, ...]:
        if isinstance(models, AiplatError):
            raise models
        return models

    return SimpleNamespace(status=lambda: status, models=tell)


def bad(steps: dict[str, Step]) -> list[str]:
    return [name for name, step in steps.items() if not step.ok]


def test_a_home_without_a_network_is_well(places: Places) -> None:
    steps = look(places)
    assert bad(steps) == []
    assert "this machine only" in steps["network"].text


def test_an_owner_is_well_alone(places: Places) -> None:
    create(places)
    steps = look(places)
    assert bad(steps) == []
    assert "for 30 more days" in steps["certificate"].text


@pytest.mark.parametrize(
    ("days", "text", "advice"),
    [(-3, "begins in the future", "clock"), (31, "ended 1.0 days ago", "clock")],
)
def test_a_certificate_that_does_not_hold_and_a_wrong_clock(
    places: Places, days: int, text: str, advice: str
) -> None:
    create(places)
    now = datetime.datetime.now(datetime.UTC).timestamp()
    steps = look(places, clock=lambda: now + days * DAY)
    assert bad(steps) == ["certificate"]
    assert text in steps["certificate"].text
    assert advice in steps["certificate"].advice


def test_broken_files_are_named(places: Places) -> None:
    create(places)
    (places.network / "network.json").write_text("{")
    steps = look(places)
    assert list(steps) == ["identity", "network"]
    assert str(places.network / "network.json") in steps["network"].text
    places.identity.write_bytes(b"short")
    assert list(look(places)) == ["identity"]


def test_an_address_that_nobody_answers_at(places: Places) -> None:
    KnownPeers(places.known_peers, 8)
    address = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWH2yUxyuj7rv2jL7fjBfhc84JaiMXjrUT6mXQvyQDhC56"
    create(places)
    files = NetworkFiles(places.network)
    record = files.record()
    assert record is not None
    files.keep_record(replace(record, addresses=(address,)))
    steps = look(places)
    assert bad(steps) == ["dial"]
    assert "connection refused" in steps["dial"].advice
    assert "one itself" in steps["gateway"].text
    only_client(places)
    assert bad(look(places)) == ["dial", "gateway"]


def only_client(places: Places) -> None:
    """As if this home had been invited as a client."""
    files = NetworkFiles(places.network)
    record, owner = files.record(), Membership(files, identity_of(places).peer_id)
    assert record is not None
    sealed = need_owner(owner).certify(identity_of(places).peer_id, ("client",))
    files.keep_record(replace(record, certificate=sealed))


def identity_of(places: Places) -> Identity:
    return load_or_create(places.identity)


def test_a_member_that_knows_nobody_is_told_to_join_again(places: Places) -> None:
    create(places)
    only_client(places)
    steps = look(places)
    assert bad(steps) == ["dial"]
    assert "network leave" in steps["dial"].advice


def test_another_program_on_the_port_that_others_know(places: Places) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = str(other.getsockname()[1])
        places.port.write_text(port)
        assert bad(look(places)) == []  # in no network nobody knows it
        create(places)
        steps = look(places)
    assert bad(steps) == ["addresses"]
    assert port in steps["addresses"].text
    assert bad(look(places)) == []


def test_a_look_says_nothing_beside_its_steps(
    places: Places, capfd: pytest.CaptureFixture[str]
) -> None:
    """What libraries warn of is in the home's log."""
    with held(places):
        logging.getLogger("libp2p.x").warning("a handshake failed")
    assert capfd.readouterr() == ("", "")
    assert "a handshake failed" in places.log.read_text()
    logging.getLogger("libp2p.x").warning("later")
    assert "later" not in places.log.read_text()


def test_a_running_node_is_asked(places: Places) -> None:
    echo = (ModelStatus(name="echo", state="ready"),)
    steps = look(places, running(replace(STATUS, reach=WELL), echo))
    assert bad(steps) == []
    assert steps["addresses"].text == (
        "listens at /ip4/10.0.0.1/tcp/1; direct: Two members dialed it."
    )
    assert steps["model"].text == "ready: echo"


def test_where_it_is_reached_is_told_without_its_own_name(places: Places) -> None:
    relay, me = (
        identity_of(places).peer_id,
        "12D3KooWH2yUxyuj7rv2jL7fjBfhc84JaiMXjrUT6mXQvyQDhC56",
    )
    far = f"/ip4/10.0.0.2/tcp/2/p2p/{relay}/p2p-circuit/p2p/{me}"
    relayed = ReachStatus(state="relayed", via=(relay,), why="A NAT is between.")
    steps = look(places, running(replace(STATUS, addresses=(far,), reach=relayed)))
    assert steps["addresses"].text == (
        f"listens at the relay …{relay[-8:]}; relayed: A NAT is between."
    )


def test_what_a_running_node_lacks(places: Places) -> None:
    cut = ReachStatus(state="unreachable", why="A NAT is between.")
    tried = PeerStatus(peer_id="x", state="connecting", note="Nothing listens there.")
    alone = replace(
        STATUS, roles=("client",), reach=cut, peers=(tried,),
        network=replace(LAB, searching="No gateway is reached yet."),
    )  # fmt: skip
    steps = look(places, running(alone))
    assert bad(steps) == ["dial", "gateway"]  # nobody needs to reach a client
    assert steps["dial"].advice == "Nothing listens there."
    assert steps["gateway"].advice == "No gateway is reached yet."
    away = replace(tried, peer_id="12D3KooWaway", note="Nothing listens there. Is it running?")
    here = PeerStatus(peer_id="y", state="connected")
    one_of_two = replace(STATUS, peers=(here, away))
    assert look(places, running(one_of_two))["dial"].text == (
        "1 peer connected; not reached: 12D3KooWaway (Nothing listens there)"
    )
    steps = look(places, running(replace(STATUS, reach=cut)))
    assert bad(steps) == ["addresses", "model"]
    assert "relays" in steps["addresses"].advice
    loading = (ModelStatus(name="m", state="failed", note="its file is cut off"),)
    steps = look(places, running(replace(STATUS, drained=True), loading))
    assert bad(steps) == ["node", "model"]
    assert steps["model"].text == "m is failed: its file is cut off"
    assert "log" in steps["model"].advice
    drained = ModelStatus(name="m", state="drained", note="…p drains by its own word")
    steps = look(places, running(STATUS, (drained,)))
    assert steps["model"].text == "m is drained: …p drains by its own word"
    assert "drain --off" in steps["model"].advice
    waits = ModelStatus(name="m", state="loading", note="the model is loading")
    steps = look(places, running(STATUS, (waits,)))
    assert steps["model"].text == "m is loading"
    assert "Wait" in steps["model"].advice
    steps = look(places, running(replace(STATUS, turned_away=("…12345678: It blocks me.",))))
    assert steps["turned away"].text == "by …12345678: It blocks me."
    assert f"unblock {STATUS.peer_id[-8:]}" in steps["turned away"].advice


def test_a_gateway_that_is_drained_or_blocked_here_is_said(places: Places) -> None:
    drained = PeerStatus(peer_id="12D3KooWgateway1", roles=("gateway",), state="draining")
    shut = PeerStatus(peer_id="12D3KooWgateway2", state="blocked")
    client = replace(STATUS, roles=("client",), peers=(drained,), models=())
    steps = look(places, running(client))
    assert bad(steps) == ["gateway"]
    assert "takes no requests: it was drained" in steps["gateway"].text
    steps = look(places, running(replace(client, peers=(shut,))))
    assert bad(steps) == ["gateway"]
    assert "gateway2 is blocked here" in steps["gateway"].advice


def test_a_client_asks_its_gateway_for_the_models(places: Places) -> None:
    gateway = PeerStatus(peer_id="12D3KooWgateway1", roles=("gateway",), agent="aiplat/1")
    client = replace(STATUS, roles=("client",), peers=(gateway,), models=())
    assert bad(look(places, running(client, STATUS.models))) == []
    steps = look(places, running(client, NoPeer("It went.")))
    assert bad(steps) == ["model"]
    assert "It went." in steps["model"].advice


def test_a_node_that_says_nothing(places: Places) -> None:
    def silent() -> Status:
        raise NotReady("It is frozen.")

    steps = look(places, SimpleNamespace(status=silent))
    assert bad(steps) == ["node"]
    assert steps["node"].text == "It is frozen."
