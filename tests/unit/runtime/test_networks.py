"""A home's network without a node, and what status, doctor, reset and the lists say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from msgspec.structs import replace

from aiplat.control.messages import (
    Invitation,
    InviteRequest,
    ModelStatus,
    NetworkStatus,
    ReachStatus,
    Status,
)
from aiplat.domain.errors import (
    ConfigError,
    InvalidRequest,
    NoPeer,
    NotAMember,
    NotReady,
)
from aiplat.domain.ids import PeerId, Role
from aiplat.node.membership.files import NetworkFiles
from aiplat.protocol.token import decode
from aiplat.runtime.lock import NodeLock, NodeRuns
from aiplat.runtime.networks import match_peer, read_token, without_node
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.peers import Peers
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.report import describe
from aiplat.runtime.reset import plan
from aiplat.runtime.roles import certified_roles, refuse_without_certificate, with_roles
from aiplat.runtime.settings import load_settings
from aiplat.runtime.start import ensure_node
from tests.support.networks import peer_id

DAY = 86_400


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    made.prepare()
    return made


def create(places: Places, *, public: bool = False) -> None:
    with without_node(places, load_settings(places, {})) as networks:
        networks.create("lab", public=public)


# -- names of peers ------------------------------------------------------------------------------

PEERS = [PeerId("12D3KooWaaaa1111"), PeerId("12D3KooWbbbb1111"), PeerId("12D3KooWcccc2222")]


def test_a_peer_is_named_whole_or_by_an_end_that_only_it_has() -> None:
    assert match_peer(PEERS[0], PEERS, "peer") == PEERS[0]
    assert match_peer(" …2222 ", PEERS, "peer") == PEERS[2]
    for name, why in (("1111", "2 peers have"), ("222", "last four"), ("", "No peer"),
                      ("12D3", "No peer")):  # fmt: skip
        with pytest.raises(InvalidRequest, match=why):
            match_peer(name, PEERS, "peer")


# -- without a node -------------------------------------------------------------------------------


def test_nothing_is_done_beside_a_node_that_runs(places: Places) -> None:
    with NodeLock(places.node_lock, background=False), pytest.raises(NodeRuns):
        create(places)
    create(places)
    with NodeLock(places.node_lock, background=False):
        pass  # the lock was given back


def test_who_is_in_no_network_is_told_what_to_do(places: Places) -> None:
    with without_node(places, load_settings(places, {})) as networks:
        assert networks.status() is None
        wants: list[Callable[[], object]] = [
            lambda: networks.invite(InviteRequest(roles=("client",))),
            networks.members, networks.leave, lambda: networks.revoke("1111"),
        ]  # fmt: skip
        for want in wants:
            with pytest.raises(NotAMember, match="in no network"):
                want()


def test_a_token_names_where_the_node_will_be(places: Places) -> None:
    create(places)
    with without_node(places, load_settings(places, {})) as networks:
        made = networks.invite(InviteRequest(roles=("processor",), uses=3))
    token = decode(made.token)
    assert token.addresses
    assert all(f"/tcp/{places.port.read_text().strip()}/" in a for a in token.addresses)
    assert (made.network, made.roles, made.uses) == ("lab", ("processor",), 3)
    with pytest.raises(InvalidRequest, match="mistyped"):
        read_token(made.token[:-3])


def test_who_leaves_keeps_the_owners_key_and_forgets_the_peers(places: Places) -> None:
    create(places)
    key = (places.network / "owner.key").read_bytes()
    places.known_peers.write_text("[]")
    with without_node(places, load_settings(places, {})) as networks:
        assert str(places.network) in networks.leave().message
    (kept,) = places.network.glob("owner-of-*.key")
    assert kept.read_bytes() == key
    assert not places.known_peers.exists()
    create(places)  # another one


@pytest.mark.parametrize("damage", ["no JSON", "forged"])
def test_who_has_a_damaged_record_can_leave(places: Places, damage: str) -> None:
    create(places)
    record = places.network / "network.json"
    if damage == "forged":
        files = NetworkFiles(places.network)
        kept = files.record()
        assert kept is not None
        files.keep_record(replace(kept, certificate=kept.certificate[:-1] + b"!"))
    else:
        record.write_bytes(b"{")
    settings = load_settings(places, {})
    with pytest.raises(ConfigError, match="damaged"), without_node(places, settings):
        pass
    with without_node(places, settings, to_leave=True) as networks:
        assert networks.is_owners
        assert "left its network. Its owner's key and ledger" in networks.leave().message
    assert not record.exists()
    assert len(list(places.network.glob("owner-of-*.key"))) == 1
    assert len(list(places.network.glob("ledger-of-*.json"))) == 1
    with without_node(places, settings, to_leave=True) as networks:
        assert not networks.is_owners
        with pytest.raises(NotAMember, match="in no network"):
            networks.leave()


# -- roles ---------------------------------------------------------------------------------------


def test_a_node_takes_the_roles_of_its_certificate(places: Places) -> None:
    assert certified_roles(places) == ("client", "gateway", "processor")
    create(places)
    assert certified_roles(places) == ("client", "gateway", "processor")
    only: tuple[Role, ...] = ("client", "processor")
    filled, note = with_roles(ServeOptions(), can_run=True, certified=only)
    assert (filled.roles, note) == (only, "")
    filled, note = with_roles(ServeOptions(), can_run=False, certified=only)
    assert filled.roles == ("client",)
    filled, note = with_roles(ServeOptions(), can_run=False, certified=("client",))
    assert (filled.roles, note) == (("client",), "")  # torch was never asked for
    with pytest.raises(ConfigError, match="torch"):
        with_roles(ServeOptions(), can_run=False, certified=("processor",))


def test_a_role_that_the_certificate_lacks_is_told(places: Places) -> None:
    said = ServeOptions(roles=("gateway", "client"))
    filled, note = with_roles(said, certified=("client",))
    assert filled == said
    assert "says client, so nobody in its network uses this node as gateway" in note
    with pytest.raises(NotAMember, match=r"says client, so nobody .* as gateway and processor"):
        with_roles(ServeOptions(roles=("gateway", "processor")), certified=("client",))


# -- a public network ------------------------------------------------------------------------------


def invited(places: Places, role: Role, *gateways: str) -> Invitation:
    with without_node(places, load_settings(places, {})) as networks:
        networks._gateways = lambda: gateways
        return networks.invite(InviteRequest(roles=(role,)))


@pytest.fixture
def clients(tmp_path: Path) -> list[Places]:
    made = [find_places(str(tmp_path / name), {}) for name in ("one", "two")]
    for place in made:
        place.prepare()
    return made


def test_a_public_networks_client_needs_nobody_and_its_token_makes_many(
    places: Places, clients: list[Places]
) -> None:
    create(places, public=True)
    elsewhere = f"/ip4/10.0.0.7/tcp/4001/p2p/{peer_id()}"
    made = invited(places, "client", elsewhere)
    assert made.for_anyone
    token = decode(made.token)
    assert token.addresses[-1] == elsewhere, "the owner's node may be away"
    for place in clients:
        with without_node(place, load_settings(place, {})) as networks:
            done = trio.run(networks.join, made.token)
            assert "a client of the public network lab, without a certificate" in done.message
            with pytest.raises(NotAMember, match="in the network lab already"):
                trio.run(networks.join, made.token)
        with without_node(place, load_settings(place, {})) as networks:  # from its files
            found = networks.status()
            assert found is not None
            assert (found.name, found.public, found.roles) == ("lab", True, ("client",))
            assert found.key == token.network.hex()
            assert networks.membership.record is not None
            assert networks.membership.record.addresses == token.addresses
    with without_node(places, load_settings(places, {})) as networks:
        assert len(networks.members().members) == 1, "the owner alone"


def test_other_tokens_are_shown_to_the_owners_node_also_in_a_public_network(
    places: Places, clients: list[Places]
) -> None:
    create(places, public=True)
    made = invited(places, "processor", f"/ip4/10.0.0.7/tcp/4001/p2p/{peer_id()}")
    assert not made.for_anyone
    assert "10.0.0.7" not in " ".join(decode(made.token).addresses), "only the owner can answer"
    with (
        without_node(clients[0], load_settings(clients[0], {})) as networks,
        pytest.raises(NoPeer),
    ):
        trio.run(networks.join, made.token)


def test_a_private_networks_client_needs_a_certificate(
    places: Places, clients: list[Places]
) -> None:
    create(places)
    made = invited(places, "client")
    assert not made.for_anyone
    with (
        without_node(clients[0], load_settings(clients[0], {})) as networks,
        pytest.raises(NoPeer),
    ):
        trio.run(networks.join, made.token)


def test_without_a_certificate_no_more_than_a_client_is_started(
    places: Places, clients: list[Places]
) -> None:
    create(places, public=True)
    refuse_without_certificate(ServeOptions(roles=("gateway",)), places)
    refuse_without_certificate(ServeOptions(roles=("gateway",)), clients[0])  # in no network
    with without_node(clients[0], load_settings(clients[0], {})) as networks:
        trio.run(networks.join, invited(places, "client").token)
    assert certified_roles(clients[0]) == ("client",)
    refuse_without_certificate(ServeOptions(roles=("client",)), clients[0])
    refuse_without_certificate(ServeOptions(), clients[0])
    wanted = ServeOptions(roles=("client", "gateway", "processor"))
    with pytest.raises(ConfigError, match=r"needs a certificate.*--role gateway --role processor"):
        refuse_without_certificate(wanted, clients[0])


# -- what is said of it ----------------------------------------------------------------------------

STATUS = Status(
    peer_id="12D3KooWme", addresses=("/ip4/10.0.0.1/tcp/1/p2p/12D3KooWme",), http="http://h",
    control="/c", roles=("client", "gateway"), peers=(), version="1",
    models=(ModelStatus(name="echo", state="ready"),),
)  # fmt: skip
LAB = NetworkStatus(name="lab\x1b[2J", key="00", roles=("client",), owner=True)
WELL = ReachStatus(state="direct", why="Two members dialed it.")


def test_a_node_tells_its_network_how_it_is_reached_and_what_it_seeks() -> None:
    assert not any("network" in line or "reach" in line for line in describe(STATUS, signs=False))
    told = replace(
        STATUS, network=replace(LAB, searching="No gateway yet."), reach=WELL, drained=True
    )
    lines = describe(told, signs=False)
    assert lines[0] == "aiplat 1 is drained, and takes no requests (`aiplat drain --off` ends that)"
    assert "  network    lab·[2J (private, owned by this node), a member as client" in lines
    assert "  reach      direct: Two members dialed it." in lines
    assert "  seeks      No gateway yet." in lines
    found = describe(replace(told, network=LAB), signs=False)
    assert not any("seeks" in line for line in found)


def test_a_drained_node_is_not_waited_for(places: Places) -> None:
    client = SimpleNamespace(status=lambda: replace(STATUS, state="draining", drained=True, pid=7))
    with pytest.raises(NotReady, match=r"pid 7\) was drained"):
        ensure_node(
            places, ServeOptions(), 5, lambda text: None, connect=lambda places: cast(Any, client)
        )


def test_who_was_lost_is_gone_and_who_is_tried_for_the_first_time_is_not() -> None:
    def tried(peer: str, note: str = "", away: float = 1.0) -> Any:
        return SimpleNamespace(
            peer_id=peer, address=f"/{peer}{note}", note=note, state="connecting",
            away_seconds=away,
        )  # fmt: skip

    wanted = [tried("lost"), tried("new", away=90), tried("new", "refused"), tried("shut")]
    membership = SimpleNamespace(blocked=frozenset({"shut"}), record=LAB)
    node = SimpleNamespace(channels={}, wanted=wanted, membership=membership)
    peers = Peers(cast(Any, node), None, None, lambda: 0.0)
    peers.opened(cast(Any, SimpleNamespace(peer="lost")))
    assert [(p.peer_id, p.state) for p in peers.all()] == [
        ("lost", "connecting"), ("new", "connecting"), ("shut", "blocked"),
    ]  # fmt: skip
    left = peers.not_gone()
    assert [(p.peer_id, p.state, p.note) for p in left] == [
        ("new", "connecting", "refused"), ("shut", "blocked", ""),
    ]  # fmt: skip
    # One that an earlier life knew, and that is not found, does not stay either.
    wanted[2].away_seconds = 61.0
    assert [p.peer_id for p in peers.not_gone()] == ["shut"]
    membership.record = None  # outside of a network a person named it: why it fails is told
    assert [p.peer_id for p in peers.not_gone()] == ["new", "shut"]


def test_reset_names_an_owners_key(places: Places) -> None:
    def kept() -> list[str]:
        removals = plan(places, models=False, data=False, everything=True)
        return [removal.what for removal in removals if removal.path == places.network]

    create(places)
    assert "OWNER'S KEY" in kept()[0]
    assert not any(
        removal.path == places.network
        for removal in plan(places, models=True, data=True, everything=False)
    )
    (places.network / "owner.key").unlink()
    assert kept() == ["membership of a network"]
