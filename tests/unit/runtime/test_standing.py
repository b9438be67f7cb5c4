"""What a home is told of its standing without a node: identity, members, options, prompts."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.domain.errors import ConfigError, InvalidRequest, NotAMember, PermissionDenied
from aiplat.node.membership.files import NetworkFiles, Record
from aiplat.runtime.networks import without_node
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.preflight import preflight
from aiplat.runtime.reset import plan, remove
from aiplat.runtime.roles import refuse_without_client
from aiplat.runtime.settings import load_settings
from tests.support.networks import Lab


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = find_places(str(tmp_path / "h"), {"AIPLAT_CACHE": str(tmp_path / "c")})
    made.prepare()
    return made


def keep(places: Places, record: Record | None) -> None:
    assert record is not None
    NetworkFiles(places.network).keep_record(record)


def test_a_new_identity_leaves_models_settings_and_an_owner_alone(
    places: Places, tmp_path: Path
) -> None:
    places.identity.write_bytes(b"seed")
    places.models.mkdir(parents=True)
    keep(places, Lab(tmp_path / "lab").member("client")[1].record)
    gone = plan(places, models=False, data=False, everything=False, identity=True)
    remove(gone)
    assert {r.path for r in gone} == {places.identity, places.network / "network.json"}
    assert places.models.is_dir() and places.node_lock.parent.is_dir()
    (places.network / "owner.key").write_bytes(b"key")
    with pytest.raises(ConfigError, match="owns a network"):
        plan(places, models=False, data=False, everything=False, identity=True)


def test_who_is_connected_is_not_known_without_a_node(places: Places) -> None:
    with without_node(places, load_settings(places, {})) as networks:
        networks.create("lab", public=False)
        assert [m.connected for m in networks.members().members] == [None]
        assert [m.connected for m in networks.members(()).members] == [True]
        with pytest.raises(InvalidRequest, match=r"character 2 is '\\x1b'"):
            networks.create("a\x1b[2J", public=False)


@pytest.mark.parametrize(
    ("options", "param"),
    [(ServeOptions(listen=("nowhere",)), "listen"), (ServeOptions(http="nowhere"), "http")],
)
def test_an_option_that_cannot_be_read_is_a_wrong_use(
    places: Places, options: ServeOptions, param: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^--{param}: ") as caught:
        preflight(options, load_settings(places, {}), places)
    assert caught.value.param == param


def test_a_prompt_needs_a_certificate_that_allows_it(places: Places, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    refuse_without_client(places)
    identity, member = lab.member("processor")
    keep(places, member.record)
    with pytest.raises(PermissionDenied, match="--role client --role processor"):
        refuse_without_client(places)
    refuse_without_client(places, ("client", "gateway"))  # it answers for itself
    lab.owner.revoke(identity.peer_id)
    assert member.record is not None
    keep(places, replace(member.record, revocations=lab.record.revocations))
    with pytest.raises(NotAMember, match="aiplat reset --identity"):
        refuse_without_client(places)
